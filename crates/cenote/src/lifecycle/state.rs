//! What all parts of one pool share: the connector, the settings, the metadata of each slot, the counters, and what one
//! look remembers for the next. The ground floor of the folder: of its files only what is shared too is imported here.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, OnceLock, Weak};
use std::time::Duration;

use super::dialer::Dialer;
use super::seen_lease::SeenLease;
use super::signals::{Face, SignalBox};
use super::spent::OnSpent;
use super::target::{Target, Targets};
use crate::budget::Membership;
use crate::connect::Connect;
use crate::error::{ConnectError, GetError};
use crate::hooks::Hooks;
use crate::keeper::Keeper;
use crate::kernel::call_site::CallSite;
use crate::kernel::{Core, Demand, SlotToken, State};
use crate::registry::{Listed, Registration};
use crate::report::{CloseReason, ConnectionInfo, Event, EventKind, Metrics};
use crate::rt::{self, Clock, Runtime, nanos};
use crate::settings::{ReturnEvents, Settings};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, lock};
use crate::wake::Notify;

/// The kernel with this pool in it.
pub(crate) type LifecycleCore<C> = Core<Lifecycle<C>>;
/// The right to one of this pool's connections.
pub(crate) type ConnectionToken<C> = SlotToken<Lifecycle<C>>;

/// What the connections of one pool have in common, whichever face they are for.
///
/// In declared order: what is written while the pool works, next to the kernel's ledger; then what leases do not look
/// at; last what each of them reads, next to the kernel's table. So no two threads meet on a cache line that neither
/// of them needs from the other.
#[repr(C)]
pub(crate) struct Lifecycle<C: Connect> {
    /// Taken before the budget's lock and the kernel's ledger, never after; no user code runs under it.
    dialer: Mutex<Dialer>,
    /// What looks after the pool, or did last. Only keepers' locks are taken under it.
    keeper: Mutex<Option<std::sync::Arc<Keeper>>>,
    /// What the last look remembers. A leaf lock.
    sweep: Mutex<Sweep>,
    pub(crate) metrics: Metrics,
    /// `Pool` handles. The last one dropped closes the pool; leases and upkeep do not count.
    pub(crate) handles: AtomicUsize,
    pub(crate) next_id: AtomicU64,
    /// When a keeper last took over from one that had died or stood still: what was idle then is checked.
    pub(crate) taken_over_at: AtomicU64,
    /// It has not seen to that yet.
    pub(crate) is_unchecked: AtomicBool,
    /// What connections signalled; most never do.
    pub(super) signal_box: OnceLock<Box<SignalBox>>,
    /// Told whenever a slot becomes vacant, or a dial has become a connection.
    pub(crate) changed: Notify,
    /// The entry of the face on it among the pools of the process.
    pub(crate) registration: OnceLock<Registration>,

    pub(crate) settings: Settings,
    pub(crate) hooks: Hooks<C>,
    pub(crate) runtime: Runtime,
    /// The pool's place under a bound that others share.
    pub(crate) budget: Option<Membership>,
    /// Since when the oldest caller of a face waits that has callers of its own; `u64::MAX`: none does. Written under that
    /// face's lock, and read alone: a budget that reads late asks again at the next change.
    pub(crate) oldest_waiter_of_face: AtomicU64,
    /// Of a pool under a key: told when nothing is left of it.
    pub(super) on_spent: Option<OnSpent>,

    /// Connections with a smaller id leave the pool when they come back.
    pub(crate) evict_below: AtomicU64,
    pub(crate) clock: Clock,
    /// Idle for less than this by the coarse clock, a connection is leased as it is.
    pub(crate) fresh_below: u64,
    /// Whether a clean connection can come back without an asynchronous step, and unseen.
    pub(crate) plain_return: bool,
    pub(crate) targets: Targets<C>,
}

/// What one look at the pool remembers for the next.
#[derive(Default)]
pub(crate) struct Sweep {
    /// When the next is due.
    pub(super) next: u64,
    /// Leases begun so far, and when that number was last seen to grow.
    pub(super) uses: u64,
    pub(super) used_at: u64,
    /// The last look found fewer idle than `min_idle`.
    pub(super) was_short: bool,
    /// When idle connections are asked again whether they are open.
    pub(super) next_look: u64,
}

/// No new connection is suspect: later than any was opened.
pub(crate) const PROVEN: u64 = u64::MAX;

/// Before any connection is opened.
const RETIRED: u64 = 0;
/// After that, and before any connection is opened all the same.
const MOVED: u64 = 1;

/// A connection; its slot's [`SlotMeta`] say the rest.
pub(crate) struct Entry<C: Connect> {
    pub(crate) conn: C::Connection,
    /// What it was opened to.
    pub(crate) target: StdArc<Target<C>>,
}

/// What anyone may read of a slot, and its holder writes; the follower brings ends forward. All relaxed: they inform
/// decisions that are made good by the slot's word. Times are the pool's clock.
#[derive(Default)]
#[repr(C)]
pub(crate) struct SlotMeta {
    // What every lease touches comes first: it shares a cache line with the slot's word.
    /// When it last came back from a lease, or was opened.
    pub(crate) idle_since: AtomicU64,
    /// When it is to be closed; [`RETIRED`] once a holder has said so, [`MOVED`] once the follower has.
    pub(crate) expires_at: AtomicU64,
    pub(crate) leased_at: AtomicU64,
    /// Leases this slot has carried, over all its connections.
    pub(crate) uses: AtomicU64,
    pub(crate) call_site: CallSite,
    pub(crate) id: AtomicU64,
    pub(crate) opened_at: AtomicU64,
    /// When it last passed a check.
    pub(crate) checked_at: AtomicU64,
    /// `uses` when the present connection was opened, with [`ADDED`] if it was opened elsewhere, and the
    /// [version](super::target::Member::version) of the set by which its endpoint was dialled, from [`VERSION`] on: a word of
    /// its own would be the one with which a slot takes two more lines.
    uses_before: AtomicU64,
    /// The lease that a look saw last.
    pub(super) seen: SeenLease,
}

/// Above any number of leases and any version.
const ADDED: u64 = 1 << 63;
/// Above any number of leases: where the low bits of the version begin.
const VERSION: u32 = 47;

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The pool opened it.
    Dialled,
    /// It was opened elsewhere: what becomes of it says nothing of connecting.
    Added,
}

impl SlotMeta {
    /// A lease begins. Only the holder writes `uses`, so load and store make an increment.
    #[inline(always)]
    pub(crate) fn leased(&self, now: u64, call_site: &'static std::panic::Location<'static>) {
        self.leased_at.store(now, Relaxed);
        self.call_site.set(call_site);
        self.uses.store(self.uses.load(Relaxed) + 1, Relaxed);
    }

    /// A face takes the connection for many users at once.
    pub(crate) fn taken(&self, now: u64) {
        self.leased_at.store(now, Relaxed);
        self.add_uses(1);
    }

    /// Only the holder writes `uses`.
    pub(crate) fn add_uses(&self, leases: u64) {
        self.uses.store(self.uses.load(Relaxed) + leases, Relaxed);
    }

    /// A connection is new in the slot.
    pub(super) fn begin_uses(&self, origin: Origin, version: u64) {
        let version = u64::from(version as u16) << VERSION;
        let added = match origin {
            Origin::Dialled => 0,
            Origin::Added => ADDED,
        };
        self.uses_before
            .store(self.uses.load(Relaxed) | version | added, Relaxed);
    }

    pub(super) fn origin(&self) -> Origin {
        match self.uses_before.load(Relaxed) & ADDED {
            0 => Origin::Dialled,
            _ => Origin::Added,
        }
    }

    /// Whether the connection was dialled by an earlier version of the set than this one. One that is older than half of the
    /// versions which sixteen bits tell apart is not: it ends with its lifetime.
    pub(super) fn is_before(&self, version: u64) -> bool {
        let own = (self.uses_before.load(Relaxed) >> VERSION) as u16;
        (version as u16).wrapping_sub(own) as i16 > 0
    }

    /// Leases that the connection has carried. Read by another thread than its holder's, the two counts may be of
    /// different moments.
    pub(super) fn uses_of_connection(&self) -> u64 {
        let before = self.uses_before.load(Relaxed) & ((1 << VERSION) - 1);
        self.uses.load(Relaxed).saturating_sub(before)
    }

    /// The connection is to be closed as soon as nobody has it.
    pub(crate) fn retire(&self) {
        self.expires_at.store(RETIRED, Relaxed);
    }

    /// The connection is to be closed as soon as nobody has it, for its address is gone. Said without a right to the slot:
    /// if that has another connection by now, it is that one which ends.
    pub(super) fn moved(&self) {
        self.expires_at.fetch_min(MOVED, Relaxed);
    }

    /// Whether a holder or the follower has said that the connection is to be closed.
    pub(super) fn is_to_end(&self) -> bool {
        self.expires_at.load(Relaxed) <= MOVED
    }

    /// Why the connection is to be closed by `now` if nobody has it.
    #[inline]
    pub(crate) fn end_of_life(&self, now: u64) -> Option<CloseReason> {
        match self.expires_at.load(Relaxed) {
            RETIRED => Some(CloseReason::Retired),
            MOVED => Some(CloseReason::EndpointGone),
            expires_at if now >= expires_at => Some(CloseReason::MaxLifetime),
            _ => None,
        }
    }

    pub(crate) fn info(&self, now: u64, taken_at: u64) -> ConnectionInfo {
        let since = |then: &AtomicU64, now: u64| {
            Duration::from_nanos(now.saturating_sub(then.load(Relaxed)))
        };
        ConnectionInfo {
            id: self.id.load(Relaxed),
            age: since(&self.opened_at, now),
            idle_for: since(&self.idle_since, taken_at),
            uses: self.uses_of_connection(),
        }
    }
}

/// Why a waiter waits no longer.
#[derive(Clone)]
pub(crate) enum Refusal {
    TimedOut,
    Closed,
    /// The endpoint that it waited at may not serve, or cannot be reached: it may look elsewhere.
    SentAway,
    Connect {
        failures: u32,
        error: ConnectError,
    },
}

impl<C: Connect> Lifecycle<C> {
    pub(crate) fn new(
        targets: Targets<C>,
        settings: Settings,
        hooks: Hooks<C>,
        runtime: Runtime,
        budget: Option<Membership>,
        on_spent: Option<OnSpent>,
    ) -> Self {
        // The coarse clock lags by a turn at most: early rather than late.
        let fresh_below = match settings.check_after_idle {
            _ if !hooks.before_get.is_empty() => 0,
            // Never: but a stopped clock still counts as stale.
            None => u64::MAX / 2,
            Some(after) => nanos(after.saturating_sub(settings.turn())),
        };
        Self {
            fresh_below,
            plain_return: hooks.after_return.is_empty()
                && settings.return_events == ReturnEvents::None,
            targets,
            dialer: Mutex::new(Dialer::new(settings.seed)),
            settings,
            hooks,
            clock: Clock::new(),
            runtime,
            handles: AtomicUsize::new(1),
            evict_below: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            metrics: Metrics::default(),
            keeper: Mutex::new(None),
            sweep: Mutex::new(Sweep::default()),
            taken_over_at: AtomicU64::new(0),
            is_unchecked: AtomicBool::new(false),
            signal_box: OnceLock::new(),
            changed: Notify::new(),
            registration: OnceLock::new(),
            budget,
            oldest_waiter_of_face: AtomicU64::new(u64::MAX),
            on_spent,
        }
    }

    /// If the connection can be leased without an asynchronous step, the time by which that is so. Never while the clock
    /// is stopped, so that no lease begins at a time that is none.
    #[inline(always)]
    pub(crate) fn fresh_at(&self, token: &ConnectionToken<C>) -> Option<u64> {
        let now = self.clock.coarse();
        let idle = now.saturating_sub(token.meta().idle_since.load(Relaxed));
        let entry = token.entry();
        let is_open = || rt::calling(|| entry.target.connector.is_open(&entry.conn));
        (idle < self.fresh_below && matches!(is_open(), Ok(true))).then_some(now)
    }

    pub(crate) fn dialer(&self) -> MutexGuard<'_, Dialer> {
        lock(&self.dialer)
    }

    pub(crate) fn keeper(&self) -> MutexGuard<'_, Option<std::sync::Arc<Keeper>>> {
        lock(&self.keeper)
    }

    pub(crate) fn signal_box(&self) -> &SignalBox {
        self.signal_box.get_or_init(Box::default)
    }

    /// The face that has leases of its own on its connections, if it is one.
    pub(super) fn face(&self) -> Option<StdArc<dyn Face>> {
        self.signal_box.get()?.face()
    }

    pub(crate) fn sweep(&self) -> MutexGuard<'_, Sweep> {
        lock(&self.sweep)
    }

    /// Whether the connection of this slot was open when all were to be replaced.
    pub(crate) fn is_evicted(&self, meta: &SlotMeta) -> bool {
        meta.id.load(Relaxed) < self.evict_below.load(Relaxed)
    }

    /// The budget, while it has a use elsewhere for connections that come back.
    pub(crate) fn contested_budget(&self) -> Option<&Membership> {
        self.budget.as_ref().filter(|budget| budget.is_contested())
    }

    /// Since when the oldest of those waits who want one more connection, on the clock of the budget. `since` then the
    /// oldest does in the waitlist here, where a face waits for callers of its own who are others from one moment to the
    /// next.
    pub(crate) fn oldest_on_budget_clock(&self, since: u64) -> u64 {
        let of_face = self.oldest_waiter_of_face.load(Relaxed);
        self.on_budget_clock(if of_face < u64::MAX { of_face } else { since })
    }

    /// A time of the pool's on the clock of its budget, which it has.
    pub(crate) fn on_budget_clock(&self, at: u64) -> u64 {
        let instant = self.clock.instant(at);
        self.budget.as_ref().map_or(0, |budget| budget.at(instant))
    }

    /// Tells the observers, if there are any. For places where no lock is held: they are user code.
    pub(crate) fn tell<'a>(&self, kind: impl FnOnce() -> EventKind<'a>) {
        self.tell_of(self.targets.one(), kind);
    }

    /// As [`tell`](Self::tell), of what happened to an endpoint or a connection of it.
    pub(crate) fn tell_of<'a>(
        &self,
        target: Option<&Target<C>>,
        kind: impl FnOnce() -> EventKind<'a>,
    ) {
        if !self.hooks.has_observers() {
            return;
        }
        self.tell_named(target.and_then(Target::name), kind);
    }

    /// As [`tell`](Self::tell), of what happened to an endpoint that is called so.
    pub(super) fn tell_named<'a>(
        &self,
        endpoint: Option<StdArc<str>>,
        kind: impl FnOnce() -> EventKind<'a>,
    ) {
        if !self.hooks.has_observers() {
            return;
        }
        self.hooks.tell(&Event {
            pool: &self.settings.name,
            endpoint: endpoint.as_deref(),
            kind: kind(),
        });
    }

    /// Lists `face` among the pools of the process, once.
    pub(crate) fn list(&self, face: Weak<dyn Listed>) {
        if let Some(registration) = Registration::of(face) {
            let _ = self.registration.set(registration);
        }
    }

    /// A dial that proves nothing has succeeded: its endpoint, of a set, is not down any more, and may have room.
    pub(super) fn told_of_dial(&self, target: &Target<C>) {
        if let (Some(set), Some(_)) = (self.targets.set(), target.number()) {
            set.dials().has_room_again();
            set.changed.notify_one();
        }
    }

    pub(crate) fn max_waiters(&self) -> usize {
        self.settings.max_waiters.unwrap_or(usize::MAX)
    }

    pub(crate) fn no_runtime(&self) -> GetError {
        GetError::NoRuntime {
            pool: self.settings.name.clone(),
        }
    }

    pub(crate) fn closed_error(&self) -> GetError {
        GetError::closed(self.settings.name.clone())
    }
}

impl<C: Connect> LifecycleCore<C> {
    pub(crate) fn count_idle(&self) -> usize {
        self.slots()
            .filter(|(_, word, _)| word.state() == State::Idle)
            .count()
    }

    /// Connections missing of the idle that `min_idle` asks for, or of the open that `min_size` does.
    pub(crate) fn shortage(&self, demand: &Demand) -> usize {
        let Settings {
            min_idle, min_size, ..
        } = self.owner.settings;
        let idle = min_idle.saturating_sub(self.count_idle());
        idle.max(min_size.saturating_sub(demand.open()))
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    /// Of the two lines of a slot, the notes leave the rest to the word, the references and a connection of a pointer.
    #[test]
    fn what_is_known_of_a_connection_leaves_room_for_it_in_the_lines_of_its_slot() {
        assert_eq!(size_of::<SlotMeta>(), 80);
    }

    #[test]
    fn the_version_by_which_a_connection_was_dialled_lies_beside_its_leases_and_origin() {
        let meta = SlotMeta::default();
        meta.add_uses(1_000_000);
        for (version, before, not_before) in [(0, 1, 0), (7, 8, 6), (65_535, 65_536, 65_535)] {
            meta.begin_uses(Origin::Added, version);
            meta.add_uses(3);
            assert!(meta.is_before(before) && !meta.is_before(not_before));
            assert_eq!(
                (meta.uses_of_connection(), meta.origin() == Origin::Added),
                (3, true)
            );
        }
        meta.begin_uses(Origin::Dialled, 65_535);
        assert!(meta.origin() == Origin::Dialled);
    }
}
