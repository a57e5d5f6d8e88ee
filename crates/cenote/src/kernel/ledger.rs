//! The ledger: the state behind the kernel's one lock, and how connections pass through it: to who joins
//! the queue, from who gives one back. `occupancy` and `modes` have the rest of what takes the lock.

use std::collections::VecDeque;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Poll, Waker};

use super::occupancy::VacantSlots;
use super::state_word::State;
use super::token::{IdleSince, Report, SlotToken};
use super::waitlist::{Popped, WaiterCell, Waitlist};
use super::{Core, Order, Owner};
use crate::sync::{Ordering, lock};
use crate::wake::{release, wake_all};

const GATE_CLOSED: u64 = 1;
const GATE_PAUSED: u64 = 2;
pub(super) const GATE_ORDERED: u64 = 4;
/// Somebody waits.
const GATE_WAITERS: u64 = 8;

/// Guarded by `Core::ledger`. In declared order, so that what a hand-over touches is two lines.
#[repr(C)]
pub(super) struct Ledger<O: Owner> {
    pub(super) waitlist: Waitlist<O>,
    /// The earliest deadline the owner was told of; `u64::MAX` if none.
    pub(super) armed: u64,
    pub(super) max_size: usize,
    /// Slots not vacant.
    pub(super) occupied: usize,
    /// Slots owned by a dial; part of `occupied`.
    pub(super) opening: usize,
    /// Slots whose connection is being closed; part of `occupied`.
    pub(super) closing: usize,
    /// How often somebody had to queue.
    pub(super) waited: u64,
    pub(super) order: Order,
    pub(super) phase: Phase,
    /// The rank of the next connection that comes back from a lease.
    pub(super) next_rank: u32,
    /// With `Order::Listed`, exactly the idle slots, in the order of their ranks, oldest first; else empty.
    pub(super) idle: VecDeque<Listed>,
    pub(super) vacant: VacantSlots,
}

/// A place in the order of idle connections.
pub(super) struct Listed {
    rank: u32,
    pub(super) index: u32,
}

/// Whether leases are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Paused,
    Closed,
}

/// What came of joining the queue.
pub(crate) enum JoinOutcome<O: Owner> {
    /// It was this waiter's turn and a connection was idle.
    Granted(SlotToken<O>),
    /// It waits.
    Queued {
        /// Another connection may be opened for it.
        may_grow: bool,
        /// No earlier deadline is watched: the owner must see to this one.
        arm: bool,
        /// Nobody else waits.
        is_alone: bool,
    },
    /// As many wait as may.
    Full,
    /// The pool is closed.
    Closed,
}

/// What came of giving a slot back through the ledger.
pub(crate) enum Release<O: Owner> {
    /// Handed to a waiter, or idle.
    Kept,
    /// The pool does not want it: the caller closes it.
    Excess(SlotToken<O>, Excess),
}

/// Why the pool does not want a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excess {
    Closed,
    OverSize,
    OverIdle,
    Unwanted,
}

impl<O: Owner> Ledger<O> {
    pub(super) fn new(max_size: usize, order: Order) -> Self {
        Self {
            waitlist: Waitlist::new(),
            armed: u64::MAX,
            max_size,
            occupied: 0,
            opening: 0,
            closing: 0,
            waited: 0,
            order,
            phase: Phase::Open,
            next_rank: 0,
            idle: VecDeque::new(),
            vacant: VacantSlots::default(),
        }
    }

    pub(super) fn serving(&self) -> bool {
        self.phase == Phase::Open && self.waitlist.len() > 0
    }

    /// Whether, with all closes under way done, there would still be too many.
    pub(super) fn over_size(&self) -> bool {
        self.occupied - self.closing > self.max_size
    }

    /// Puts `token` in the list of idle slots.
    fn list(&mut self, token: &SlotToken<O>, idling: IdleSince) {
        let index = token.index();
        match idling {
            IdleSince::Now => {
                let rank = self.next_rank;
                token.set_rank(rank);
                self.next_rank = rank.wrapping_add(1);
                self.idle.push_back(Listed { rank, index });
            }
            IdleSince::Before => {
                let rank = token.rank();
                self.idle.insert(self.place(rank), Listed { rank, index });
            }
        }
    }

    /// Takes `token`, which was idle, out of the list.
    pub(super) fn unlist(&mut self, token: &SlotToken<O>) {
        let index = token.index();
        let is_it = |listed: &Listed| listed.index == index;
        let place = self.place(token.rank());
        if self.idle.get(place).is_some_and(is_it) {
            self.idle.remove(place);
        } else {
            // One older than ranks can tell is not where its rank says.
            self.idle.retain(|listed| !is_it(listed));
        }
    }

    /// Where the list has `rank`, or would have it.
    fn place(&self, rank: u32) -> usize {
        // Ranks wrap around; how long ago one was given does not, but for what idles since before
        // 2^32 returns: that one is placed as if it were young.
        let age = |rank: u32| self.next_rank.wrapping_sub(rank);
        self.idle
            .partition_point(|listed| age(listed.rank) > age(rank))
    }

    /// The pool does not want `token`, for `why`.
    fn excess(&mut self, token: SlotToken<O>, why: Excess) -> Release<O> {
        self.close_soon(&token);
        Release::Excess(token, why)
    }

    /// `token` is on its way out.
    pub(super) fn close_soon(&mut self, token: &SlotToken<O>) {
        self.closing += 1;
        token.set_state(State::Closing);
    }
}

impl<O: Owner> Core<O> {
    pub(super) fn join(
        &self,
        waiter: Pin<&WaiterCell<O>>,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> JoinOutcome<O> {
        // Cloned before the lock: a waker's clone is user code.
        let waker = waker.clone();
        let mut ledger = lock(&self.ledger.0);
        if ledger.phase == Phase::Closed {
            return JoinOutcome::Closed;
        }
        let is_new = ledger.waitlist.arrive(&waiter);
        if ledger.waitlist.is_first(&waiter)
            && ledger.phase == Phase::Open
            && let Some(token) = self.take_idle(&mut ledger, &mut (0..self.bound()))
        {
            return JoinOutcome::Granted(token);
        }
        // Whose turn it was already is not sent away.
        if ledger.waitlist.len() >= max_waiters && is_new {
            return JoinOutcome::Full;
        }
        ledger.waited += 1;
        ledger.waitlist.join(waiter, waker, deadline);
        self.set_gate(&ledger);
        let arm = deadline < ledger.armed;
        if arm {
            ledger.armed = deadline;
        }
        let may_grow = ledger.phase == Phase::Open
            && ledger.occupied < ledger.max_size
            && ledger.opening < ledger.waitlist.len();
        JoinOutcome::Queued {
            may_grow,
            arm,
            is_alone: ledger.waitlist.len() == 1,
        }
    }

    /// Gives `waiter`, which found a connection without queueing, its place in the order of arrival: it may
    /// come to queue yet.
    pub(super) fn arrive(&self, waiter: &WaiterCell<O>) {
        lock(&self.ledger.0).waitlist.arrive(waiter);
    }

    /// As [`claim`](Self::claim), of a pool that keeps its idle connections in order.
    pub(super) fn claim_listed(&self) -> Option<SlotToken<O>> {
        let mut ledger = lock(&self.ledger.0);
        let free = ledger.phase == Phase::Open && ledger.waitlist.len() == 0;
        if free {
            self.take_idle(&mut ledger, &mut (0..self.bound()))
        } else {
            None
        }
    }

    /// Claims an idle slot as a lease; if there is none, every leased slot has its mark afterwards. `slots` are those
    /// to be looked at, all at first; passed again while the lock is held, those that were not.
    pub(super) fn take_idle(
        &self,
        ledger: &mut Ledger<O>,
        slots: &mut Range<usize>,
    ) -> Option<SlotToken<O>> {
        match ledger.order {
            Order::Local => {
                slots.find_map(|index| SlotToken::claim_or_mark(self.table.slot(index)?))
            }
            Order::Listed { newest_first, .. } => {
                let listed = if newest_first {
                    ledger.idle.pop_back()
                } else {
                    ledger.idle.pop_front()
                };
                let index = listed?.index;
                let token = self.table.slot(index as usize).and_then(SlotToken::claim);
                let mut token =
                    token.expect("listed slots are idle: they change only under the lock");
                token.pass(Report::Wanted);
                Some(token)
            }
        }
    }

    /// The outcome, if there is one; else `waker` is woken when there is.
    pub(super) fn renew(
        &self,
        waiter: Pin<&WaiterCell<O>>,
        waker: Waker,
    ) -> Poll<Result<SlotToken<O>, O::Refusal>> {
        let renewed = lock(&self.ledger.0).waitlist.renew(waiter, waker);
        // The wakers are dropped here, outside the lock: their drops are user code.
        match renewed {
            Ok(old) => {
                release(old);
                Poll::Pending
            }
            Err(new) => {
                release(Some(new));
                Poll::Ready(waiter.coming_outcome())
            }
        }
    }

    /// Takes `waiter`, which has joined, out of the queue; its outcome, if its turn came first.
    pub(super) fn leave(
        &self,
        waiter: Pin<&WaiterCell<O>>,
    ) -> Option<Result<SlotToken<O>, O::Refusal>> {
        let left = {
            let mut ledger = lock(&self.ledger.0);
            let left = ledger.waitlist.leave(waiter);
            self.set_gate(&ledger);
            left
        };
        match left {
            Ok(waker) => {
                release(waker);
                None
            }
            Err(()) => Some(waiter.coming_outcome()),
        }
    }

    pub(super) fn set_gate(&self, ledger: &Ledger<O>) {
        let phase = match ledger.phase {
            Phase::Open => 0,
            Phase::Paused => GATE_PAUSED,
            Phase::Closed => GATE_CLOSED,
        };
        let order = if ledger.order == Order::Local {
            0
        } else {
            GATE_ORDERED
        };
        let waiters = if ledger.waitlist.len() == 0 {
            0
        } else {
            GATE_WAITERS
        };
        let gate = phase | order | waiters;
        // While it stays the same, every thread keeps its copy of the line.
        if self.gate.0.load(Ordering::Relaxed) != gate {
            self.gate.0.store(gate, Ordering::Release);
        }
    }

    /// Gives `token` back through the ledger: to the head of the queue, to idle, or refused.
    pub(crate) fn release(&self, mut token: SlotToken<O>, idling: IdleSince) -> Release<O> {
        let popped = {
            let mut ledger = lock(&self.ledger.0);
            let room = match ledger.order {
                Order::Local => true,
                Order::Listed { max_idle, .. } => ledger.idle.len() < max_idle,
            };
            if ledger.phase == Phase::Closed {
                return ledger.excess(token, Excess::Closed);
            } else if ledger.over_size() {
                return ledger.excess(token, Excess::OverSize);
            } else if !O::is_wanted(self, token.meta()) {
                return ledger.excess(token, Excess::Unwanted);
            } else if ledger.serving() {
                self.release_to_waiter(&mut ledger, &mut token)
            } else if !room {
                return ledger.excess(token, Excess::OverIdle);
            } else {
                if ledger.order != Order::Local {
                    ledger.list(&token, idling);
                }
                token.make_idle(idling);
                return Release::Kept;
            }
        };
        // Only now: the waiter's memory is another processor's as often as not.
        wake_all(popped.grant(token));
        Release::Kept
    }

    /// A connection the pool itself had in hand becomes a user's lease; refused unless the pool is
    /// open and wants it still.
    pub(crate) fn relet(&self, mut token: SlotToken<O>) -> Result<SlotToken<O>, SlotToken<O>> {
        let ledger = lock(&self.ledger.0);
        if ledger.phase != Phase::Open || !O::is_wanted(self, token.meta()) {
            return Err(token);
        }
        let plain =
            ledger.waitlist.len() == 0 && ledger.order == Order::Local && !ledger.over_size();
        token.pass(if plain { Report::None } else { Report::Wanted });
        Ok(token)
    }

    /// While somebody waits: makes `token` the lease of the first in the queue, to be told of it.
    pub(super) fn release_to_waiter(
        &self,
        ledger: &mut Ledger<O>,
        token: &mut SlotToken<O>,
    ) -> Popped<O> {
        // Noticed while others still wait: the invariant of the module.
        let others = if ledger.waitlist.len() > 1 {
            Report::Wanted
        } else {
            Report::None
        };
        let report = match ledger.order {
            Order::Local => others,
            Order::Listed { .. } => Report::Wanted,
        };
        token.pass(report);
        let popped = ledger.waitlist.pop();
        self.set_gate(ledger);
        popped.expect("called while somebody waits")
    }
}
