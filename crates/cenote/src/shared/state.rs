//! Which connections serve, what each carries, and who waits: the decisions of a shared pool, all of them
//! under one short lock.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::thread::available_parallelism;

use super::carrier::Carrier;
use super::places::Told;
use super::spares::{Recalled, Spares};
use super::{growing, upkeep};
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::keeper::Keeper;
use crate::lifecycle::signals::Face;
use crate::lifecycle::state::PoolCore;
use crate::policy::sharing::{Bounds, Choice, Chooser, Load, Marks, Shrinking};
use crate::report::{PoolState, Sharing, Status};
use crate::sync::{AtomicU64, Mutex, MutexGuard, lock};
use crate::wake::{release, wake_all};

/// What the handles, the leases and the tasks of one shared pool have in common.
pub(crate) struct Core<C: Multiplex> {
    /// The connections: opened there, looked after while they rest, and ended.
    pub(super) life: Arc<PoolCore<C>>,
    pub(super) limits: Limits,
    /// The same as the state's.
    pub(super) spares: Arc<Spares<Arc<Carrier<C>>>>,
    /// Under it are taken the locks of the spare places and no others: no user code, no waker and no drop of a
    /// connection runs under it; what has to follow is put into [`After`] and done by [`locked`](Self::locked) once it
    /// is let go. When it is let go, this is true:
    ///
    /// > if somebody waits, no connection in service has room, and there are no spare places.
    state: Mutex<State<C>>,
    /// How often a connection signalled that it is to be asked again. Counted with Release before anybody is told, so
    /// that what is asked after a count is read is no older than its signal.
    pub(super) signals: AtomicU64,
    /// What looks after the connections in service, or did last. A leaf lock, but for the keeper's own.
    keeper: Mutex<Option<Arc<Keeper>>>,
}

/// In how many lanes spare places are kept: enough for the threads of a runtime.
fn lanes() -> usize {
    // The models' connections carry few leases.
    if cfg!(cenote_shuttle) {
        return 2;
    }
    available_parallelism().map_or(1, |cores| (2 * cores.get()).min(MOST_LANES))
}

const MOST_LANES: usize = 16;

/// The settings that the sharing layer goes by.
pub(super) struct Limits {
    pub(super) choice: Choice,
    pub(super) marks: Marks,
    pub(super) min_size: usize,
    pub(super) acquire_timeout: Option<std::time::Duration>,
    pub(super) max_waiters: usize,
    /// The times of [`upkeep`], in nanoseconds.
    pub(super) times: upkeep::Times,
}

/// Guarded by `Core::state`.
pub(super) struct State<C: Multiplex> {
    pub(super) phase: PoolState,
    pub(super) max_size: usize,
    /// The connections in service, oldest first. Each carrier knows its index here.
    pub(super) seats: Vec<Seat<C>>,
    /// Leases on them, the sum of the seats', and the most there were since upkeep's last turn; spare places included.
    pub(super) in_flight: usize,
    pub(super) peak: usize,
    /// Connections that left their seats and have not gone yet, and the leases on them.
    pub(super) draining: usize,
    pub(super) draining_in_flight: usize,
    spares: Arc<Spares<Arc<Carrier<C>>>>,
    /// There may be spare places. Only while there is one seat, and upkeep runs; they are places on its connection.
    has_spares: bool,
    pub(super) chooser: Chooser,
    pub(super) shrinking: Shrinking,
    /// One more connection is on its way.
    pub(super) is_growing: bool,
    /// An upkeep task runs, or is about to.
    pub(super) is_kept: bool,
    /// The signals of which its last turn has seen to.
    pub(super) signals_seen: u64,
    /// The waiters, by their numbers, which are in the order of arrival.
    pub(super) queue: BTreeMap<u64, Waiter>,
    /// What those who waited are to be told when they ask. No number is in both maps.
    pub(super) told: BTreeMap<u64, Told<C>>,
    pub(super) next_number: u64,
    pub(super) gets: u64,
    pub(super) waited: u64,
    pub(super) rejected: u64,
    pub(super) timed_out: u64,
}

/// One that waits.
pub(super) struct Waiter {
    /// Since when, by the pool's clock.
    pub(super) since: u64,
    /// None of one that was woken and has not looked since.
    pub(super) waker: Option<Waker>,
}

/// A connection in service.
pub(super) struct Seat<C: Multiplex> {
    pub(super) carrier: Arc<Carrier<C>>,
    /// Spare places included.
    pub(super) in_flight: usize,
    /// What the connection said last; it is asked outside the lock.
    pub(super) capacity: usize,
    /// After so many signals: what was asked before, and arrives later, is no news.
    pub(super) asked_after: u64,
    /// Until then a new connection that never had capacity counts as still being opened; 0 once it had.
    pub(super) warm_until: u64,
    /// Leases it has carried.
    pub(super) leases: u64,
    /// Whether it was given a lease since upkeep's last turn, and since when it has none.
    pub(super) was_used: bool,
    pub(super) idle_since: u64,
}

impl<C: Multiplex> Seat<C> {
    pub(super) fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight,
            capacity: self.capacity,
        }
    }
}

/// What follows once the lock is let go.
pub(super) struct After<C: Multiplex> {
    /// Most often there is one.
    waker: Option<Waker>,
    wakers: Vec<Waker>,
    /// To be dropped: with a waker may go its whole task.
    pub(super) old_waker: Option<Waker>,
    /// Connections that left service, and places that were spare: perhaps the last reference.
    pub(super) gone: Vec<Arc<Carrier<C>>>,
    grow: bool,
    keep: bool,
}

impl<C: Multiplex> After<C> {
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        match self.waker {
            None => self.waker = waker,
            Some(_) => self.wakers.extend(waker),
        }
    }
}

impl<C: Multiplex> Core<C> {
    pub(super) fn new(life: Arc<PoolCore<C>>, limits: Limits, chooser: Chooser) -> Arc<Self> {
        let spares = Arc::new(Spares::new(lanes()));
        let state = State {
            phase: PoolState::Open,
            max_size: life.owner.settings.max_size,
            seats: Vec::new(),
            in_flight: 0,
            peak: 0,
            draining: 0,
            draining_in_flight: 0,
            spares: Arc::clone(&spares),
            has_spares: false,
            chooser,
            shrinking: Shrinking::new(limits.times.shrink_after),
            is_growing: false,
            is_kept: false,
            signals_seen: 0,
            queue: BTreeMap::new(),
            told: BTreeMap::new(),
            next_number: 0,
            gets: 0,
            waited: 0,
            rejected: 0,
            timed_out: 0,
        };
        let core = Arc::new(Self {
            life,
            limits,
            spares,
            state: Mutex::new(state),
            signals: AtomicU64::new(0),
            keeper: Mutex::new(None),
        });
        let face: Weak<dyn Face> = Arc::downgrade(&core) as _;
        core.life.owner.signal_box().set_face(face);
        core
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State<C>> {
        lock(&self.state)
    }

    pub(super) fn keeper(&self) -> MutexGuard<'_, Option<Arc<Keeper>>> {
        lock(&self.keeper)
    }

    /// A carrier has given its connection back.
    pub(super) fn gone(&self) {
        self.state().draining -= 1;
    }
}

impl<C: Multiplex> Core<C> {
    /// Changes the state under the lock, and after it does what follows.
    #[inline]
    pub(super) fn locked<T>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State<C>, &mut After<C>) -> T,
    ) -> T {
        let mut after = After {
            waker: None,
            wakers: Vec::new(),
            old_waker: None,
            gone: Vec::new(),
            grow: false,
            keep: false,
        };
        let result = change(&mut self.state(), &mut after);
        let After {
            waker,
            wakers,
            old_waker,
            gone,
            grow,
            keep,
        } = after;
        wake_all(waker.into_iter().chain(wakers));
        release(old_waker);
        drop(gone);
        if keep {
            upkeep::start(self);
        }
        if grow {
            growing::start(self);
        }
        result
    }

    pub(super) fn bounds(&self, state: &State<C>) -> Bounds {
        Bounds {
            min_size: self.limits.min_size,
            max_size: state.max_size,
        }
    }
}

impl<C: Multiplex> State<C> {
    /// Lets places that come free be spare, no more than `free` in all, for as long as there is nothing to decide.
    pub(super) fn allow_spares(&mut self, free: usize) {
        let most = self.spares.ration(free);
        if most == 0 || self.has_spares {
            return;
        }
        if let [seat] = &self.seats[..] {
            self.spares.allow(most, seat.capacity);
            self.has_spares = true;
        }
    }

    /// Has all places counted that were spare: as they are, and whatever came of them before. Before the seats change,
    /// and before anything is decided or told by how many leases there are.
    pub(super) fn recall_spares(&mut self, after: &mut After<C>) {
        if !std::mem::take(&mut self.has_spares) {
            return;
        }
        let Recalled { places, takes } = self.spares.recall();
        self.gets += takes;
        self.in_flight -= places.len();
        let [seat] = &mut self.seats[..] else {
            unreachable!("spare places are recalled before the seats change");
        };
        seat.in_flight -= places.len();
        seat.leases += takes;
        seat.was_used |= takes > 0;
        after.gone.extend(places);
    }

    pub(super) fn has_spares(&self) -> bool {
        self.has_spares
    }

    /// Takes a connection out of service: no new leases; it goes when those it carries have ended.
    pub(super) fn unseat(&mut self, after: &mut After<C>, i: usize) {
        self.recall_spares(after);
        let Seat {
            carrier,
            in_flight,
            leases,
            ..
        } = self.seats.remove(i);
        for (i, seat) in self.seats.iter().enumerate().skip(i) {
            seat.carrier.set_seat(Some(i));
        }
        carrier.set_seat(None);
        carrier.count_uses(leases);
        self.in_flight -= in_flight;
        self.draining_in_flight += in_flight;
        self.draining += 1;
        after.gone.push(carrier);
    }

    /// Ends the waiting of all.
    pub(super) fn refuse_all(&mut self, after: &mut After<C>, error: &GetError) {
        while let Some((number, waiter)) = self.queue.pop_first() {
            self.told.insert(number, Told::Refused(error.clone()));
            after.wake(waiter.waker);
        }
    }

    /// Wakes all waiters, to see to what nobody looks after any more; each leaves another waker when it looks.
    pub(super) fn wake_waiters(&mut self, after: &mut After<C>) {
        for waiter in self.queue.values_mut() {
            after.wake(waiter.waker.take());
        }
    }

    /// Sees to it that upkeep runs.
    pub(super) fn keep(&mut self, after: &mut After<C>) {
        if !self.is_kept {
            self.is_kept = true;
            after.keep = true;
        }
    }

    /// The keeper died with its runtime. With no spare places left, the next caller takes the lock and has the pool
    /// listed with another.
    pub(super) fn unkeep(&mut self, after: &mut After<C>) {
        self.is_kept = false;
        self.recall_spares(after);
    }

    pub(super) fn grow(&mut self, after: &mut After<C>) {
        self.is_growing = true;
        after.grow = true;
    }

    /// With what is known of the connections.
    pub(super) fn status(&self, connections: Status) -> Status {
        let capacity = |sum: usize, seat: &Seat<C>| sum.saturating_add(seat.capacity);
        // To the lifecycle beneath, whatever serves is leased.
        let unused = self.seats.iter().filter(|seat| seat.in_flight == 0).count();
        let unused = unused.min(connections.leased);
        Status {
            state: self.phase,
            idle: connections.idle + unused,
            leased: connections.leased - unused,
            waiters: self.queue.len(),
            sharing: Some(Sharing {
                in_flight: self.in_flight + self.draining_in_flight,
                capacity: self.seats.iter().fold(0, capacity),
                serving: self.seats.len(),
                draining: self.draining,
            }),
            ..connections
        }
    }

    pub(super) fn loads(&self) -> Vec<Load> {
        self.seats.iter().map(Seat::load).collect()
    }
}
