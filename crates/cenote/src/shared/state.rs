//! Which connections are active, what each carries, and which callers wait: the decisions of a shared pool, all of them
//! under one short lock.

use std::sync::{Arc, Weak};
use std::thread::available_parallelism;

use super::active::Active;
use super::active_connection::ActiveConnection;
use super::deferred::Deferred;
use super::grant::{Grant, Refusal};
use super::roster::{Roster, Views, count};
use super::set::SharedSet;
use super::shards::{Flushed, Shards};
use super::times::Times;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::keeper::Keeper;
use crate::kernel::{Endpoints, Waitlist};
use crate::lifecycle::signals::Face;
use crate::lifecycle::state::LifecycleCore;
use crate::policy::sharing::{Bounds, Choice, Chooser, Marks, Shrinking};
use crate::report::{PoolState, Sharing, Status};
use crate::sync::{AtomicU64, Mutex, MutexGuard, lock};
use crate::wake::Notify;

/// What the handles, the leases and the tasks of one shared pool have in common.
pub(crate) struct Core<C: Multiplex> {
    /// The connections: opened there, looked after while they are parked, and ended.
    pub(super) life: Arc<LifecycleCore<C>>,
    pub(super) limits: Limits,
    /// The same as the state's.
    pub(super) shards: Arc<Shards<Arc<ActiveConnection<C>>>>,
    pub(super) views: Arc<Views<C>>,
    /// Under it are taken the locks of the cached permits and of the threads' views, and no others: no user code, no waker
    /// and no drop of a connection runs under it; what has to follow is put into [`Deferred`] and done by
    /// [`locked`](Self::locked) once it is let go. When it is let go, this is true:
    ///
    /// > if somebody waits, no active connection has room, there are no cached permits, and the roster is not out.
    state: Mutex<State<C>>,
    /// When the active connections were last looked at, or an endpoint was admitted otherwise: a lease that begins later
    /// begins after that, which is what an endpoint's account wants to know of it.
    pub(super) looked_at: AtomicU64,
    /// There is more growth under way than is wanted any more: each looks again.
    pub(super) growth: Notify,
    /// How often a connection signalled that it is to be asked again. Counted with Release before anybody is told, so
    /// that what is asked after a count is read is no older than its signal.
    pub(super) signals: AtomicU64,
    /// What looks after the active connections, or did last. A leaf lock, but for the keeper's own.
    keeper: Mutex<Option<Arc<Keeper>>>,
}

/// In how many shards cached permits are kept: enough for the threads of a runtime.
fn width() -> usize {
    // The models' connections carry few leases.
    if cfg!(cenote_shuttle) {
        return 2;
    }
    available_parallelism().map_or(1, |cores| (2 * cores.get()).min(MOST_SHARDS))
}

const MOST_SHARDS: usize = 16;

/// The settings that the sharing layer goes by.
pub(super) struct Limits {
    pub(super) choice: Choice,
    pub(super) marks: Marks,
    pub(super) min_size: usize,
    pub(super) acquire_timeout: Option<std::time::Duration>,
    pub(super) max_waiters: usize,
    /// Of a set, so many connections are opened at once where callers wait for them and nothing serves.
    pub(super) max_growing: usize,
    pub(super) times: Times,
}

/// Guarded by `Core::state`.
pub(super) struct State<C: Multiplex> {
    pub(super) phase: PoolState,
    pub(super) max_size: usize,
    pub(super) active: Active<C>,
    /// The most leases there were on them since upkeep's last turn; cached permits included.
    pub(super) peak: usize,
    /// Connections that drain: no longer active and not gone yet; and the leases on them.
    pub(super) draining: usize,
    pub(super) draining_in_flight: usize,
    shards: Arc<Shards<Arc<ActiveConnection<C>>>>,
    /// There may be cached permits. Only while one connection is active, whose permits they are, and upkeep runs.
    has_cached: bool,
    views: Arc<Views<C>>,
    /// While it is out, what the active connections carry is counted by themselves.
    roster: Option<Arc<Roster<C>>>,
    /// What of the leases the views have counted was counted here when the roster was called in; it wraps around.
    counted_by_views: usize,
    /// How many gets there had been when it was called in.
    called_in_at: u64,
    pub(super) shrinking: Shrinking,
    /// Since when all connections have been busy, if that is why one more is to be opened and it has to wait.
    pub(super) busy_since: Option<u64>,
    /// So many more connections are on their way.
    pub(super) growing: usize,
    /// An upkeep task runs, or is about to.
    pub(super) upkeep_runs: bool,
    /// The signals of which its last turn has seen to.
    pub(super) signals_seen: u64,
    /// Each has its outcome before the lock is let go.
    pub(super) waitlist: Waitlist<Grant<C>, Refusal>,
    pub(super) gets: u64,
    pub(super) waited: u64,
    pub(super) rejected: u64,
    pub(super) timed_out: u64,
}

impl<C: Multiplex> Core<C> {
    pub(super) fn new(
        life: Arc<LifecycleCore<C>>,
        limits: Limits,
        chooser: Chooser,
        set: Option<SharedSet>,
    ) -> Arc<Self> {
        let shards = Arc::new(Shards::new(width()));
        let views = Arc::new(Views::new(width()));
        let state = State {
            phase: PoolState::Open,
            max_size: life.owner.settings.max_size,
            active: Active::new(chooser, limits.marks, set),
            peak: 0,
            draining: 0,
            draining_in_flight: 0,
            shards: Arc::clone(&shards),
            has_cached: false,
            views: Arc::clone(&views),
            roster: None,
            counted_by_views: 0,
            called_in_at: 0,
            shrinking: Shrinking::new(limits.times.shrink_after),
            busy_since: None,
            growing: 0,
            upkeep_runs: false,
            signals_seen: 0,
            waitlist: Waitlist::new(),
            gets: 0,
            waited: 0,
            rejected: 0,
            timed_out: 0,
        };
        let core = Arc::new(Self {
            life,
            limits,
            shards,
            views,
            state: Mutex::new(state),
            looked_at: AtomicU64::new(0),
            growth: Notify::new(),
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

    /// An active connection has given back its token.
    pub(super) fn gone(&self) {
        self.state().draining -= 1;
    }
}

impl<C: Multiplex> Core<C> {
    pub(super) fn bounds(&self, state: &State<C>) -> Bounds {
        Bounds {
            min_size: self.limits.min_size,
            max_size: state.max_size,
        }
    }
}

impl<C: Multiplex> State<C> {
    /// Lets released permits be cached, no more than `free` in all, for as long as there is nothing to decide.
    pub(super) fn allow_cached(&mut self, free: usize) {
        let most = self.shards.ration(free);
        // Where others cache already, this thread may still be without its shard.
        if most == 0 || self.has_cached && self.shards.has_shard() {
            return;
        }
        if let Some(entry) = self.active.only() {
            self.shards.allow(most, entry.capacity());
            self.has_cached = true;
        }
    }

    /// Flushes the permit cache, and counts what came of it. Before the active connections change, and before anything
    /// is decided or told by how many leases there are.
    pub(super) fn flush_cached(&mut self, deferred: &mut Deferred<C>) {
        if !std::mem::take(&mut self.has_cached) {
            return;
        }
        let Flushed { permits, takes } = self.shards.flush();
        self.gets += takes;
        // They are of the only one: permits are flushed before the active connections change.
        self.active.flushed(0, permits.len(), takes);
        deferred.gone.extend(permits);
    }

    pub(super) fn has_cached(&self) -> bool {
        self.has_cached
    }

    /// Whether there were enough leases under the lock since the roster was called in.
    pub(super) fn has_earned_roster(&self) -> bool {
        let leases = self.gets.saturating_sub(self.called_in_at);
        leases >= self.views.leases_between(self.active.len())
    }

    /// Hands out the roster, if there is one, of a pool that keeps `min_size`.
    pub(super) fn hand_out_roster(&mut self, min_size: usize, endpoints: Option<&Endpoints>) {
        // Not again at once, if there is none.
        self.called_in_at = self.gets;
        let (len, active) = (self.active.len(), &mut self.active);
        let Some(roster) = active.go_out(len < self.max_size, endpoints) else {
            return;
        };
        let may_shrink = len > min_size && active.any_is_spare();
        let capacity = may_shrink.then(|| active.capacity());
        // Without those on what drains, which are no load of these.
        let origin = active.in_flight().wrapping_sub(self.counted_by_views);
        let new_view = || active.new_view();
        self.roster = Some(self.views.hand_out(roster, origin, capacity, new_view));
    }

    /// Calls the roster in if it is out, and counts what was leased by it. To be dropped without the lock.
    #[must_use = "it references every connection"]
    pub(super) fn call_in_roster(&mut self) -> Option<Arc<Roster<C>>> {
        let roster = self.roster.take()?;
        let before = self.active.in_flight();
        self.peak = self.peak.max(self.views.call_in());
        self.gets += self.active.called_in();
        self.called_in_at = self.gets;
        let after = self.active.in_flight();
        self.peak = self.peak.max(after);
        let change = after.wrapping_sub(before);
        self.counted_by_views = self.counted_by_views.wrapping_add(change);
        Some(roster)
    }

    pub(super) fn has_roster(&self) -> bool {
        self.roster.is_some()
    }

    /// As [`in_flight`](Self::in_flight), but nearly so, and without a look at each connection while the roster is out.
    pub(super) fn in_flight_now(&self) -> usize {
        let counted = self.views.balance().wrapping_sub(self.counted_by_views);
        count(self.in_flight().wrapping_add(counted))
    }

    /// Has a connection drain: no new leases; it goes when those it carries have ended.
    pub(super) fn start_drain(&mut self, deferred: &mut Deferred<C>, i: usize) {
        self.flush_cached(deferred);
        let entry = self.active.remove(i);
        entry.conn.count_uses(entry.leases);
        self.draining_in_flight += entry.in_flight();
        self.draining += 1;
        deferred.gone.push(entry.conn);
    }

    /// Ends the waiting of all.
    pub(super) fn refuse_all(&mut self, deferred: &mut Deferred<C>, error: &GetError) {
        let wakers = self.waitlist.refuse_all(|| Refusal::Error(error.clone()));
        deferred.wakers.extend(wakers.into_iter().flatten());
    }

    /// Wakes all waiters, to see to what nobody looks after any more; each leaves another waker when it looks.
    pub(super) fn wake_waiters(&mut self, deferred: &mut Deferred<C>) {
        let wakers = self.waitlist.take_wakers();
        deferred.wakers.extend(wakers.into_iter().flatten());
    }

    /// Sees to it that upkeep runs.
    pub(super) fn ensure_upkeep(&mut self, deferred: &mut Deferred<C>) {
        if !self.upkeep_runs {
            self.upkeep_runs = true;
            deferred.start_upkeep = true;
        }
    }

    /// The keeper died with its runtime. With no cached permits left, the next caller takes the lock and has the pool
    /// listed with another.
    pub(super) fn upkeep_ended(&mut self, deferred: &mut Deferred<C>) {
        self.upkeep_runs = false;
        self.flush_cached(deferred);
    }

    pub(super) fn grow(&mut self, deferred: &mut Deferred<C>) {
        self.growing += 1;
        self.busy_since = None;
        deferred.grow += 1;
    }

    /// With what is known of the connections.
    pub(super) fn status(&self, connections: Status) -> Status {
        // To the lifecycle beneath, whatever serves is leased.
        let (mut ready, mut not_ready) = (0, 0);
        for entry in self.active.entries() {
            match (entry.in_flight(), entry.capacity()) {
                (0, 0) => not_ready += 1,
                (0, _) => ready += 1,
                _ => {}
            }
        }
        let ready = connections.leased.min(ready);
        let not_ready = (connections.leased - ready).min(not_ready);
        Status {
            state: self.phase,
            idle: connections.idle + ready,
            leased: connections.leased - ready - not_ready,
            upkeep: connections.upkeep + not_ready,
            waiters: self.waitlist.len(),
            sharing: Some(Sharing {
                in_flight: self.in_flight(),
                capacity: self.active.capacity(),
                serving: self.active.len(),
                draining: self.draining,
            }),
            ..connections
        }
    }

    /// Leases there are, cached permits included.
    pub(super) fn in_flight(&self) -> usize {
        self.active.in_flight() + self.draining_in_flight
    }
}
