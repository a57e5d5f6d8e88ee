//! What a pool over a set of endpoints knows of them, beside what the kernel counts. Who belongs to the set is for the
//! [follower](super::follow); which endpoint serves, for the policy that is asked here; which one is dialled, for
//! [`dial_of_set`](super::dial_of_set).

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::by_key::ByKey;
use super::drains::Drains;
use super::follow::Left;
use super::listing;
use super::recent_leases::RecentLeases;
use super::set_dials::SetDials;
use super::state::LifecycleCore;
use super::supply::TellStatus;
use super::target::Target;
use crate::connect::Connect;
use crate::endpoints::{EndpointId, Key};
use crate::kernel::{self, EndpointNumber, Endpoints, Record, Room};
use crate::policy::accrual::AccrualSettings;
use crate::policy::balance::{Candidates, Choice, Load, Picker, Rule};
use crate::policy::shares::SlowStart;
use crate::rt;
use crate::settings::{SetSettings, Settings};
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, MutexGuard, lock};
use crate::wake::Notify;

/// A set, as its lifecycle knows it.
pub(crate) struct SetState<C: Connect> {
    pub(super) rule: Rule,
    /// How often a thread began to choose.
    pickers: AtomicU64,
    /// What each endpoint may have.
    pub(super) room: Room,
    /// What ejects an endpoint.
    pub(super) accrual: AccrualSettings,
    pub(super) slow_start: Option<SlowStart>,
    /// By number: what is dialled now. Leaf lock; no user code runs under it.
    targets: Mutex<Vec<Option<Arc<Target<C>>>>>,
    dials: Mutex<SetDials>,
    /// What keys lead to.
    pub(super) by_key: ByKey,
    /// A leaf lock, too.
    drains: Mutex<Drains>,
    pub(super) drain_timeout: Option<Duration>,
    /// A leaf lock, too.
    recent_leases: Mutex<RecentLeases>,
    /// No endpoint has room.
    is_full: Arc<AtomicBool>,
    /// So many more endpoints can be ejected without a look at all of them: the follower writes it, for one level.
    pub(super) may_eject: AtomicUsize,
    /// When what is known of how long calls take fades next.
    pub(super) next_fade: AtomicU64,
    /// Somebody has told how a call ended.
    pub(super) hears_outcomes: AtomicBool,
    /// Ejected endpoints are used.
    pub(super) is_in_panic: AtomicBool,
    /// Endpoints that are to be forgotten once their connections are gone.
    pub(super) leaving: AtomicUsize,
    /// Told to the follower: an endpoint went down or came up, or one that leaves has lost a connection.
    pub(super) changed: Arc<Notify>,
    /// What the discovery says of itself.
    pub(super) discovery: TellStatus,
    /// The follower, from when its runtime has ended until it follows on. Leaf lock.
    pub(super) left: Mutex<Option<Left>>,
}

/// Dials under way to one endpoint at most.
const MAX_OPENING: u32 = 2;

impl<C: Connect> SetState<C> {
    pub(super) fn new(settings: &Settings, discovery: TellStatus) -> Self {
        let SetSettings {
            balance,
            max_per_endpoint,
            ejection,
            slow_start,
            drain_timeout,
        } = settings.set.unwrap_or_default();
        let dials = SetDials::default();
        Self {
            is_full: dials.is_full(),
            rule: balance.rule(),
            pickers: AtomicU64::new(0),
            room: Room {
                max_size: max_per_endpoint.try_into().unwrap_or(u32::MAX),
                max_opening: MAX_OPENING,
            },
            accrual: ejection.accrual(),
            slow_start: slow_start.map(|window| SlowStart {
                window,
                aggression: 1.0,
            }),
            targets: Mutex::new(Vec::new()),
            dials: Mutex::new(dials),
            by_key: ByKey::default(),
            drains: Mutex::new(Drains::default()),
            recent_leases: Mutex::new(RecentLeases::default()),
            drain_timeout,
            may_eject: AtomicUsize::new(0),
            next_fade: AtomicU64::new(0),
            hears_outcomes: AtomicBool::new(false),
            is_in_panic: AtomicBool::new(false),
            leaving: AtomicUsize::new(0),
            changed: Arc::new(Notify::new()),
            discovery,
            left: Mutex::new(None),
        }
    }

    /// Whether one more endpoint can be ejected, and half of those that can be reached are left all the same.
    pub(super) fn may_eject(&self) -> bool {
        let one_less = |may: usize| may.checked_sub(1);
        self.may_eject
            .fetch_update(Relaxed, Relaxed, one_less)
            .is_ok()
    }

    /// Whether no endpoint has room for another connection.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Relaxed)
    }

    pub(super) fn dials(&self) -> MutexGuard<'_, SetDials> {
        lock(&self.dials)
    }

    pub(super) fn recent_leases(&self) -> MutexGuard<'_, RecentLeases> {
        lock(&self.recent_leases)
    }

    pub(super) fn drains(&self) -> MutexGuard<'_, Drains> {
        lock(&self.drains)
    }

    /// What is dialled of the endpoint with this number.
    pub(super) fn target(&self, number: EndpointNumber) -> Option<Arc<Target<C>>> {
        let targets = lock(&self.targets);
        targets.get(number as usize)?.clone()
    }

    /// What names the endpoint with this number.
    pub(super) fn id(&self, number: EndpointNumber) -> Option<EndpointId> {
        let targets = lock(&self.targets);
        targets.get(number as usize)?.as_ref()?.id()
    }

    /// What the endpoint with this number is called.
    pub(super) fn name(&self, number: EndpointNumber) -> Option<Arc<str>> {
        let target = self.target(number)?;
        let name = target.name();
        // Perhaps the last reference, and a connector's drop is user code.
        let _ = rt::calling(|| drop(target));
        name
    }

    /// Whether this is what is dialled of its endpoint, which is one of those that may be.
    pub(super) fn is_current(&self, target: &Target<C>) -> bool {
        let Some(number) = target.number() else {
            return false;
        };
        let targets = lock(&self.targets);
        let current = targets.get(number as usize).and_then(Option::as_ref);
        current.is_some_and(|current| std::ptr::eq(&**current, target))
    }

    /// Has the endpoint with this number dialled so from now on; the target of before is to be dropped by the caller, for a
    /// connector's drop is user code.
    pub(super) fn set_target(
        &self,
        number: EndpointNumber,
        target: Option<Arc<Target<C>>>,
    ) -> Option<Arc<Target<C>>> {
        let mut targets = lock(&self.targets);
        let number = number as usize;
        if targets.len() <= number {
            targets.resize_with(number + 1, || None);
        }
        std::mem::replace(&mut targets[number], target)
    }

    /// All there are, those included that leave.
    pub(super) fn all_targets(&self) -> Vec<Arc<Target<C>>> {
        lock(&self.targets).iter().flatten().cloned().collect()
    }

    /// For a thread that has none, or had to give it up: each another one, the same in each run with the same seed.
    #[cold]
    fn picker(&self, settings: &Settings) -> Picker {
        let seed = settings.seed.unwrap_or_else(|| fastrand::u64(..));
        Picker::new(seed.wrapping_add(self.pickers.fetch_add(1, Relaxed)))
    }

    /// A connection is gone: it may have been the last of an endpoint that leaves.
    pub(super) fn vacated(&self) {
        self.dials().has_room_again();
        if self.leaving.load(Relaxed) > 0 {
            self.changed.notify_one();
        }
    }
}

impl<C: Connect> LifecycleCore<C> {
    /// Which rule chooses endpoints of the set, if there is one.
    pub(crate) fn rule(&self) -> Option<Rule> {
        Some(self.owner.targets.set()?.rule)
    }

    /// What names the endpoint with this key, if it is in the set.
    pub(crate) fn endpoint_id<K: Key>(&self, key: &K) -> Option<EndpointId> {
        listing::id_of(self.owner.targets.set()?.by_key.listing()?, key)
    }
}

/// The drawn endpoints, as the policy sees them.
struct Drawn<'a>(&'a Endpoints);

impl<'a> Candidates for Drawn<'a> {
    type Endpoint = &'a Record;

    #[inline(always)]
    fn len(&self) -> usize {
        self.0.drawn()
    }

    #[inline(always)]
    fn at(&self, place: usize) -> Option<(&'a Record, Load)> {
        let record = self.0.record_at(place)?;
        let load = Load {
            in_flight: record.in_flight(),
            open: record.open(),
            weight: record.share.load(Relaxed),
            cost: f32::from_bits(record.cost.load(Relaxed)),
        };
        Some((record, load))
    }
}

/// A thread has pickers of this many pools at a time, by key modulo. With more, some begin anew now and then.
const POOLS: usize = 64;

thread_local! {
    static PICKERS: [Cell<Option<(u64, Picker)>>; POOLS] = const { [const { Cell::new(None) }; POOLS] };
}

/// Where a claim looks first and second.
#[inline]
pub(super) fn choose<'a, C: Connect>(
    core: &LifecycleCore<C>,
    endpoints: &'a Endpoints,
) -> Option<kernel::Choice<'a>> {
    let set = core.owner.targets.set()?;
    let key = core.key();
    let choose = |pickers: &[Cell<Option<(u64, Picker)>>; POOLS]| {
        let cell = &pickers[key as usize % POOLS];
        let mut picker = match cell.get() {
            Some((of, picker)) if of == key => picker,
            _ => set.picker(&core.owner.settings),
        };
        let choice = set.rule.choose(&Drawn(endpoints), &mut picker);
        cell.set(Some((key, picker)));
        choice
    };
    // Where the thread's locals are gone, any will do.
    let choice = PICKERS.try_with(choose).ok().flatten();
    choice.map(|Choice { first, second }| kernel::Choice {
        first: first.endpoint,
        second: second.endpoint,
        place: second.place,
    })
}
