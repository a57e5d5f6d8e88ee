//! The messages that wait for a connection, and the senders that wait for a place among them: all under one short lock.
//!
//! Promises: a message that was taken is forwarded, refused or returned, and counted once; senders have places in the order
//! they came; while messages are queued and a runtime lives, a forwarder is at work.

use std::collections::VecDeque;
use std::mem;
use std::task::Waker;

use super::counters::OneWayCounters;
use crate::kernel::{BoxedWaiter, Waitlist};
use crate::sync::{Mutex, MutexGuard, lock};
use crate::wake::{Notify, release, wake_all};

pub(super) struct Queue<M> {
    /// How many messages there may be.
    bound: usize,
    /// No user code runs under it.
    state: Mutex<State<M>>,
    /// Notified when a forwarder has ended.
    pub(super) rests: Notify,
}

struct State<M> {
    phase: Phase,
    /// The oldest first.
    messages: VecDeque<M>,
    /// A forwarder has one more.
    is_one_in_hand: bool,
    /// Messages that are queued or in hand, and places granted to senders that have not put a message there yet.
    places: usize,
    waitlist: Waitlist<(), Closed>,
    is_forwarding: bool,
    counters: OneWayCounters,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// No more messages; what is queued is forwarded while that is possible.
    Closing,
}

/// The outcome of a sender that waits in vain.
pub(super) struct Closed;

/// A sender that waits for a place. It leaves by [`Queue::leave`] before it is dropped.
pub(super) type PlaceWaiter = BoxedWaiter<(), Closed>;

/// What a sender finds.
pub(super) enum Found<M> {
    /// The message is queued; where nobody forwards, the sender has that begun.
    Taken(Forwarding),
    /// It is not, for nobody forwards: it is to be sent again once it is known that somebody can.
    NobodyForwards(M),
    Full(M),
    Closed(M),
}

/// Whether somebody forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwarding {
    UnderWay,
    /// It counts as under way from now on, and is to be begun.
    ToBegin,
}

/// Where a message that is to be queued has its place from.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// It needs one.
    New,
    /// Its sender was granted one.
    Granted,
}

/// What became of the message that a forwarder had in hand.
#[derive(Clone, Copy)]
pub(super) enum Done {
    /// It has had none.
    Nothing,
    HandedOver,
    Refused,
}

impl<M> Queue<M> {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            bound,
            state: Mutex::new(State {
                phase: Phase::Open,
                messages: VecDeque::new(),
                is_one_in_hand: false,
                places: 0,
                waitlist: Waitlist::new(),
                is_forwarding: false,
                counters: OneWayCounters::default(),
            }),
            rests: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<M>> {
        lock(&self.state)
    }

    /// Queues a message. `can_forward`: a forwarder can be begun if none is under way.
    pub(super) fn put(&self, message: M, place: Place, can_forward: bool) -> Found<M> {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Found::Closed(message);
        }
        if let Place::New = place {
            if state.waitlist.len() > 0 || state.places >= self.bound {
                return Found::Full(message);
            }
        }
        if !state.is_forwarding && !can_forward {
            return Found::NobodyForwards(message);
        }
        if let Place::New = place {
            state.places += 1;
        }
        state.messages.push_back(message);
        state.counters.taken += 1;
        Found::Taken(state.begin_forwarding())
    }

    /// A place in the waitlist for a sender that found the queue full; none if that has changed.
    pub(super) fn wait(&self, waker: &Waker) -> Option<PlaceWaiter> {
        // Under no lock: it is user code.
        let mut own = Some(waker.clone());
        let waiter = self.state().join(self.bound, &mut own);
        release(own);
        waiter
    }

    /// Leaves another waker, unless the waiting is over; and has forwarding begun where it ended before its time.
    pub(super) fn wait_on(&self, waiter: &mut PlaceWaiter, waker: &Waker) -> Waiting {
        let own = waker.clone();
        let (renewed, is_forwarding) = {
            let mut state = self.state();
            let renewed = waiter.renew(&mut state.waitlist, own);
            (renewed, state.is_forwarding || state.messages.is_empty())
        };
        match renewed {
            Ok(old) => {
                release(old);
                match is_forwarding {
                    true => Waiting::On,
                    false => Waiting::NobodyForwards,
                }
            }
            Err(new) => {
                release(Some(new));
                Waiting::Over
            }
        }
    }

    /// A sender leaves; a place that it was granted goes to the next.
    pub(super) fn leave(&self, waiter: &mut PlaceWaiter) {
        let left = waiter.leave(&mut self.state().waitlist);
        match left {
            Ok(waker) => release(waker),
            Err(()) => {
                if let Some(Ok(())) = waiter.outcome() {
                    self.give_place_up();
                }
            }
        }
    }

    /// A place that was granted is not used.
    pub(super) fn give_place_up(&self) {
        let next = self.state().free_place();
        wake_all(next);
    }

    /// Where nobody forwards what is queued, the caller is to begin.
    pub(super) fn begin_forwarding(&self) -> Forwarding {
        self.state().begin_forwarding()
    }

    /// The next message for the forwarder, which is done with the one before; none: forwarding has ended.
    pub(super) fn next(&self, done: Done) -> Option<M> {
        let (waker, next) = {
            let mut state = self.state();
            let waker = match done {
                Done::Nothing => None,
                Done::HandedOver => {
                    state.counters.handed_over += 1;
                    state.free_place()
                }
                Done::Refused => {
                    state.counters.refused += 1;
                    state.free_place()
                }
            };
            let next = state.messages.pop_front();
            state.is_one_in_hand = next.is_some();
            state.is_forwarding = next.is_some();
            (waker, next)
        };
        wake_all(waker);
        if next.is_none() {
            self.rests.notify_waiters();
        }
        next
    }

    /// A forwarder ends before its time, with what it had in hand: a sender that waits for a place begins the next.
    pub(super) fn stop(&self, in_hand: Option<M>) {
        let wakers = {
            let mut state = self.state();
            if let Some(message) = in_hand {
                state.messages.push_front(message);
            }
            state.is_one_in_hand = false;
            state.is_forwarding = false;
            state.waitlist.take_wakers()
        };
        wake_all(wakers.into_iter().flatten());
        self.rests.notify_waiters();
    }

    /// Takes no more messages, and tells the senders that wait.
    pub(super) fn close(&self) {
        let wakers = {
            let mut state = self.state();
            state.phase = Phase::Closing;
            state.waitlist.refuse_all(|| Closed)
        };
        wake_all(wakers.into_iter().flatten());
    }

    pub(super) fn is_open(&self) -> bool {
        self.state().phase == Phase::Open
    }

    pub(super) fn is_forwarding(&self) -> bool {
        self.state().is_forwarding
    }

    /// What is queued yet, after forwarding has ended for good.
    pub(super) fn take_all(&self) -> Vec<M> {
        let mut state = self.state();
        let messages = mem::take(&mut state.messages);
        state.places -= messages.len();
        state.counters.returned += messages.len() as u64;
        messages.into()
    }

    pub(super) fn counters(&self) -> OneWayCounters {
        let state = self.state();
        OneWayCounters {
            queued: state.messages.len() + usize::from(state.is_one_in_hand),
            ..state.counters
        }
    }
}

/// How it stands with a sender that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    On,
    /// And nobody forwards what is queued.
    NobodyForwards,
    /// Its outcome is there.
    Over,
}

impl<M> State<M> {
    fn join(&mut self, bound: usize, waker: &mut Option<Waker>) -> Option<PlaceWaiter> {
        let is_full = self.waitlist.len() > 0 || self.places >= bound;
        if self.phase != Phase::Open || !is_full {
            return None;
        }
        let mut waiter = PlaceWaiter::new(0);
        waiter.arrive(&mut self.waitlist);
        waiter.join(&mut self.waitlist, waker.take()?, u64::MAX);
        Some(waiter)
    }

    /// A place is free: the first in line has it, and its waker is to be woken.
    #[must_use]
    fn free_place(&mut self) -> Option<Waker> {
        if let Some(next) = self.waitlist.pop() {
            return next.grant(());
        }
        self.places -= 1;
        None
    }

    fn begin_forwarding(&mut self) -> Forwarding {
        if self.is_forwarding || self.messages.is_empty() {
            return Forwarding::UnderWay;
        }
        self.is_forwarding = true;
        Forwarding::ToBegin
    }
}
