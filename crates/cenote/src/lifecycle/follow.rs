//! The follower: a task of each pool over a set of endpoints that makes of the set, and of what is known of each endpoint,
//! who may serve and with which share of the load. It acts while nobody calls and while all callers wait (linkerd2 #2550).
//!
//! An endpoint that stays in the set keeps its number, its connections and what is known of it, whatever else changes.
//! One that leaves, or has weight 0, gets no leases any more; its idle connections are closed, the others when they come
//! back; once they are gone it is forgotten. If its key comes again before that, it is the same endpoint.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Weak};

use super::dial;
use super::dialer::Outage;
use super::health::Health;
use super::retire::retire;
use super::set::SetState;
use super::state::LifecycleCore;
use super::target::{Member, Target};
use crate::connect::Connect;
use crate::endpoints::{Change, Discovery, DiscoveryStatus, Endpoint, EndpointSet, Key};
use crate::error::SettingsError;
use crate::kernel::{Admission, Arc, EndpointNumber, Phase};
use crate::policy::accrual::Standing;
use crate::policy::balance::MAX_WEIGHT;
use crate::policy::ejection::{Availability, PanicMode, PanicThreshold};
use crate::policy::shares::{Facts, Shares, shares};
use crate::report::{CloseReason, EventKind};
use crate::rt;
use crate::settings::SECOND;
use crate::wake::Notify;

/// Where a pool's connections come from.
pub(crate) enum Supply<C: Connect> {
    One(C),
    Set(BeginSet<C>),
}

/// Gives what tells how the discovery stands, and what starts the follower once there is a pool.
pub(crate) type BeginSet<C> =
    Box<dyn FnOnce() -> Result<(TellStatus, StartFollower<C>), SettingsError> + Send + Sync>;
pub(crate) type TellStatus = Box<dyn Fn() -> DiscoveryStatus + Send + Sync>;
pub(crate) type StartFollower<C> = Box<dyn FnOnce(&Arc<LifecycleCore<C>>)>;

impl<C: Connect> Supply<C> {
    /// The endpoints that `discovery` tells of, each with the connector that `make` makes for it.
    pub(crate) fn set<K: Key>(
        discovery: Result<Discovery<K>, SettingsError>,
        make: impl Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
    ) -> Self {
        Self::Set(Box::new(move || {
            let discovery = discovery?;
            let status = discovery.teller();
            let follow = move |core: &Arc<LifecycleCore<C>>| start(core, discovery, make);
            Ok((Box::new(status), Box::new(follow)))
        }))
    }
}

fn start<C: Connect, K: Key>(
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
        discovery,
        make,
        set: EndpointSet::default(),
        news: None,
        known: BTreeMap::new(),
        version: 0,
        panic: None,
    };
    // Where the source is asked: the set is followed for as long as there is news.
    let discovery = follower.discovery.clone();
    discovery.spawn(follower.run());
}

struct Follower<C: Connect, K: Key, F> {
    core: Weak<LifecycleCore<C>>,
    changed: StdArc<Notify>,
    discovery: Discovery<K>,
    make: F,
    /// As it was told last, and is followed.
    set: EndpointSet<K>,
    /// As it was told since.
    news: Option<EndpointSet<K>>,
    /// Those in the set, and those that leave.
    known: BTreeMap<K, Known>,
    /// How often the set has changed.
    version: u64,
    /// Whether ejected endpoints are used.
    panic: Option<PanicMode>,
}

/// The share of an endpoint on trial: what one begins with that starts slowly.
const ON_TRIAL: u32 = MAX_WEIGHT / 10;

/// What the follower knows of an endpoint.
struct Known {
    number: EndpointNumber,
    weight: u32,
    priority: u16,
    stay: Stay,
    /// There is a connector for it.
    is_made: bool,
    /// Its ejection is over, and the next call decides.
    is_on_trial: bool,
    availability: Availability,
    health: StdArc<Health>,
    /// Since when it starts slowly, unless it was there from the beginning.
    added_at: Option<u64>,
}

/// Whether an endpoint is in the set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    Listed,
    Leaves,
}

impl<C, K, F> Follower<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    async fn run(mut self) {
        let changed = StdArc::clone(&self.changed);
        let mut news_ended = false;
        // When something changes by itself.
        let mut look_at = None::<rt::Instant>;
        loop {
            let due = async {
                match look_at {
                    Some(at) => rt::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            // Whichever it is, all is looked at.
            let told = tokio::select! {
                biased;
                told = self.discovery.changed(), if !news_ended => Some(told),
                () = changed.notified() => None,
                () = due => None,
            };
            match told {
                Some(Some(set)) => self.news = Some(set),
                Some(None) => news_ended = true,
                None => {}
            }
            // Held only while something is done: the pool ends with its last handle.
            let Some(core) = self.core.upgrade() else {
                return;
            };
            if core.demand().phase == Phase::Closed {
                return;
            }
            // Keys are user code: what one of them spoils is done again, and nothing else waits for it (pingora #1006).
            look_at = match rt::calling(|| self.follow(&core)) {
                Ok(change_at) => change_at.map(|at| core.owner.clock.instant(at)),
                Err(_) => Some(rt::now() + SECOND),
            };
        }
    }

    /// Makes of all that is known what follows; when that is to be done again though nothing happens, if it is.
    fn follow(&mut self, core: &Arc<LifecycleCore<C>>) -> Option<u64> {
        let state = core.owner.targets.set()?;
        if let Some(set) = self.news.clone() {
            self.take_over(core, state, set);
            self.news = None;
        }
        let change_at = self.admit(core, state);
        self.forget_gone(core, state);
        // Callers may have waited for an endpoint.
        dial::dial_if_needed(core);
        change_at
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
                Change::Altered { before, now } => {
                    if let Some(known) = self.known.get_mut(&now.key) {
                        (known.weight, known.priority) = (now.weight, now.priority);
                        let number = known.number;
                        if before.addresses != now.addresses {
                            self.make_target(state, number, now);
                            // What failed did so elsewhere.
                            drop_error(state.dials().succeeded(number));
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

    fn add(&mut self, core: &Arc<LifecycleCore<C>>, state: &SetState<C>, endpoint: &Endpoint<K>) {
        let number = match self.known.get_mut(&endpoint.key) {
            // It is back before it was gone.
            Some(known) => {
                if known.stay == Stay::Leaves {
                    state.leaving.fetch_sub(1, Relaxed);
                }
                known.stay = Stay::Listed;
                (known.weight, known.priority) = (endpoint.weight, endpoint.priority);
                known.number
            }
            None => {
                let Some(number) = core.add_endpoint() else {
                    return;
                };
                let known = Known {
                    number,
                    weight: endpoint.weight,
                    priority: endpoint.priority,
                    stay: Stay::Listed,
                    is_made: false,
                    is_on_trial: false,
                    availability: Availability::Up,
                    health: StdArc::new(Health::new(core.owner.dialer().rng.u64(..))),
                    added_at: (self.version > 0).then(|| core.owner.clock.now()),
                };
                self.known.insert(endpoint.key.clone(), known);
                number
            }
        };
        self.make_target(state, number, endpoint);
    }

    /// Has a connector made for the endpoint. Where that panics, the endpoint serves nobody, or is dialled as before.
    fn make_target(&mut self, state: &SetState<C>, number: EndpointNumber, endpoint: &Endpoint<K>) {
        let Some(known) = self.known.get(&endpoint.key) else {
            return;
        };
        let health = StdArc::clone(&known.health);
        let made = rt::calling(|| {
            let member = Member {
                number,
                name: name(&endpoint.key).into(),
                health,
            };
            StdArc::new(Target::new((self.make)(endpoint), Some(member)))
        });
        if let Ok(target) = made {
            let before = state.set_target(number, Some(target));
            let _ = rt::calling(|| drop(before));
            if let Some(known) = self.known.get_mut(&endpoint.key) {
                known.is_made = true;
            }
        }
    }

    /// Makes of all that is known who may serve, and with which share; when that is to be done again though nothing
    /// happens, if it is.
    fn admit(&mut self, core: &Arc<LifecycleCore<C>>, state: &SetState<C>) -> Option<u64> {
        let (endpoints, now) = (core.endpoints()?, core.owner.clock.now());
        let mut turns = Vec::new();
        let mut change_at = None::<u64>;
        let mut facts = Vec::with_capacity(self.known.len());
        {
            let dials = state.dials();
            for (key, known) in &mut self.known {
                let is_down = !known.is_made
                    || dials.outage(known.number).is_some()
                        && endpoints.record(known.number).open() == 0;
                let mut started_at = known.added_at;
                let availability = match known.health.standing(now) {
                    _ if is_down => Availability::Down,
                    Standing::Up { recovered_at } => {
                        started_at = started_at.max(recovered_at);
                        Availability::Up
                    }
                    Standing::Ejected(ejection) => {
                        change_at = change_at.into_iter().chain([ejection.until]).min();
                        Availability::Ejected
                    }
                    Standing::Probation(_) => {
                        known.health.begin_trial(now);
                        Availability::Ejected
                    }
                    Standing::Probing(_) => Availability::Ejected,
                };
                known.is_on_trial = matches!(known.health.standing(now), Standing::Probing(_));
                let was = std::mem::replace(&mut known.availability, availability);
                if known.stay == Stay::Listed {
                    if was != availability {
                        turns.push((known.number, key, availability));
                    }
                    facts.push(Facts {
                        weight: known.weight,
                        priority: known.priority,
                        availability,
                        started_at,
                    });
                }
            }
        }
        let turns: Vec<_> = turns
            .into_iter()
            .map(|(number, key, availability)| {
                let called = state.name(number).unwrap_or_else(|| name(key).into());
                (called, availability)
            })
            .collect();
        let any_weight = facts.iter().any(|facts| facts.weight > 0);
        let is_drained = |facts: &Facts| any_weight && facts.weight == 0;
        let any_up = facts
            .iter()
            .any(|facts| !is_drained(facts) && facts.availability != Availability::Down);
        let Shares {
            shares,
            change_at: next_step,
            panic,
        } = shares(
            now,
            &facts,
            PanicThreshold::default(),
            state.slow_start.as_ref(),
        );
        let change_at = change_at.into_iter().chain(next_step).min();
        state.may_eject.store(spare_opinions(&facts), Relaxed);
        let mut shares = shares.into_iter();
        let mut decided = Vec::with_capacity(self.known.len());
        for known in self.known.values_mut() {
            let admission = match known.stay {
                Stay::Leaves => Admission::Barred,
                Stay::Listed => {
                    let share = shares.next().unwrap_or(0);
                    let is_ejected = known.availability == Availability::Ejected && panic.is_none();
                    let (admission, share) = match share {
                        _ if !known.is_made => (Admission::Barred, 0),
                        _ if known.weight == 0 && any_weight => (Admission::Barred, 0),
                        _ if is_ejected && known.is_on_trial => (Admission::Trial, ON_TRIAL),
                        _ if is_ejected => (Admission::Aside, 0),
                        0 => (Admission::Spare, 0),
                        _ => (Admission::Drawn, share),
                    };
                    let record = endpoints.record(known.number);
                    record.share.store(share, Relaxed);
                    admission
                }
            };
            decided.push((known.number, admission));
        }
        {
            // At once, so that a dial that fails is never judged by half a change.
            let mut dials = state.dials();
            for (number, admission) in &decided {
                dials.set_serves(*number, admission.serves());
            }
        }
        for (number, admission) in decided {
            let is_stalled = admission == Admission::Trial && !core.lets_out(number);
            // By what the kernel has: an ejection may have laid the endpoint aside.
            if core.admission_of(number) == Some(admission) && !is_stalled {
                continue;
            }
            // What a late claim missed was not heeded, and is not to keep the endpoint from being missed.
            endpoints.record(number).forget_missed();
            for token in core.admit(number, admission) {
                retire(token, CloseReason::EndpointGone, None);
            }
            if admission == Admission::Barred {
                drop_error(state.dials().succeeded(number));
            }
        }
        if !any_up && !facts.is_empty() {
            // Perhaps all have moved.
            self.discovery.refresh();
        }
        for (name, availability) in turns {
            core.owner.tell_named(Some(name), || match availability {
                Availability::Down => EventKind::EndpointDown,
                Availability::Ejected => EventKind::EndpointEjected,
                Availability::Up => EventKind::EndpointUp,
            });
        }
        state.is_in_panic.store(panic.is_some(), Relaxed);
        self.tell_panic(core, panic);
        change_at
    }

    fn tell_panic(&mut self, core: &Arc<LifecycleCore<C>>, panic: Option<PanicMode>) {
        let was = std::mem::replace(&mut self.panic, panic);
        match (was, panic) {
            (None, Some(PanicMode { ejected, reachable })) => {
                core.owner
                    .tell(|| EventKind::PanicEntered { ejected, reachable });
            }
            (Some(_), None) => core.owner.tell(|| EventKind::PanicLeft),
            _ => {}
        }
    }

    /// Forgets the endpoints that have left and have no connections any more.
    fn forget_gone(&mut self, core: &Arc<LifecycleCore<C>>, state: &SetState<C>) {
        self.known.retain(|_, known| {
            let is_gone = known.stay == Stay::Leaves && core.forget_endpoint(known.number);
            if is_gone {
                state.leaving.fetch_sub(1, Relaxed);
                drop_error(state.dials().succeeded(known.number));
                let target = state.set_target(known.number, None);
                let _ = rt::calling(|| drop(target));
            }
            !is_gone
        });
    }
}

/// An error's drop is user code.
fn drop_error(outage: Option<Box<Outage>>) {
    let _ = rt::calling(|| drop(outage));
}

/// How many more endpoints can be ejected so that half of the reachable ones are left.
fn spare_opinions(facts: &[Facts]) -> usize {
    let of = |availability| {
        let its = facts.iter().filter(|one| one.availability == availability);
        its.count()
    };
    let (up, ejected) = (of(Availability::Up), of(Availability::Ejected));
    match facts.iter().map(|one| one.priority).max() {
        Some(0) => ((up + ejected) / 2).saturating_sub(ejected),
        // With several levels it is for the follower to say.
        _ => 0,
    }
}

/// A key as people write it: text without quotes.
fn name(key: &impl Debug) -> String {
    let text = format!("{key:?}");
    let unquoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    unquoted.map_or(text.clone(), str::to_owned)
}
