//! The ledger: the state behind the kernel's one lock, and every operation that takes it: queueing,
//! handing on, opening, vacating, and changes of size or mode.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Poll, Waker};

use super::queue::{End, Queue, Turn, Waiter};
use super::slot::{Held, Notice, Opening};
use super::sync::{Arc, Ordering, lock};
use super::word::{State, Word};
use super::{Core, Order, Owner};

const GATE_CLOSED: u64 = 1;
const GATE_PAUSED: u64 = 2;
pub(super) const GATE_ORDERED: u64 = 4;
/// Somebody waits.
const GATE_WAITERS: u64 = 8;

/// Guarded by `Core::ledger`. In declared order, so that what a hand-over touches is two lines.
#[repr(C)]
pub(super) struct Ledger<O: Owner> {
    queue: Queue<O>,
    /// The earliest deadline the owner was told of; `u64::MAX` if none.
    armed: u64,
    max_size: usize,
    /// Slots not vacant.
    occupied: usize,
    /// Slots owned by a dial; part of `occupied`.
    opening: usize,
    /// Slots whose connection is being closed; part of `occupied`.
    closing: usize,
    order: Order,
    phase: Phase,
    /// The rank of the next connection that comes back from a lease.
    next_rank: u32,
    /// With `Order::Listed`, exactly the idle slots, in the order of their ranks, oldest first; else empty.
    idle: VecDeque<Listed>,
}

/// A place in the order of idle connections.
struct Listed {
    rank: u32,
    index: u32,
}

/// How a connection becomes idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Idling {
    /// After a lease: it is the newest.
    Begins,
    /// After upkeep had it for a moment: it takes its old place in the order.
    Continues,
}

/// Whether leases are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    Paused,
    Closed,
}

/// What came of joining the queue.
pub(crate) enum Joined<O: Owner> {
    /// It was this waiter's turn and a connection was idle.
    Granted(Held<O>),
    /// It waits.
    Queued {
        /// Another connection may be opened for it.
        may_grow: bool,
        /// No earlier deadline is watched: the owner must see to this one.
        arm: bool,
    },
    /// As many wait as may.
    Full,
    /// The pool is closed.
    Closed,
}

/// What came of giving a slot back through the ledger.
pub(crate) enum Settled<O: Owner> {
    /// Handed to a waiter, or idle.
    Done,
    /// The pool does not want it: the caller closes it.
    Surplus(Held<O>, Surplus),
}

/// Why the pool does not want a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    Closed,
    OverSize,
    OverIdle,
    Unwanted,
}

/// What the ledger says about supply and demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) waiters: usize,
    pub(crate) occupied: usize,
    pub(crate) opening: usize,
    pub(crate) closing: usize,
    pub(crate) max_size: usize,
    pub(crate) phase: Phase,
    /// How often somebody queued, so far.
    pub(crate) waited: u64,
}

impl<O: Owner> Ledger<O> {
    pub(super) fn new(max_size: usize, order: Order) -> Self {
        Self {
            queue: Queue::new(),
            armed: u64::MAX,
            max_size,
            occupied: 0,
            opening: 0,
            closing: 0,
            order,
            phase: Phase::Open,
            next_rank: 0,
            idle: VecDeque::new(),
        }
    }

    fn serving(&self) -> bool {
        self.phase == Phase::Open && self.queue.len() > 0
    }

    /// Whether, with all closes under way done, there would still be too many.
    fn over_size(&self) -> bool {
        self.occupied - self.closing > self.max_size
    }

    /// Puts `held` in the list of idle slots.
    fn list(&mut self, held: &Held<O>, idling: Idling) {
        if idling == Idling::Begins {
            held.set_rank(self.next_rank);
            self.next_rank = self.next_rank.wrapping_add(1);
        }
        let (rank, index) = (held.rank(), held.index());
        // Its place is the last one, unless it was out of turn.
        // Ranks wrap around; how long ago one was given does not.
        let age = |rank: u32| self.next_rank.wrapping_sub(rank);
        let place = self
            .idle
            .partition_point(|listed| age(listed.rank) > age(rank));
        self.idle.insert(place, Listed { rank, index });
    }

    /// The pool does not want `held`, for `why`.
    fn surplus(&mut self, held: Held<O>, why: Surplus) -> Settled<O> {
        self.closing += 1;
        held.mark(State::Closing);
        Settled::Surplus(held, why)
    }
}

impl<O: Owner> Core<O> {
    pub(super) fn join(
        &self,
        waiter: Pin<&Waiter<O>>,
        end: End,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> Joined<O> {
        // Cloned before the lock: a waker's clone is user code.
        let waker = waker.clone();
        let mut ledger = lock(&self.ledger.0);
        if ledger.phase == Phase::Closed {
            return Joined::Closed;
        }
        let first = ledger.queue.len() == 0 || end == End::Front;
        if first
            && ledger.phase == Phase::Open
            && let Some(held) = self.take_idle(&mut ledger)
        {
            return Joined::Granted(held);
        }
        if ledger.queue.len() >= max_waiters && end == End::Back {
            return Joined::Full;
        }
        ledger.queue.join(waiter, end, waker, deadline);
        self.set_gate(&ledger);
        let arm = deadline < ledger.armed;
        if arm {
            ledger.armed = deadline;
        }
        let may_grow = ledger.phase == Phase::Open
            && ledger.occupied < ledger.max_size
            && ledger.opening < ledger.queue.len();
        Joined::Queued { may_grow, arm }
    }

    /// As [`claim`](Self::claim), of a pool that keeps its idle connections in order.
    pub(super) fn claim_listed(&self) -> Option<Held<O>> {
        let mut ledger = lock(&self.ledger.0);
        let free = ledger.phase == Phase::Open && ledger.queue.len() == 0;
        if free {
            self.take_idle(&mut ledger)
        } else {
            None
        }
    }

    /// Claims an idle slot as a lease; if there is none, every leased slot has its notice afterwards.
    fn take_idle(&self, ledger: &mut Ledger<O>) -> Option<Held<O>> {
        match ledger.order {
            Order::Local => {
                (0..self.bound()).find_map(|index| self.table.slot(index)?.claim_or_notice())
            }
            Order::Listed { newest_first, .. } => {
                let listed = if newest_first {
                    ledger.idle.pop_back()
                } else {
                    ledger.idle.pop_front()
                };
                let index = listed?.index;
                let held = self
                    .table
                    .slot(index as usize)
                    .and_then(|slot| slot.claim());
                let mut held =
                    held.expect("listed slots are idle: they change only under the lock");
                held.pass(Notice::Wanted);
                Some(held)
            }
        }
    }

    /// The outcome, if there is one; else `waker` is woken when there is.
    pub(super) fn renew(
        &self,
        waiter: Pin<&Waiter<O>>,
        waker: Waker,
    ) -> Poll<Result<Held<O>, O::Refusal>> {
        let renewed = lock(&self.ledger.0).queue.renew(waiter, waker);
        // The wakers are dropped here, outside the lock: their drops are user code.
        match renewed {
            Ok(_old) => Poll::Pending,
            Err(_new) => Poll::Ready(waiter.coming_outcome()),
        }
    }

    /// Takes `waiter`, which has joined, out of the queue; its outcome, if its turn came first.
    pub(super) fn leave(&self, waiter: Pin<&Waiter<O>>) -> Option<Result<Held<O>, O::Refusal>> {
        let left = {
            let mut ledger = lock(&self.ledger.0);
            let left = ledger.queue.leave(waiter);
            self.set_gate(&ledger);
            left
        };
        match left {
            Ok(_waker) => None,
            Err(()) => Some(waiter.coming_outcome()),
        }
    }

    fn set_gate(&self, ledger: &Ledger<O>) {
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
        let waiters = if ledger.queue.len() == 0 {
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

    /// Gives `held` back through the ledger: to the head of the queue, to idle, or refused.
    pub(crate) fn settle(&self, mut held: Held<O>, idling: Idling) -> Settled<O> {
        let turn = {
            let mut ledger = lock(&self.ledger.0);
            let room = match ledger.order {
                Order::Local => true,
                Order::Listed { max_idle, .. } => ledger.idle.len() < max_idle,
            };
            if ledger.phase == Phase::Closed {
                return ledger.surplus(held, Surplus::Closed);
            } else if ledger.over_size() {
                return ledger.surplus(held, Surplus::OverSize);
            } else if !O::is_wanted(self, held.notes()) {
                return ledger.surplus(held, Surplus::Unwanted);
            } else if ledger.serving() {
                self.hand_over(&mut ledger, &mut held)
            } else if !room {
                return ledger.surplus(held, Surplus::OverIdle);
            } else {
                if ledger.order != Order::Local {
                    ledger.list(&held, idling);
                }
                held.make_idle(idling);
                return Settled::Done;
            }
        };
        // Only now: the waiter's memory is another processor's as often as not.
        wake(turn.grant(held));
        Settled::Done
    }

    /// A connection the pool itself had in hand becomes a user's lease; refused unless the pool is
    /// open and wants it still.
    pub(crate) fn lend(&self, mut held: Held<O>) -> Result<Held<O>, Held<O>> {
        let ledger = lock(&self.ledger.0);
        if ledger.phase != Phase::Open || !O::is_wanted(self, held.notes()) {
            return Err(held);
        }
        let plain = ledger.queue.len() == 0 && ledger.order == Order::Local && !ledger.over_size();
        held.pass(if plain { Notice::None } else { Notice::Wanted });
        Ok(held)
    }

    /// While somebody waits: makes `held` the lease of the first in the queue, to be told of it.
    fn hand_over(&self, ledger: &mut Ledger<O>, held: &mut Held<O>) -> Turn<O> {
        // Noticed while others still wait: the invariant of the module.
        let others = if ledger.queue.len() > 1 {
            Notice::Wanted
        } else {
            Notice::None
        };
        let notice = match ledger.order {
            Order::Local => others,
            Order::Listed { .. } => Notice::Wanted,
        };
        held.pass(notice);
        let turn = ledger.queue.pop();
        self.set_gate(ledger);
        turn.expect("called while somebody waits")
    }

    /// A vacant slot for a dial, unless `max_opening` are in flight or the pool is full or closed.
    pub(crate) fn open(self: &Arc<Self>, max_opening: usize) -> Option<Opening<O>> {
        let mut ledger = lock(&self.ledger.0);
        if ledger.phase == Phase::Closed
            || ledger.occupied >= ledger.max_size
            || ledger.opening >= max_opening
        {
            return None;
        }
        let bound = self.bound();
        let index = (0..bound)
            .find(|&index| self.is_vacant(index))
            .unwrap_or(bound);
        let slot = self.table.slot_or_grow(index);
        ledger.occupied += 1;
        ledger.opening += 1;
        // Release pairs with `bound()`'s Acquire: who sees the bound sees the slot.
        self.bound.store(bound.max(index + 1), Ordering::Release);
        Some(slot.occupy(self))
    }

    /// Under the ledger's lock, the only place where slots become vacant or cease to be.
    fn is_vacant(&self, index: usize) -> bool {
        self.table
            .slot(index)
            .is_none_or(|slot| slot.word(Ordering::Relaxed).state() == State::Vacant)
    }

    /// A dial became a connection; `change` moves the slot's word.
    pub(super) fn opened(&self, change: impl FnOnce()) {
        let mut ledger = lock(&self.ledger.0);
        ledger.opening -= 1;
        change();
    }

    /// A slot becomes vacant; `change` moves its word.
    pub(super) fn vacate(&self, index: u32, was: State, change: impl FnOnce()) {
        let mut ledger = lock(&self.ledger.0);
        ledger.occupied -= 1;
        match was {
            State::Opening => ledger.opening -= 1,
            State::Closing => ledger.closing -= 1,
            _ => {}
        }
        change();
        let mut bound = self.bound();
        if index as usize + 1 == bound {
            while bound > 0 && self.is_vacant(bound - 1) {
                bound -= 1;
            }
            self.bound.store(bound, Ordering::Release);
        }
    }

    /// Takes an idle slot for the pool itself, if it is still in the idle period that `seen` was read in.
    pub(crate) fn reserve(&self, index: usize, seen: Word) -> Option<Held<O>> {
        let slot = self.table.slot(index)?;
        if seen.state() != State::Idle {
            return None;
        }
        if self.gate.0.load(Ordering::Relaxed) & GATE_ORDERED == 0 {
            return slot.claim_from(seen, State::Reserved);
        }
        let mut ledger = lock(&self.ledger.0);
        let held = slot.claim_from(seen, State::Reserved)?;
        ledger.idle.retain(|listed| listed.index as usize != index);
        Some(held)
    }

    /// An idle slot the pool should not have, to be closed: it is closed, or over its size. With none
    /// left, every lease that should be closed has its notice.
    pub(crate) fn reserve_surplus(&self) -> Option<(Held<O>, Surplus)> {
        let mut ledger = lock(&self.ledger.0);
        let why = match ledger.phase {
            Phase::Closed => Surplus::Closed,
            _ if ledger.over_size() => Surplus::OverSize,
            _ => return None,
        };
        let held = self.take_idle(&mut ledger)?;
        match ledger.surplus(held, why) {
            Settled::Surplus(held, why) => Some((held, why)),
            Settled::Done => None,
        }
    }

    /// `held` is on its way out: it no longer counts as a connection the pool has, though its slot stays
    /// occupied until the token is dropped.
    pub(crate) fn retire(&self, held: &Held<O>) {
        let mut ledger = lock(&self.ledger.0);
        if held.state() != State::Closing {
            ledger.closing += 1;
            held.mark(State::Closing);
        }
    }

    /// Takes every idle slot for the pool itself, and makes every lease now out come back through the
    /// ledger: no connection slips between the two.
    pub(crate) fn recall(&self) -> Vec<Held<O>> {
        let mut ledger = lock(&self.ledger.0);
        ledger.idle.clear();
        let slots = (0..self.bound()).filter_map(|index| self.table.slot(index));
        let idle: Vec<_> = slots.filter_map(|slot| slot.claim_or_notice()).collect();
        idle.iter().for_each(Held::reserve);
        idle
    }

    fn notice_leased(&self) {
        for index in 0..self.bound() {
            if let Some(slot) = self.table.slot(index) {
                slot.notice_if_leased();
            }
        }
    }

    pub(crate) fn demand(&self) -> Demand {
        let ledger = lock(&self.ledger.0);
        Demand {
            waiters: ledger.queue.len(),
            occupied: ledger.occupied,
            opening: ledger.opening,
            closing: ledger.closing,
            max_size: ledger.max_size,
            phase: ledger.phase,
            waited: ledger.queue.joined(),
        }
    }

    /// The caller then closes what [`reserve_surplus`](Self::reserve_surplus) gives, or dials more.
    pub(crate) fn resize(&self, max_size: usize) {
        let mut ledger = lock(&self.ledger.0);
        ledger.max_size = max_size;
        self.notice_leased();
    }

    /// No leases until [`resume`](Self::resume); getters queue.
    pub(crate) fn pause(&self) {
        let mut ledger = lock(&self.ledger.0);
        if ledger.phase == Phase::Open {
            ledger.phase = Phase::Paused;
            self.set_gate(&ledger);
        }
    }

    /// Serves whoever queued meanwhile, in order.
    pub(crate) fn resume(&self) {
        let mut wakers = Vec::new();
        {
            let mut ledger = lock(&self.ledger.0);
            if ledger.phase == Phase::Paused {
                ledger.phase = Phase::Open;
            }
            while ledger.serving() {
                let Some(mut held) = self.take_idle(&mut ledger) else {
                    break;
                };
                let turn = self.hand_over(&mut ledger, &mut held);
                wakers.push(turn.grant(held));
            }
            self.set_gate(&ledger);
        }
        wakers.into_iter().for_each(wake);
    }

    /// Refuses everyone, now and later. Leases come back through the ledger and are refused.
    pub(crate) fn close(&self, why: impl FnMut() -> O::Refusal) {
        {
            let mut ledger = lock(&self.ledger.0);
            ledger.phase = Phase::Closed;
            self.notice_leased();
            self.set_gate(&ledger);
        }
        self.refuse_all(why);
    }

    /// Refuses all who wait.
    pub(crate) fn refuse_all(&self, why: impl FnMut() -> O::Refusal) {
        let wakers = {
            let mut ledger = lock(&self.ledger.0);
            let wakers = ledger.queue.refuse_all(why);
            ledger.armed = u64::MAX;
            self.set_gate(&ledger);
            wakers
        };
        wakers.into_iter().for_each(wake);
    }

    /// Refuses those whose deadline has come; the next deadline to watch, if any.
    pub(crate) fn refuse_due(&self, now: u64, why: impl FnMut() -> O::Refusal) -> Option<u64> {
        let (wakers, next) = {
            let mut ledger = lock(&self.ledger.0);
            let (wakers, next) = ledger.queue.refuse_due(now, why);
            ledger.armed = next.unwrap_or(u64::MAX);
            self.set_gate(&ledger);
            (wakers, next)
        };
        wakers.into_iter().for_each(wake);
        next
    }

    /// Wakes all who wait, in their places, to look after themselves.
    pub(crate) fn rouse(&self) {
        let wakers = lock(&self.ledger.0).queue.take_wakers();
        wakers.into_iter().for_each(wake);
    }
}

/// A waker that panics must not keep the next from being woken, nor a lease from being dropped.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        // Unwind safe: the waker is gone either way.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}
