//! One look at a pool: waiters whose time is up are told, connections too old or idle too long are closed, idle ones
//! are checked, `min_idle` kept, leaks are reported, and dials begun that a back-off held up.
//!
//! A pool in use is looked at every turn, which also keeps its coarse clock. One that nobody has used for a while stops
//! that clock and rests until something of it is due: it costs nothing then.

use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

use super::check::{check_idle, is_open};
use super::checking::Checking;
use super::heed::retire_closed;
use super::recycle::{reason, release};
use super::retire::retire;
use super::state::{Lifecycle, LifecycleCore, Refusal, SlotMeta, Sweep};
use super::upkeep::is_kept_by;
use super::{budget_member, dial, failed_dial, follow, health, proving, spent};
use crate::connect::Connect;
use crate::keeper::{Keeper, Member};
use crate::kernel::call_site::Site;
use crate::kernel::{Arc, Core, Demand, IdleSince, Phase, State, StateWord};
use crate::report::{CloseReason, EventKind, count};
use crate::rt::{Instant, nanos};
use crate::settings::{SECOND, Settings};

impl<C: Connect> Member for LifecycleCore<C> {
    fn look(self: Arc<Self>, keeper: &Arc<Keeper>) -> Option<Instant> {
        if !is_kept_by(&self, keeper) || self.demand().phase == Phase::Closed {
            return None;
        }
        let next = look(&self);
        if next.is_none() {
            spent::tell_if_spent(&self);
        }
        next.map(|at| self.owner.clock.instant(at))
    }

    /// Nothing counts as fresh any more, and the waiters are woken, so that one of them finds another keeper.
    fn abandoned(self: Arc<Self>, keeper: &Arc<Keeper>) {
        if is_kept_by(&self, keeper) {
            self.owner.clock.stop();
            self.wake_waiters();
        }
    }
}

/// When the next is due; `None`: not before the pool is used.
fn look<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Option<u64> {
    let life = &core.owner;
    if life.is_unchecked.swap(false, AcqRel) {
        // Before the clock runs: nothing counts as fresh until then.
        for idle in core.recall() {
            let check = check_idle(Checking::begin(core), idle);
            life.runtime.spawn(check);
        }
    }
    let now = life.clock.tick();
    follow::go_on(core);
    retire_closed(core, now);
    // Out of its lock: a sweep calls user code.
    let mut sweep = std::mem::take(&mut *life.sweep());
    if now >= sweep.next {
        sweep.run(core, now);
        sweep.next = now + nanos(life.settings.turn());
    }
    let next = rest_or_go_on(core, &mut sweep, now);
    *life.sweep() = sweep;
    next
}

fn rest_or_go_on<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    sweep: &mut Sweep,
    now: u64,
) -> Option<u64> {
    let life = &core.owner;
    failed_dial::tell_due(core, now);
    let is_used = sweep.is_used(core, now);
    if let Some(set) = life.targets.set() {
        set.dials().is_in_use = is_used;
    }
    life.dialer().wake_at.take_if(|at| *at <= now);
    dial::dial_if_needed(core);
    // After the dials: a waiter that queues after this finds no deadline watched that is not, and has its own listed.
    let deadline = core.refuse_due(now, || Refusal::TimedOut);
    let (wake_at, tell_at) = {
        let dialer = life.dialer();
        (dialer.wake_at, dialer.tell_at())
    };
    let is_counted = budget_member::is_counted(core);
    let next = if is_used || is_busy(&core.demand()) || is_counted {
        Some(sweep.next)
    } else {
        // Before the slots are looked at: a lease that begins after this has the pool looked at.
        life.clock.stop();
        if is_busy(&core.demand()) {
            life.clock.tick();
            Some(sweep.next)
        } else {
            // Those that other threads have begun since the sweep: the next may be hours away.
            core.count_recent_leases();
            // Nor is what came back since told of by any other look.
            budget_member::count_idle(core);
            next_due(core, sweep, now)
        }
    };
    // Of one that is spent already, nothing is due.
    let spent_at = life.on_spent.as_ref().and_then(|_| core.spent_at());
    let spent_at = spent_at.filter(|at| *at > now);
    let dues = [next, wake_at, tell_at, deadline, spent_at];
    dues.into_iter().flatten().min()
}

fn is_busy(demand: &Demand) -> bool {
    demand.waiters + demand.aimed > 0 || demand.opening > 0 || demand.closing > 0
}

/// When something is due of a pool that nobody uses.
///
/// A lease may end unseen after this, and its connection be idle from then on: so what is leased counts as idle since
/// now. It is never due earlier than that.
fn next_due<C: Connect>(core: &Arc<LifecycleCore<C>>, sweep: &Sweep, now: u64) -> Option<u64> {
    let settings = &core.owner.settings;
    let after = |since: u64, limit: Option<Duration>| Some(since.saturating_add(nanos(limit?)));
    let spare = spare(core, core.count_idle());
    let mut next = match settings.min_idle.max(settings.min_size) {
        0 => None,
        _ => Some(sweep.next.max(now + nanos(SECOND))),
    };
    for (_, word, meta) in core.slots() {
        let (idle_since, checked_at) = match word.state() {
            State::Idle => (meta.idle_since.load(Relaxed), meta.checked_at.load(Relaxed)),
            State::Leased => {
                if settings.leak_threshold.is_some() {
                    return Some(sweep.next);
                }
                (now, now)
            }
            State::Vacant => continue,
            // Its check, its reset or its end is under way.
            State::Opening | State::Reserved | State::Closing => return Some(sweep.next),
        };
        let is_spare = spare > 0 || word.state() == State::Leased;
        let dues = [
            Some(meta.expires_at.load(Relaxed)).filter(|at| *at > now && *at != u64::MAX),
            after(idle_since, settings.idle_timeout).filter(|_| is_spare),
            after(idle_since.max(checked_at), settings.keepalive),
        ];
        next = dues.into_iter().chain([next]).flatten().min();
    }
    // What is due already is done at the next sweep.
    next.map(|at| at.max(sweep.next))
}

/// Connections found on lease.
#[derive(Default)]
struct Leased {
    count: u64,
    /// How long they have been, all together, since the last count.
    ages: u64,
}

impl Sweep {
    /// Whether leases have begun of late: in the time after which an idle connection is not fresh any more.
    fn is_used<C: Connect>(&mut self, core: &LifecycleCore<C>, now: u64) -> bool {
        let uses = core.all_meta().map(|meta| meta.uses.load(Relaxed)).sum();
        if std::mem::replace(&mut self.uses, uses) != uses {
            self.used_at = now;
        }
        let fresh_for = core.owner.settings.check_after_idle.unwrap_or(SECOND);
        now.saturating_sub(self.used_at)
            <= nanos(fresh_for.clamp(core.owner.settings.turn(), SECOND))
    }

    fn run<C: Connect>(&mut self, core: &Arc<LifecycleCore<C>>, now: u64) {
        if core.owner.settings.min_idle > 0 && now >= self.next_look {
            self.next_look = now + nanos(SECOND);
            look_at_idle(core);
        }
        health::fade(core, now);
        core.count_recent_leases();
        let idle = core.count_idle();
        let mut spare = spare(core, idle);
        // A quarter at a time, so that callers find the rest; a check may outlast a turn.
        let checking = core.owner.dialer().checking();
        let mut checks = (idle + checking).div_ceil(4).saturating_sub(checking);
        let mut leased = Leased::default();
        let counted_until = core.owner.metrics.times.counted_until();
        for (index, word, meta) in core.slots() {
            match word.state() {
                State::Idle => {
                    let Some(due) = due(&core.owner, meta, now, spare, checks) else {
                        continue;
                    };
                    let Some(token) = core.reserve(index, word) else {
                        continue;
                    };
                    match due {
                        Due::Close(reason) => {
                            spare = spare.saturating_sub(1);
                            retire(token, reason, None);
                        }
                        Due::Check => {
                            checks -= 1;
                            let check = check_idle(Checking::begin(core), token);
                            core.owner.runtime.spawn(check);
                        }
                    }
                }
                State::Leased => {
                    let since = meta.leased_at.load(Relaxed).max(counted_until);
                    leased.count += 1;
                    leased.ages += now.saturating_sub(since);
                    report_leak(core, word, meta, now);
                }
                _ => {}
            }
        }
        Self::measure_use(core, now, &leased);
        proving::look_for_proof(core);
        for (token, why) in core.reserve_excess() {
            retire(token, reason(why), None);
        }
        budget_member::count_idle(core);
        self.refill(core);
    }

    /// What is on lease now was so since the last look, as a sample. If the pool has rested since, leases count as long as
    /// they have lasted: those that ended meanwhile were counted then.
    fn measure_use<C: Connect>(core: &LifecycleCore<C>, now: u64, leased: &Leased) {
        let life = &core.owner;
        let times = &life.metrics.times;
        let since = now.saturating_sub(times.counted_until());
        let has_rested = since > 2 * nanos(life.settings.turn());
        let used = if has_rested {
            leased.ages
        } else {
            leased.count.saturating_mul(since)
        };
        // A pool that nobody uses has nothing to record with.
        if used > 0 || times.counted_until() > 0 {
            times.counted(now, used);
        }
    }

    /// Too few idle twice in a row, or too few connections altogether: not what a passing burst leaves.
    fn refill<C: Connect>(&mut self, core: &Core<Lifecycle<C>>) {
        let Settings {
            min_idle, min_size, ..
        } = core.owner.settings;
        if min_idle.max(min_size) == 0 {
            return;
        }
        let short = core.count_idle() < min_idle;
        if core.demand().occupied < min_idle.max(min_size) || (short && self.was_short) {
            core.owner.dialer().refill = true;
        }
        self.was_short = short;
    }
}

/// Closes the idle connections that are no longer open: dead ones are none of those that `min_idle` keeps ready.
/// Least recently used first, which leaves the strict orders as they are.
fn look_at_idle<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    let mut idle: Vec<_> = core
        .slots()
        .filter(|(_, word, _)| word.state() == State::Idle)
        .map(|(index, word, meta)| (meta.idle_since.load(Relaxed), index, word))
        .collect();
    idle.sort_unstable_by_key(|(idle_since, index, _)| (*idle_since, *index));
    // One at a time is away, and only for a moment: no caller is to dial for that.
    let _checking = Checking::begin(core);
    for (_, index, word) in idle {
        let Some(token) = core.reserve(index, word) else {
            continue;
        };
        match is_open(&token) {
            Ok(()) => release(token, IdleSince::Before),
            Err((reason, error)) => retire(token, reason, error.as_deref()),
        }
    }
}

/// Idle connections there are beyond `min_idle` and `min_size`.
fn spare<C: Connect>(core: &LifecycleCore<C>, idle: usize) -> usize {
    let Settings {
        min_idle, min_size, ..
    } = core.owner.settings;
    idle.saturating_sub(min_idle)
        .min(core.demand().open().saturating_sub(min_size))
}

/// What an idle connection is due for.
enum Due {
    Close(CloseReason),
    Check,
}

fn due<C: Connect>(
    life: &Lifecycle<C>,
    meta: &SlotMeta,
    now: u64,
    spare: usize,
    checks: usize,
) -> Option<Due> {
    let settings = &life.settings;
    let passed = |since: u64, limit: Option<Duration>| {
        limit.is_some_and(|limit| now.saturating_sub(since) >= nanos(limit))
    };
    let idle_since = meta.idle_since.load(Relaxed);
    if let Some(reason) = meta.end_of_life(now) {
        Some(Due::Close(reason))
    } else if spare > 0 && passed(idle_since, settings.idle_timeout) {
        Some(Due::Close(CloseReason::IdleTimeout))
    } else if checks > 0
        && passed(
            idle_since.max(meta.checked_at.load(Relaxed)),
            settings.keepalive,
        )
    {
        Some(Due::Check)
    } else {
        None
    }
}

fn report_leak<C: Connect>(core: &LifecycleCore<C>, word: StateWord, meta: &SlotMeta, now: u64) {
    let Some(threshold) = core.owner.settings.leak_threshold else {
        return;
    };
    // Not at the first look at a lease: its holder may not have written its metadata yet.
    let Some(seen_since) = meta.seen.since(word.generation(), now) else {
        return;
    };
    // A lease handed over but not taken yet has the metadata of the lease before.
    let since = meta.leased_at.load(Relaxed).max(seen_since);
    let held_for = Duration::from_nanos(now.saturating_sub(since));
    let Some(Site { call_site, label }) = meta.call_site.get() else {
        return;
    };
    if held_for < threshold {
        return;
    }
    meta.seen.set_reported();
    count(&core.owner.metrics.rare().leaks);
    core.owner.tell(|| EventKind::Leaked {
        id: meta.id.load(Relaxed),
        held_for,
        call_site,
        label,
    });
}
