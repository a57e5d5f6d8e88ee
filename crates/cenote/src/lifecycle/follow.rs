//! The follower: a task of each pool over a set of endpoints that makes of the set, and of what is known of each endpoint,
//! who may serve and with which share of the load. It acts while nobody calls and while all callers wait (linkerd2 #2550).
//!
//! `task` is what it runs in; `known` is what is known of each and what is thought of it; `admit` says who may serve;
//! `moving` ends connections to addresses that are gone.
//!
//! An endpoint that stays in the set keeps its number, its connections and what is known of it, whatever else changes.
//! One that leaves, or has weight 0, gets no leases any more; its idle connections are closed, the others when they come
//! back; once they are gone it is forgotten. If its key comes again before that, it is the same endpoint.

mod admit;
mod known;
mod moving;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Weak};

use tokio::sync::broadcast::{Receiver, error::RecvError};

use self::known::{Known, Stay};
use self::moving::Moving;
use self::task::Following;
pub(super) use self::task::{Left, go_on};
use super::dial;
use super::dialer::Outage;
use super::health::Health;
use super::listing::Listing;
use super::set::SetState;
use super::state::LifecycleCore;
use super::target::{Member, Target};
use crate::connect::Connect;
use crate::endpoints::{Change, Discovery, Endpoint, EndpointId, EndpointSet, Key, News};
use crate::kernel::{Arc, EndpointNumber, Phase};
use crate::policy::ejection::{Availability, PanicMode};
use crate::report::EventKind;
use crate::rt;
use crate::settings::SECOND;
use crate::wake::Notify;

/// Begins to follow the set that `discovery` tells.
pub(super) fn start<C: Connect, K: Key>(
    core: &Arc<LifecycleCore<C>>,
    discovery: Discovery<K>,
    make: impl Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
) {
    let Some(set) = core.owner.targets.set() else {
        return;
    };
    let follower = Follower {
        core: Arc::downgrade(core),
        changed: StdArc::clone(&set.changed),
        rechecks: discovery.rechecks(),
        discovery,
        make,
        set: EndpointSet::default(),
        news: None,
        recheck: None,
        known: BTreeMap::new(),
        version: 0,
        listed: 0,
        panic: None,
        has_news: true,
        look_at: None,
    };
    // Where the source is asked: the set is followed for as long as there is news.
    let discovery = follower.discovery.clone();
    discovery.spawn(task::run(Following::begin(follower)));
}

struct Follower<C: Connect, K: Key, F> {
    core: Weak<LifecycleCore<C>>,
    changed: StdArc<Notify>,
    /// Endpoints that may be fit again, as somebody else has learned.
    rechecks: Receiver<StdArc<K>>,
    discovery: Discovery<K>,
    make: F,
    /// As it was told last, and is followed.
    set: EndpointSet<K>,
    /// As it was told since.
    news: Option<EndpointSet<K>>,
    /// What is to be dialled without waiting for its gate.
    recheck: Option<Recheck<K>>,
    /// Those in the set, and those that leave.
    known: BTreeMap<K, Known>,
    /// How often the set has changed.
    version: u64,
    /// The version whose endpoints are listed for those who look for one by a key.
    listed: u64,
    /// Whether ejected endpoints are used.
    panic: Option<PanicMode>,
    /// The discovery may tell more.
    has_news: bool,
    /// When something changes by itself.
    look_at: Option<rt::Instant>,
}

/// Which endpoints may be fit again.
enum Recheck<K> {
    Of(StdArc<K>),
    /// More were named than there was room for.
    All,
}

/// What has the follower look.
enum Occasion<K> {
    News(Option<News<K>>),
    Recheck(Recheck<K>),
    Other,
}

impl<C, K, F> Follower<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    /// Waits for something to happen, and makes of it what follows. Dropped, it has done nothing.
    async fn turn(&mut self) -> ControlFlow<()> {
        let look_at = self.look_at;
        let due = async {
            match look_at {
                Some(at) => rt::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // Whichever it is, all is looked at.
        let occasion = tokio::select! {
            biased;
            told = self.discovery.news(), if self.has_news => Occasion::News(told),
            named = self.rechecks.recv() => Occasion::Recheck(match named {
                Ok(key) => Recheck::Of(key),
                // Never closed: the discovery that is held here keeps it open.
                Err(RecvError::Lagged(_) | RecvError::Closed) => Recheck::All,
            }),
            () = self.changed.notified() => Occasion::Other,
            () = due => Occasion::Other,
        };
        let mut source_does = None;
        match occasion {
            Occasion::News(Some(News::Set(set))) => self.news = Some(set),
            Occasion::News(Some(News::Failed(error))) => source_does = Some(Err(error)),
            Occasion::News(Some(News::Recovered)) => source_does = Some(Ok(())),
            Occasion::News(None) => self.has_news = false,
            Occasion::Recheck(recheck) => self.recheck = Some(recheck),
            Occasion::Other => {}
        }
        // Held only while something is done: the pool ends with its last handle.
        let Some(core) = self.core.upgrade() else {
            return ControlFlow::Break(());
        };
        if core.demand().phase == Phase::Closed {
            return ControlFlow::Break(());
        }
        if let Some(source_does) = source_does {
            let source = self.discovery.source();
            core.owner.tell(|| match &source_does {
                Ok(()) => EventKind::DiscoveryRecovered,
                Err(error) => EventKind::DiscoveryFailed {
                    source: &source,
                    error,
                    kept: self.set.len(),
                },
            });
        }
        // Keys are user code: what one of them spoils is done again, and nothing else waits for it (pingora #1006).
        self.look_at = match rt::calling(|| self.follow(&core)) {
            Ok(change_at) => change_at.map(|at| core.owner.clock.instant(at)),
            Err(_) => Some(rt::now() + SECOND),
        };
        ControlFlow::Continue(())
    }

    /// Makes of all that is known what follows; when that is to be done again though nothing happens, if it is.
    fn follow(&mut self, core: &Arc<LifecycleCore<C>>) -> Option<u64> {
        let state = core.owner.targets.set()?;
        if let Some(set) = self.news.clone() {
            self.take_over(core, state, set);
            self.news = None;
        }
        if let Some(recheck) = self.recheck.take() {
            self.open_gates(core, state, &recheck);
        }
        if self.set.is_empty() {
            // Before they are barred: who finds none that serves waits for one to come.
            self.list(core, state);
        }
        let change_at = self.admit(core, state);
        // Once they are admitted: else who has waited for the first set would find none of it serving, and have any.
        self.list(core, state);
        let move_at = self.end_outdated(core, state);
        self.forget_gone(core, state);
        // Callers may have waited for an endpoint.
        dial::dial_if_needed(core);
        change_at.into_iter().chain(move_at).min()
    }

    /// What failed at these endpoints is no reason any more to put the next dial off, nor is what fails of the dials under
    /// way.
    fn open_gates(&self, core: &LifecycleCore<C>, state: &SetState<C>, recheck: &Recheck<K>) {
        let now = core.owner.clock.now();
        let open = |known: &Known| {
            let mut dialer = core.owner.dialer();
            dialer.outdate(known.id.number);
            state.dials().open_by(known.id.number, now);
        };
        match recheck {
            Recheck::Of(key) => self.known.get(&**key).into_iter().for_each(open),
            Recheck::All => self.known.values().for_each(open),
        }
    }

    /// The set is another. Cut short by a panic, it can be done again.
    fn take_over(
        &mut self,
        core: &Arc<LifecycleCore<C>>,
        state: &SetState<C>,
        set: EndpointSet<K>,
    ) {
        let before = self.set.clone();
        let (mut added, mut removed) = (0, 0);
        for change in before.changes(&set) {
            match change {
                Change::Added(endpoint) => {
                    added += 1;
                    self.add(core, state, endpoint);
                }
                Change::Removed(endpoint) => {
                    removed += 1;
                    let known = self.known.get_mut(&endpoint.key);
                    if let Some(known) = known.filter(|known| known.stay == Stay::Listed) {
                        known.stay = Stay::Leaves;
                        state.leaving.fetch_add(1, Relaxed);
                    }
                }
                Change::Altered { now, .. } => {
                    if let Some(known) = self.known.get_mut(&now.key) {
                        (known.weight, known.priority) = (now.weight, now.priority);
                        if *known.addresses != *now.addresses {
                            self.readdress(state, now);
                        }
                    }
                }
            }
        }
        self.set = set;
        self.version += 1;
        core.owner.tell(|| EventKind::EndpointsChanged {
            version: self.version,
            added,
            removed,
            now: self.set.len(),
        });
    }

    /// Says which endpoints there are, to those who look for one by a key.
    fn list(&mut self, core: &LifecycleCore<C>, state: &SetState<C>) {
        if self.listed == self.version {
            return;
        }
        let set = &self.set;
        let known = self.known.values();
        let listed = known.filter(|known| known.stay == Stay::Listed);
        let listing = StdArc::new(Listing {
            set: set.clone(),
            ids: listed.map(|known| known.id).collect(),
        });
        // Who finds that there is none must be able to wait for one to come.
        if set.is_empty() {
            core.set_is_empty(true);
        }
        state.by_key.list(listing);
        if !set.is_empty() {
            core.set_is_empty(false);
        }
        self.listed = self.version;
    }

    fn add(&mut self, core: &Arc<LifecycleCore<C>>, state: &SetState<C>, endpoint: &Endpoint<K>) {
        let number = match self.known.get_mut(&endpoint.key) {
            // It is back before it was gone.
            Some(known) => {
                if known.stay == Stay::Leaves {
                    state.leaving.fetch_sub(1, Relaxed);
                }
                known.stay = Stay::Listed;
                (known.weight, known.priority) = (endpoint.weight, endpoint.priority);
                self.readdress(state, endpoint);
                return;
            }
            None => {
                // First, for it is user code, and a number would be lost with its panic.
                let key = endpoint.key.clone();
                let Some(number) = core.add_endpoint() else {
                    return;
                };
                let known = Known {
                    id: EndpointId::new(number),
                    weight: endpoint.weight,
                    priority: endpoint.priority,
                    addresses: endpoint.addresses.as_slice().into(),
                    stay: Stay::Listed,
                    is_made: false,
                    connected_at: None,
                    availability: Availability::Up,
                    health: StdArc::new(Health::new(core.owner.dialer().rng.u64(..))),
                    added_at: (self.version > 0).then(|| core.owner.clock.now()),
                    moving: None,
                };
                self.known.insert(key, known);
                number
            }
        };
        self.make_target(state, number, endpoint);
    }

    /// The endpoint, which is known, has these addresses now: those of before count for as long as no connector can be made
    /// for them.
    fn readdress(&mut self, state: &SetState<C>, endpoint: &Endpoint<K>) {
        let Some(known) = self.known.get(&endpoint.key) else {
            return;
        };
        let (number, before) = (known.id.number, known.addresses.clone());
        let has_lost_some = !before.iter().all(|at| endpoint.addresses.contains(at));
        if !self.make_target(state, number, endpoint) {
            return;
        }
        if let Some(known) = self.known.get_mut(&endpoint.key) {
            known.addresses = endpoint.addresses.as_slice().into();
            if has_lost_some {
                let before = known.moving.take();
                let moving = Moving::since(self.version + 1, before.as_deref());
                known.moving = Some(Box::new(moving));
            }
        }
        let failed = match has_lost_some {
            true => state.dials().has_moved(number),
            false if *before != *endpoint.addresses => state.dials().failed_elsewhere(number),
            false => None,
        };
        drop_error(failed);
    }

    /// Has a connector made for the endpoint, and says whether it was: where that panics, the endpoint serves nobody, or is
    /// dialled as before.
    fn make_target(
        &mut self,
        state: &SetState<C>,
        number: EndpointNumber,
        endpoint: &Endpoint<K>,
    ) -> bool {
        let Some(known) = self.known.get(&endpoint.key) else {
            return false;
        };
        let (id, health) = (known.id, StdArc::clone(&known.health));
        let made = rt::calling(|| {
            let member = Member::new(id, &endpoint.key, health, self.version + 1);
            StdArc::new(Target::new((self.make)(endpoint), Some(member)))
        });
        let Ok(target) = made else {
            return false;
        };
        let before = state.set_target(number, Some(target));
        let _ = rt::calling(|| drop(before));
        if let Some(known) = self.known.get_mut(&endpoint.key) {
            known.is_made = true;
        }
        true
    }

    /// Forgets the endpoints that have left and have no connections any more.
    fn forget_gone(&mut self, core: &Arc<LifecycleCore<C>>, state: &SetState<C>) {
        let Some(endpoints) = core.endpoints() else {
            return;
        };
        let leaving = self
            .known
            .values()
            .filter(|known| known.stay == Stay::Leaves);
        let gone = leaving.map(|known| known.id.number);
        let gone = gone.filter(|number| endpoints.record(*number).occupied() == 0);
        let gone: BTreeSet<_> = gone.collect();
        if gone.is_empty() {
            return;
        }
        // Theirs, before the next endpoint has the number.
        core.count_recent_leases();
        self.known.retain(|_, known| {
            let is_gone = gone.contains(&known.id.number) && core.forget_endpoint(known.id.number);
            if is_gone {
                state.leaving.fetch_sub(1, Relaxed);
                state.drains().end(known.id.number);
                state.recent_leases().forget(known.id.number);
                let failed = state.dials().succeeded(known.id.number);
                drop_error(failed);
                let target = state.set_target(known.id.number, None);
                core.owner
                    .tell_of(target.as_deref(), || EventKind::EndpointDrained);
                let _ = rt::calling(|| drop(target));
            }
            !is_gone
        });
    }
}

/// An error's drop is user code: no lock may be held, as one is to the end of a statement that takes it.
fn drop_error(outage: Option<Box<Outage>>) {
    let _ = rt::calling(|| drop(outage));
}
