//! The follower: a task of each pool over a set of endpoints that makes of the set, and of what is known of each endpoint,
//! who may serve and with which share of the load. It acts while nobody calls and while all callers wait (linkerd2 #2550).
//!
//! An endpoint that stays in the set keeps its number, its connections and what is known of it, whatever else changes.
//! One that leaves, or has weight 0, gets no leases any more; its idle connections are closed, the others when they come
//! back; once they are gone it is forgotten. If its key comes again before that, it is the same endpoint.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Weak};
use std::time::Duration;

use super::dial;
use super::dialer::Outage;
use super::health::Health;
use super::retire::retire;
use super::set::SetState;
use super::state::LifecycleCore;
use super::target::{Member, Target, name};
use crate::connect::Connect;
use crate::endpoints::{Change, Discovery, Endpoint, EndpointSet, Key};
use crate::kernel::{Admission, Arc, EndpointNumber, Phase};
use crate::policy::accrual::Standing;
use crate::policy::balance::MAX_WEIGHT;
use crate::policy::ejection::{Availability, PanicMode, PanicThreshold};
use crate::policy::shares::{Facts, Shares, shares};
use crate::report::{CloseReason, EventKind};
use crate::rt::{self, nanos};
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
    /// Since when its ejection is over, and the next call decides.
    trial_at: Option<u64>,
    availability: Availability,
    health: StdArc<Health>,
    /// Since when it starts slowly, unless it was there from the beginning.
    added_at: Option<u64>,
}

/// What a look at all endpoints found.
struct Looked {
    /// Of those in the set, in the order of their keys.
    facts: Vec<Facts>,
    /// Those of which it is another than before.
    turned: Vec<(StdArc<str>, Availability)>,
    /// When it may be another again though nothing happens.
    look_at: Option<u64>,
}

impl Known {
    /// What is thought of the endpoint now, of which so many connections are open.
    fn judge<C: Connect>(&mut self, state: &SetState<C>, open: u32, now: u64) -> Opinion {
        if let Standing::Probation(_) = self.health.standing(now) {
            self.health.begin_trial(now);
            self.trial_at = Some(now);
        }
        // Where nobody tells how calls end, a connection that lasts has to do.
        let passes_at = self
            .trial_at
            .map(|began| began.saturating_add(nanos(TRIAL)));
        let is_silent = !state.hears_outcomes.load(Relaxed);
        if is_silent && open > 0 && passes_at.is_some_and(|at| at <= now) {
            self.health.pass_trial(now, &state.accrual);
        }
        let standing = self.health.standing(now);
        if !matches!(standing, Standing::Probing(_)) {
            self.trial_at = None;
        }
        match standing {
            Standing::Up { recovered_at } => Opinion {
                availability: Availability::Up,
                recovered_at,
                until: None,
            },
            Standing::Ejected(ejection) => Opinion::ejected(Some(ejection.until)),
            Standing::Probation(_) | Standing::Probing(_) => {
                Opinion::ejected(passes_at.filter(|at| is_silent && *at > now))
            }
        }
    }
}

/// What is thought of an endpoint that can be reached.
struct Opinion {
    availability: Availability,
    /// Since when it is up, if it was ejected before.
    recovered_at: Option<u64>,
    /// When it may be another though nothing happens.
    until: Option<u64>,
}

impl Opinion {
    fn ejected(until: Option<u64>) -> Self {
        Self {
            availability: Availability::Ejected,
            recovered_at: None,
            until,
        }
    }
}

/// A trial that a connection outlives is passed after this, where nobody tells how calls end.
const TRIAL: Duration = SECOND;

/// Who may serve from now on, as far as it was decided.
fn carry_out<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    state: &SetState<C>,
    decided: &[(EndpointNumber, Admission, u32)],
) {
    let Some(endpoints) = core.endpoints() else {
        return;
    };
    {
        // At once, so that a dial that fails is never judged by half a change.
        let mut dials = state.dials();
        for (number, admission, _) in decided {
            dials.set_serves(*number, admission.serves());
        }
    }
    for (number, admission, share) in decided {
        let record = endpoints.record(*number);
        record.share.store(*share, Relaxed);
        let is_stalled = *admission == Admission::Trial && !core.lets_out(*number);
        // By what the kernel has: an ejection may have laid the endpoint aside.
        if core.admission_of(*number) == Some(*admission) && !is_stalled {
            continue;
        }
        // What a late claim missed was not heeded, and is not to keep the endpoint from being missed.
        record.forget_missed();
        for token in core.admit(*number, *admission) {
            retire(token, CloseReason::EndpointGone, None);
        }
        if *admission == Admission::Barred {
            drop_error(state.dials().succeeded(*number));
        }
    }
    // Who looked for one to dial since the dials were told, and before the kernel was, found none.
    state.dials().has_room_again();
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
                // First, for it is user code, and a number would be lost with its panic.
                let key = endpoint.key.clone();
                let Some(number) = core.add_endpoint() else {
                    return;
                };
                let known = Known {
                    number,
                    weight: endpoint.weight,
                    priority: endpoint.priority,
                    stay: Stay::Listed,
                    is_made: false,
                    trial_at: None,
                    availability: Availability::Up,
                    health: StdArc::new(Health::new(core.owner.dialer().rng.u64(..))),
                    added_at: (self.version > 0).then(|| core.owner.clock.now()),
                };
                self.known.insert(key, known);
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
            let member = Member::new(number, &endpoint.key, health);
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
        let now = core.owner.clock.now();
        let Looked {
            facts,
            turned,
            look_at,
        } = self.look(core, state, now)?;
        let Shares {
            shares,
            change_at,
            panic,
        } = shares(
            now,
            &facts,
            PanicThreshold::default(),
            state.slow_start.as_ref(),
        );
        let any_weight = facts.iter().any(|facts| facts.weight > 0);
        let is_drained = |weight| any_weight && weight == 0;
        let undrained = facts.iter().filter(|facts| !is_drained(facts.weight));
        state.may_eject.store(spare_opinions(undrained), Relaxed);
        let mut shares = shares.into_iter();
        let decide = |known: &Known| {
            let (admission, share) = match known.stay {
                Stay::Leaves => (Admission::Barred, 0),
                Stay::Listed => {
                    let is_ejected = known.availability == Availability::Ejected && panic.is_none();
                    match shares.next().unwrap_or(0) {
                        _ if !known.is_made || is_drained(known.weight) => (Admission::Barred, 0),
                        _ if is_ejected && known.trial_at.is_some() => (Admission::Trial, ON_TRIAL),
                        _ if is_ejected => (Admission::Aside, 0),
                        0 => (Admission::Spare, 0),
                        share => (Admission::Drawn, share),
                    }
                }
            };
            (known.number, admission, share)
        };
        let decided: Vec<_> = self.known.values().map(decide).collect();
        carry_out(core, state, &decided);
        let may_be_up =
            |facts: &Facts| !is_drained(facts.weight) && facts.availability != Availability::Down;
        if !facts.is_empty() && !facts.iter().any(may_be_up) {
            // Perhaps all have moved.
            self.discovery.refresh();
        }
        for (name, availability) in turned {
            core.owner.tell_named(Some(name), || match availability {
                Availability::Down => EventKind::EndpointDown,
                Availability::Ejected => EventKind::EndpointEjected,
                Availability::Up => EventKind::EndpointUp,
            });
        }
        state.is_in_panic.store(panic.is_some(), Relaxed);
        self.tell_panic(core, panic);
        look_at.into_iter().chain(change_at).min()
    }

    /// Whether each endpoint can be used, by fact and by opinion.
    fn look(&mut self, core: &LifecycleCore<C>, state: &SetState<C>, now: u64) -> Option<Looked> {
        let endpoints = core.endpoints()?;
        let (mut facts, mut turned) = (Vec::with_capacity(self.known.len()), Vec::new());
        let mut look_at = None::<u64>;
        {
            let dials = state.dials();
            for (key, known) in &mut self.known {
                let record = endpoints.record(known.number);
                let has_failed = dials.outage(known.number).is_some();
                let is_down = !known.is_made || has_failed && record.open() == 0;
                let opinion = known.judge(state, record.open(), now);
                look_at = look_at.into_iter().chain(opinion.until).min();
                let availability = match is_down {
                    true => Availability::Down,
                    false => opinion.availability,
                };
                let was = std::mem::replace(&mut known.availability, availability);
                if known.stay == Stay::Leaves {
                    continue;
                }
                if was != availability {
                    turned.push((known.number, key, availability));
                }
                facts.push(Facts {
                    weight: known.weight,
                    priority: known.priority,
                    availability,
                    started_at: known.added_at.max(opinion.recovered_at),
                });
            }
        }
        // Names are asked for out of the lock: they are user code.
        let named = turned.into_iter().map(|(number, key, availability)| {
            let called = state.name(number);
            (called.unwrap_or_else(|| name(key).into()), availability)
        });
        Some(Looked {
            turned: named.collect(),
            facts,
            look_at,
        })
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

/// How many more of these endpoints can be ejected so that half of the reachable ones are left.
fn spare_opinions<'a>(facts: impl Iterator<Item = &'a Facts>) -> usize {
    let (mut up, mut ejected) = (0_usize, 0_usize);
    for one in facts {
        if one.priority > 0 {
            // With several levels it is for the follower to say.
            return 0;
        }
        up += usize::from(one.availability == Availability::Up);
        ejected += usize::from(one.availability == Availability::Ejected);
    }
    ((up + ejected) / 2).saturating_sub(ejected)
}
