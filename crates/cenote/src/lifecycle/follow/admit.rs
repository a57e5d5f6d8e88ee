//! Which endpoints of a set may serve, and with which share of the load: made of what is known of them all, and told the
//! kernel and those who dial.

use std::sync::Arc as StdArc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::known::{Known, Stay};
use super::{Follower, drop_error};
use crate::connect::Connect;
use crate::endpoints::{Endpoint, Key};
use crate::kernel::{Admission, Arc, EndpointNumber};
use crate::lifecycle::drains::leases_at;
use crate::lifecycle::retire::retire;
use crate::lifecycle::set::SetState;
use crate::lifecycle::state::LifecycleCore;
use crate::lifecycle::target::name;
use crate::policy::balance::MAX_WEIGHT;
use crate::policy::ejection::{Availability, PanicMode, PanicThreshold};
use crate::policy::shares::{Facts, Shares, shares};
use crate::report::{CloseReason, EventKind};

/// The share of an endpoint on trial: what one begins with that starts slowly.
const ON_TRIAL: u32 = MAX_WEIGHT / 10;

/// What a look at all endpoints found.
struct Looked {
    /// Of those in the set, in the order of their keys.
    facts: Vec<Facts>,
    /// Those of which it is another than before.
    turned: Vec<(StdArc<str>, Availability)>,
    /// When it may be another again though nothing happens.
    look_at: Option<u64>,
}

impl<C, K, F> Follower<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    /// Makes of all that is known who may serve, and with which share; when that is to be done again though nothing
    /// happens, if it is.
    pub(super) fn admit(
        &mut self,
        core: &Arc<LifecycleCore<C>>,
        state: &SetState<C>,
    ) -> Option<u64> {
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
            let trial = || known.health.on_trial_since(now);
            let (admission, share) = match known.stay {
                Stay::Leaves => (Admission::Barred, 0),
                Stay::Listed => {
                    let is_ejected = known.availability == Availability::Ejected && panic.is_none();
                    match shares.next().unwrap_or(0) {
                        _ if !known.is_made || is_drained(known.weight) => (Admission::Barred, 0),
                        _ if is_ejected && trial().is_some() => (Admission::Trial, ON_TRIAL),
                        _ if is_ejected => (Admission::Aside, 0),
                        0 => (Admission::Spare, 0),
                        share => (Admission::Drawn, share),
                    }
                }
            };
            Decided {
                number: known.id.number,
                admission,
                share,
                begins_trial: admission == Admission::Trial && trial() == Some(now),
            }
        };
        let decided: Vec<_> = self.known.values().map(decide).collect();
        carry_out(core, state, &decided);
        let drained_until = drain(core, state, &decided, now);
        let may_be_up = |facts: &Facts| !is_drained(facts.weight) && facts.availability.is_fit();
        if !facts.is_empty() && !facts.iter().any(may_be_up) {
            // Perhaps all have moved.
            self.discovery.refresh();
        }
        for (name, availability) in turned {
            core.owner.tell_named(Some(name), || match availability {
                Availability::Down => EventKind::EndpointDown,
                Availability::Unsuitable => EventKind::EndpointUnsuitable,
                Availability::Ejected => EventKind::EndpointEjected,
                Availability::Up => EventKind::EndpointUp,
            });
        }
        state.is_in_panic.store(panic.is_some(), Relaxed);
        self.tell_panic(core, panic);
        look_at
            .into_iter()
            .chain(change_at)
            .chain(drained_until)
            .min()
    }

    /// Whether each endpoint can be used, by fact and by opinion.
    fn look(&mut self, core: &LifecycleCore<C>, state: &SetState<C>, now: u64) -> Option<Looked> {
        let endpoints = core.endpoints()?;
        let (mut facts, mut turned) = (Vec::with_capacity(self.known.len()), Vec::new());
        let mut look_at = None::<u64>;
        {
            let dials = state.dials();
            for (key, known) in &mut self.known {
                let record = endpoints.record(known.id.number);
                let failed = dials.outage(known.id.number);
                let failed = failed.filter(|_| record.open() == 0);
                let opinion = known.judge(state, record.open(), now);
                look_at = look_at.into_iter().chain(opinion.until).min();
                let availability = match failed {
                    _ if !known.is_made => Availability::Down,
                    Some(outage) if outage.is_unsuitable() => Availability::Unsuitable,
                    Some(_) => Availability::Down,
                    None => opinion.availability,
                };
                let was = std::mem::replace(&mut known.availability, availability);
                let is_back = was == Availability::Down && was != availability;
                if is_back && known.health.forget_times(now) {
                    record.cost.store(0, Relaxed);
                }
                if known.stay == Stay::Leaves {
                    continue;
                }
                if was != availability {
                    turned.push((known.id.number, key, availability));
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
}

/// What was decided of an endpoint.
struct Decided {
    number: EndpointNumber,
    admission: Admission,
    share: u32,
    /// It is let out anew, whatever became of the call of the trial before.
    begins_trial: bool,
}

/// Who may serve from now on, as far as it was decided.
fn carry_out<C: Connect>(core: &Arc<LifecycleCore<C>>, state: &SetState<C>, decided: &[Decided]) {
    let Some(endpoints) = core.endpoints() else {
        return;
    };
    {
        // At once, so that a dial that fails is never judged by half a change.
        let mut dials = state.dials();
        for decided in decided {
            dials.set_serves(decided.number, decided.admission.serves());
        }
    }
    let (mut changed, mut on_trial) = (Vec::new(), Vec::new());
    let mut is_divided_anew = false;
    for decided in decided {
        let Decided {
            number,
            admission,
            share,
            begins_trial,
        } = decided;
        let record = endpoints.record(*number);
        is_divided_anew |= record.share.swap(*share, Relaxed) != *share;
        let is_stalled = *admission == Admission::Trial && !core.lets_out(*number);
        // By what the kernel has: an ejection may have laid the endpoint aside.
        let was = core.admission_of(*number);
        if was == Some(*admission) && !is_stalled && !begins_trial {
            continue;
        }
        changed.push(*number);
        on_trial.extend(begins_trial.then_some(*number));
        // What a late claim missed was not heeded, and is not to keep the endpoint from being missed.
        record.forget_missed();
        for token in core.admit(*number, *admission) {
            retire(token, CloseReason::EndpointGone, None);
        }
        if *admission == Admission::Barred {
            let failed = state.dials().succeeded(*number);
            drop_error(failed);
        }
        let told = match admission {
            _ if was == Some(*admission) => None,
            Admission::Trial => Some(EventKind::EndpointProbing),
            Admission::Barred => Some(EventKind::EndpointDraining {
                connections: record.open() as usize,
            }),
            _ => None,
        };
        if let Some(kind) = told {
            core.owner.tell_named(state.name(*number), || kind);
        }
    }
    // Who looked for one to dial since the dials were told, and before the kernel was, found none.
    state.dials().has_room_again();
    let is_news = is_divided_anew || !changed.is_empty();
    if let Some(face) = core.owner.face().filter(|_| is_news) {
        face.admission_changed(&changed, &on_trial);
    }
}

/// Keeps in mind who drains, and tells who is overdue; when the next is.
fn drain<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    state: &SetState<C>,
    decided: &[Decided],
    now: u64,
) -> Option<u64> {
    let (overdue, next_due) = {
        let mut drains = state.drains();
        for decided in decided {
            match decided.admission {
                Admission::Barred => drains.begin(decided.number, now, state.drain_timeout),
                _ => drains.end(decided.number),
            }
        }
        (drains.overdue(now), drains.next_due())
    };
    for (number, since) in overdue {
        let leases = leases_at(core, number);
        if leases > 0 {
            core.owner
                .tell_named(state.name(number), || EventKind::EndpointDrainOverdue {
                    leases,
                    draining_for: Duration::from_nanos(now.saturating_sub(since)),
                });
        }
    }
    next_due
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
