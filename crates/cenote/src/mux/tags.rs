//! Which tags are free and in no lane's cache, and the queue of calls for them. Lives under the admission's lock.
//!
//! Invariant: no call is queued while a tag is free, unless tags are withheld. So a newcomer that finds a free
//! tag passes nobody.

use std::task::Waker;

use crate::kernel::{BoxedWaiter, Waitlist};

pub(super) struct Tags {
    /// Given back; the last comes first, since its entry is warm.
    free: Vec<u32>,
    /// Those from here to the cap were never taken.
    unused: u32,
    cap: u32,
    /// The calls that wait for a tag.
    pub(super) waitlist: Waitlist<u32, NoTag>,
    /// Those in the lanes' caches included.
    taken: usize,
    /// Taken, by requests whose callers have left.
    abandoned: usize,
    /// None is given: nothing new is to be asked of the peer for now.
    withheld: bool,
}

/// A queued call. It leaves by [`Tags::leave`] before it is dropped.
pub(super) type TagWaiter = BoxedWaiter<u32, NoTag>;

/// Why a queued call gets no tag.
pub(super) enum NoTag {
    /// Its time is over.
    TimedOut,
    /// The connection takes no more calls.
    Ended,
}

impl Tags {
    pub(super) fn new(cap: u32) -> Self {
        Self {
            free: Vec::new(),
            unused: 0,
            cap,
            waitlist: Waitlist::new(),
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

    /// Tags that lanes had cached, while no call is queued.
    pub(super) fn put_back(&mut self, mut tags: Vec<u32>) {
        debug_assert_eq!(self.waiting(), 0);
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

    /// Gives tags again: those that are free to the first in line, whose wakers are to be woken.
    #[must_use]
    pub(super) fn grant(&mut self) -> Vec<Waker> {
        self.withheld = false;
        let mut next = Vec::new();
        while self.waiting() > 0 {
            let Some(index) = self.take() else { break };
            next.extend(self.give_back(index));
        }
        next
    }

    /// A tag is free: the next in line has it, and its waker is to be woken.
    #[must_use]
    pub(super) fn give_back(&mut self, index: u32) -> Option<Waker> {
        if !self.withheld {
            if let Some(next) = self.waitlist.pop() {
                return next.grant(index);
            }
        }
        self.taken -= 1;
        self.free.push(index);
        None
    }

    /// A queued call leaves; a tag it was granted goes to the next, whose waker is to be woken. And the waker of the
    /// call that left, to be dropped.
    #[must_use]
    pub(super) fn leave(&mut self, waiter: &mut TagWaiter) -> (Option<Waker>, Option<Waker>) {
        match waiter.leave(&mut self.waitlist) {
            Ok(waker) => (None, waker),
            Err(()) => match waiter.outcome() {
                Some(Ok(index)) => (self.give_back(index), None),
                Some(Err(_)) | None => (None, None),
            },
        }
    }

    /// No queued call gets a tag any more: the wakers to wake.
    pub(super) fn refuse_all(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.waitlist
            .refuse_all(|| NoTag::Ended)
            .into_iter()
            .flatten()
    }

    /// The queued calls whose deadline has come get no tag: the wakers to wake.
    pub(super) fn refuse_due(&mut self, now: u64) -> impl Iterator<Item = Waker> + use<> {
        let (wakers, _) = self.waitlist.refuse_due(now, || NoTag::TimedOut);
        wakers.into_iter().flatten()
    }

    pub(super) fn abandon(&mut self) {
        self.abandoned += 1;
    }

    /// The reply to an abandoned request came.
    pub(super) fn unabandon(&mut self) {
        self.abandoned -= 1;
    }

    pub(super) fn waiting(&self) -> usize {
        self.waitlist.len()
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    pub(super) fn abandoned(&self) -> usize {
        self.abandoned
    }
}
