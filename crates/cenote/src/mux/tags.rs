//! Which tags are free and in no lane's cache, and whose turn it is to have the next one. Lives under the admission's
//! lock.
//!
//! Invariant: nobody waits for a turn while a tag is free, unless they are withheld. So a newcomer that finds a free
//! tag passes nobody.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};
use crate::wake::release;

pub(super) struct Tags {
    /// Given back; the last comes first, since its entry is warm.
    free: Vec<u32>,
    /// Those from here to the cap were never taken.
    unused: u32,
    cap: u32,
    turns: VecDeque<Arc<Turn>>,
    /// How many of `turns` still wait.
    waiting: usize,
    /// Those in the lanes' caches included.
    taken: usize,
    /// Taken, by requests whose callers have left.
    abandoned: usize,
    /// None is given: nothing new is to be asked of the peer for now.
    withheld: bool,
}

/// A caller's place in the queue for a tag. Lock order: admission, then turn.
pub(super) struct Turn(Mutex<State>);

enum State {
    Waiting {
        /// None if it was woken, and has not looked since.
        waker: Option<Waker>,
        began: u32,
    },
    Granted(u32),
    /// The caller left, or had its tag, or was told that there will be none.
    Over,
}

impl Turn {
    /// The tag, when it is this caller's turn; none if the connection took no more calls first.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Option<u32>> {
        let mut own = None;
        loop {
            let mut state = lock(&self.0);
            match &mut *state {
                State::Waiting { waker, .. } => {
                    let is_known = |waker: &Waker| waker.will_wake(cx.waker());
                    if waker.as_ref().is_some_and(is_known) {
                        return Poll::Pending;
                    }
                    if let Some(own) = own.take() {
                        let other = waker.replace(own);
                        drop(state);
                        release(other);
                        return Poll::Pending;
                    }
                }
                State::Granted(index) => {
                    let index = *index;
                    *state = State::Over;
                    return Poll::Ready(Some(index));
                }
                State::Over => return Poll::Ready(None),
            }
            drop(state);
            // Under no lock: it is user code.
            own = Some(cx.waker().clone());
        }
    }
}

impl Tags {
    pub(super) fn new(cap: u32) -> Self {
        Self {
            free: Vec::new(),
            unused: 0,
            cap,
            turns: VecDeque::new(),
            waiting: 0,
            taken: 0,
            abandoned: 0,
            withheld: false,
        }
    }

    /// A free tag, if there is one and it may be given.
    pub(super) fn take(&mut self) -> Option<u32> {
        if self.withheld {
            return None;
        }
        let index = self.free.pop().or_else(|| {
            (self.unused < self.cap).then(|| {
                self.unused += 1;
                self.unused - 1
            })
        })?;
        self.taken += 1;
        Some(index)
    }

    /// Tags that lanes had cached, while nobody waits.
    pub(super) fn put_back(&mut self, mut tags: Vec<u32>) {
        debug_assert_eq!(self.waiting, 0);
        self.taken -= tags.len();
        self.free.append(&mut tags);
    }

    /// How many can be taken.
    pub(super) fn free(&self) -> usize {
        self.free.len() + (self.cap - self.unused) as usize
    }

    /// Gives none until [`grant`](Self::grant).
    pub(super) fn withhold(&mut self) {
        self.withheld = true;
    }

    pub(super) fn are_withheld(&self) -> bool {
        self.withheld
    }

    /// Gives tags again: those that are free to the first in line, who are to be woken.
    #[must_use]
    pub(super) fn grant(&mut self) -> Vec<Waker> {
        self.withheld = false;
        let mut next = Vec::new();
        while self.waiting > 0 {
            let Some(index) = self.take() else {
                break;
            };
            next.extend(self.give_back(index));
        }
        next
    }

    /// A tag is free: the next in line has it, and is to be woken.
    #[must_use]
    pub(super) fn give_back(&mut self, index: u32) -> Option<Waker> {
        while !self.withheld {
            let Some(turn) = self.turns.pop_front() else {
                break;
            };
            let mut state = lock(&turn.0);
            if let State::Waiting { .. } = *state {
                self.waiting -= 1;
                match mem::replace(&mut *state, State::Granted(index)) {
                    State::Waiting { waker, .. } => return waker,
                    _ => unreachable!("looked at under the same lock"),
                }
            }
        }
        self.taken -= 1;
        self.free.push(index);
        None
    }

    /// Queues for a tag.
    pub(super) fn queue(&mut self, waker: Waker, began: u32) -> Arc<Turn> {
        // Turns that are over lie between those that wait; they go when they are too many.
        if self.turns.len() > 2 * self.waiting + 16 {
            self.turns
                .retain(|turn| matches!(*lock(&turn.0), State::Waiting { .. }));
        }
        let waker = Some(waker);
        let turn = Arc::new(Turn(Mutex::new(State::Waiting { waker, began })));
        self.turns.push_back(Arc::clone(&turn));
        self.waiting += 1;
        turn
    }

    /// A caller leaves its turn; a tag it was granted goes to the next, who is to be woken. And the waker of who
    /// left, to be dropped.
    #[must_use]
    pub(super) fn leave(&mut self, turn: &Turn) -> (Option<Waker>, Option<Waker>) {
        let was = mem::replace(&mut *lock(&turn.0), State::Over);
        match was {
            State::Waiting { waker, .. } => {
                self.waiting -= 1;
                (None, waker)
            }
            State::Granted(index) => (self.give_back(index), None),
            State::Over => (None, None),
        }
    }

    /// Nobody gets a turn any more: those to wake.
    pub(super) fn refuse_all(&mut self) -> Vec<Waker> {
        self.waiting = 0;
        self.turns
            .drain(..)
            .filter_map(|turn| {
                let mut state = lock(&turn.0);
                match mem::replace(&mut *state, State::Over) {
                    State::Waiting { waker, .. } => waker,
                    other => {
                        *state = other;
                        None
                    }
                }
            })
            .collect()
    }

    /// The wakers of queued calls that are overdue: woken, they look at the time, and leave another waker if they wait
    /// on.
    pub(super) fn overdue(&self, is_overdue: impl Fn(u32) -> bool) -> Vec<Waker> {
        self.turns
            .iter()
            .filter_map(|turn| match &mut *lock(&turn.0) {
                State::Waiting { waker, began } if is_overdue(*began) => waker.take(),
                _ => None,
            })
            .collect()
    }

    pub(super) fn abandon(&mut self) {
        self.abandoned += 1;
    }

    /// The reply to an abandoned request came.
    pub(super) fn unabandon(&mut self) {
        self.abandoned -= 1;
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn abandoned(&self) -> usize {
        self.abandoned
    }
}
