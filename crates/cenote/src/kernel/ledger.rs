//! The ledger: the state behind the kernel's one lock, and how connections pass through it: from the caller
//! that returns one to the waiter at the head of the waitlist. `shelving`, `occupancy` and `phase` have the rest of what
//! takes the lock.

use std::mem;
use std::pin::Pin;
use std::task::{Poll, Waker};

use super::admission::{Members, Passage};
use super::aimed::AimedWaitlists;
use super::endpoints::EndpointNumber;
use super::fast_path::set_hint;
use super::record::Record;
use super::shelf::Shelf;
use super::state_word::{Mark, State};
use super::token::{GrantedToken, IdleSince, SlotToken};
use super::vacant_slots::VacantSlots;
use super::waitlist::{Popped, WaiterCell, Waitlist};
use super::{Core, GATE_CLOSED, GATE_PAUSED, GATE_SET, GATE_SHELF, GATE_WAITERS, Order, Owner};
use crate::sync::{Ordering, lock};
use crate::wake::{release, wake_all};

/// Guarded by `Core::ledger`. In declared order, so that what a hand-over touches is two lines.
#[repr(C)]
pub(super) struct Ledger<O: Owner> {
    pub(super) waitlist: TokenWaitlist<O>,
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
    pub(super) aimed: AimedWaitlists<O>,
    pub(super) shelf: Shelf,
    pub(super) vacant: VacantSlots,
    pub(super) members: Members,
}

/// A waitlist for connections, of all endpoints or of one.
pub(super) type TokenWaitlist<O> = Waitlist<GrantedToken<O>, <O as Owner>::Refusal>;

/// A waiter whose turn it is, to be granted its connection outside the lock.
pub(super) type GrantedWaiter<O> = Popped<GrantedToken<O>, <O as Owner>::Refusal>;

/// The cell of a waiter for a connection.
pub(super) type TokenCell<O> = WaiterCell<GrantedToken<O>, <O as Owner>::Refusal>;

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
    /// The endpoint that it wants a connection of may not serve.
    SentAway,
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
    /// Its endpoint is barred.
    Barred,
    /// Another endpoint should have a connection in its place.
    GivenUp,
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
            aimed: AimedWaitlists::new(),
            shelf: Shelf::new(order),
            vacant: VacantSlots::default(),
            members: Members::default(),
        }
    }

    /// How many wait, for any connection or for one of an endpoint.
    fn waiters(&self) -> usize {
        match self.aimed.is_empty() {
            true => self.waitlist.len(),
            false => self.waitlist.len() + self.aimed.len(),
        }
    }

    /// Whether, with all closes under way done, there would still be too many.
    pub(super) fn over_size(&self) -> bool {
        self.occupied - self.closing > self.max_size
    }
}

impl<O: Owner> Core<O> {
    /// Under the lock: the pool does not want `token`, for `why`.
    fn excess(&self, ledger: &mut Ledger<O>, token: SlotToken<O>, why: Excess) -> Release<O> {
        self.close_soon(ledger, &token);
        Release::Excess(token, why)
    }

    /// Under the lock: `token` is on its way out.
    pub(super) fn close_soon(&self, ledger: &mut Ledger<O>, token: &SlotToken<O>) {
        ledger.closing += 1;
        token.set_state(State::Closing);
        self.unlist_at_endpoint(token.slot());
        if let Some(member) = ledger.members.of(self, token.slot()) {
            member.lose(token.index());
        }
    }

    pub(super) fn join(
        &self,
        waiter: Pin<&TokenCell<O>>,
        aim: Option<EndpointNumber>,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> JoinOutcome<O> {
        // Cloned before the lock: a waker's clone is user code.
        let waker = waker.clone();
        let mut ledger = lock(&self.ledger);
        if ledger.phase == Phase::Closed {
            return JoinOutcome::Closed;
        }
        let aim = aim.zip(self.endpoints.as_deref());
        let may_serve = aim.is_none_or(|(number, _)| ledger.members.may_serve(number));
        if !may_serve {
            // It has not arrived yet: as many wait as may, perhaps, where it looks next.
            return JoinOutcome::SentAway;
        }
        let is_new = ledger.waitlist.arrive(&waiter);
        if ledger.phase == Phase::Open {
            let token = match aim {
                // If it is not its turn there, none is idle there.
                Some((number, endpoints)) => self.take_at(&mut ledger, endpoints, number),
                None if ledger.waitlist.is_first(&waiter) => {
                    self.take_idle(&mut ledger, &mut (0..self.bound()))
                }
                None => None,
            };
            if let Some(token) = token {
                return JoinOutcome::Granted(token);
            }
        }
        // Whose turn it was already is not sent away.
        if ledger.waiters() >= max_waiters && is_new {
            return JoinOutcome::Full;
        }
        ledger.waited += 1;
        match aim {
            Some((number, endpoints)) => ledger.join_at(endpoints, number, |waitlist| {
                waitlist.join(waiter, waker, deadline);
            }),
            None => {
                ledger.shelf.returns = 0;
                ledger.waitlist.join(waiter, waker, deadline);
                self.set_gate(&ledger);
            }
        }
        let arm = deadline < ledger.armed;
        if arm {
            ledger.armed = deadline;
        }
        let may_grow = ledger.phase == Phase::Open
            // Where its endpoint has none, another's connection may have to go for it.
            && (ledger.occupied < ledger.max_size || aim.is_some())
            // Of a set only the owner can say which dials are to be counted on.
            && (ledger.opening < ledger.waitlist.len() || self.endpoints.is_some());
        JoinOutcome::Queued {
            may_grow,
            arm,
            is_alone: ledger.waiters() == 1,
        }
    }

    /// Gives `waiter`, which found a connection without queueing, its place in the order of arrival: it may
    /// come to queue yet.
    pub(super) fn arrive(&self, waiter: &TokenCell<O>) {
        lock(&self.ledger).waitlist.arrive(waiter);
    }

    /// The outcome, if there is one; else `waker` is woken when there is.
    pub(super) fn renew(
        &self,
        waiter: Pin<&TokenCell<O>>,
        aim: Option<EndpointNumber>,
        waker: Waker,
    ) -> Poll<Result<SlotToken<O>, O::Refusal>> {
        let renewed = {
            let mut ledger = lock(&self.ledger);
            match aim {
                None => ledger.waitlist.renew(waiter, waker),
                Some(number) => match ledger.aimed.at(number) {
                    Some(waitlist) => waitlist.renew(waiter, waker),
                    None => Err(waker),
                },
            }
        };
        // The wakers are dropped here, outside the lock: their drops are user code.
        match renewed {
            Ok(old) => {
                release(old);
                Poll::Pending
            }
            Err(new) => {
                release(Some(new));
                Poll::Ready(waiter.coming_outcome().map(SlotToken::from))
            }
        }
    }

    /// Takes `waiter`, which has joined, out of the queue; its outcome, if its turn came first.
    pub(super) fn leave(
        &self,
        waiter: Pin<&TokenCell<O>>,
        aim: Option<EndpointNumber>,
    ) -> Option<Result<SlotToken<O>, O::Refusal>> {
        let left = {
            let mut ledger = lock(&self.ledger);
            match aim.zip(self.endpoints.as_deref()) {
                None => {
                    let left = ledger.waitlist.leave(waiter);
                    self.set_gate(&ledger);
                    left
                }
                Some((number, endpoints)) => {
                    let waitlist = ledger.aimed.at(number);
                    let left = waitlist.map_or(Err(()), |waitlist| waitlist.leave(waiter));
                    ledger.aimed_changed(endpoints, number);
                    left
                }
            }
        };
        match left {
            Ok(waker) => {
                release(waker);
                None
            }
            Err(()) => Some(waiter.coming_outcome().map(SlotToken::from)),
        }
    }

    pub(super) fn set_gate(&self, ledger: &Ledger<O>) {
        let phase = match ledger.phase {
            Phase::Open => 0,
            Phase::Paused => GATE_PAUSED,
            Phase::Closed => GATE_CLOSED,
        };
        let shelf = if ledger.shelf.is_up { GATE_SHELF } else { 0 };
        let waiters = if ledger.waitlist.len() == 0 {
            0
        } else {
            GATE_WAITERS
        };
        let set = if self.endpoints.is_some() {
            GATE_SET
        } else {
            0
        };
        let gate = phase | shelf | waiters | set;
        // While it stays the same, every thread keeps its copy of the line.
        if self.gate.load(Ordering::Relaxed) != gate {
            self.gate.store(gate, Ordering::Release);
        }
    }

    /// Gives `token` back through the ledger: to the head of the queue, to idle, or refused.
    pub(crate) fn release(&self, mut token: SlotToken<O>, idling: IdleSince) -> Release<O> {
        let popped = {
            let mut ledger = lock(&self.ledger);
            let room = match ledger.order {
                Order::Local | Order::Balanced => true,
                Order::Listed { max_idle, .. } => ledger.shelf.len() < max_idle,
            };
            if ledger.phase == Phase::Closed {
                return self.excess(&mut ledger, token, Excess::Closed);
            } else if ledger.over_size() {
                return self.excess(&mut ledger, token, Excess::OverSize);
            } else if !O::is_wanted(self, token.meta()) {
                return self.excess(&mut ledger, token, Excess::Unwanted);
            }
            match self.passage(&mut ledger, &token) {
                Passage::Free => {}
                Passage::Aside => {
                    self.lay_aside(&mut ledger, token);
                    return Release::Kept;
                }
                Passage::Closed => return self.excess(&mut ledger, token, Excess::Barred),
                Passage::GivenUp => return self.excess(&mut ledger, token, Excess::GivenUp),
            }
            if let Some(popped) = self.pass_to_waiter(&mut ledger, &mut token) {
                popped
            } else if !room {
                return self.excess(&mut ledger, token, Excess::OverIdle);
            } else if ledger.shelf.is_up {
                self.shelve(&mut ledger, token, idling);
                return Release::Kept;
            } else {
                token.make_idle(idling, Mark::No);
                return Release::Kept;
            }
        };
        // Only now: the waiter's memory is another processor's as often as not.
        wake_all(popped.grant(token.into()));
        Release::Kept
    }

    /// A connection the pool itself had in hand becomes a user's lease; refused unless the pool is
    /// open and wants it still.
    pub(crate) fn relet(&self, mut token: SlotToken<O>) -> Result<SlotToken<O>, SlotToken<O>> {
        let mut ledger = lock(&self.ledger);
        if ledger.phase != Phase::Open
            || !O::is_wanted(self, token.meta())
            || !self.may_lease(&mut ledger, &token)
        {
            return Err(token);
        }
        let is_awaited = |record: &Record| ledger.aimed.first_at(record.number()).is_some();
        let is_awaited = token.slot().record(self).is_some_and(is_awaited);
        let member = ledger.members.of(self, token.slot());
        let gives_up = member.is_some_and(|member| member.gives_up());
        let plain = !ledger.shelf.is_up
            && !ledger.over_size()
            && !O::must_report(self)
            && !is_awaited
            && !gives_up;
        token.pass(if plain { Mark::No } else { Mark::Yes });
        Ok(token)
    }

    /// Makes `token` the lease of the first of those who wait for it, to be told of it. `None`: nobody does.
    pub(super) fn pass_to_waiter(
        &self,
        ledger: &mut Ledger<O>,
        token: &mut SlotToken<O>,
    ) -> Option<GrantedWaiter<O>> {
        if ledger.phase != Phase::Open {
            return None;
        }
        let popped = ledger.pop_for(|| self.endpoints.as_deref().zip(token.slot().record(self)))?;
        // Somebody waited for any, so the shelf is up, or a resume sets it up if others go on waiting; or for this one,
        // and others may do so still.
        token.pass(Mark::Yes);
        self.set_gate(ledger);
        Some(popped)
    }
}

impl<O: Owner> SlotToken<O> {
    /// Under the ledger's lock: makes the slot idle, free or on the shelf. The caller has its own handle of the core.
    pub(super) fn make_idle(self, idling: IdleSince, mark: Mark) {
        let slot = self.slot();
        let was = slot.word(Ordering::Relaxed);
        let idle = was.to(State::Idle);
        if was.is_counted() {
            slot.count(self.core(), was.state(), State::Idle);
        } else if idling == IdleSince::Now {
            // Good once the slot is free.
            set_hint(self.core().key, slot, idle);
        }
        slot.word.store(idle.with(mark).0, Ordering::Release);
        mem::forget(self);
    }
}
