//! The background care of one pool, one task: it keeps the coarse clock, ends the waiting of those whose
//! time has come, closes what is too old or idle too long, checks what idles, keeps `min_idle`, reports
//! leaks, and dials again when a back-off is over.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

use super::checking::Checking;
use super::dial;
use super::recycle::{describe, reason, release};
use super::retire::retire;
use super::state::Shared;
use super::state::{PoolCore, PoolToken, Refusal, SlotMeta, count};
use crate::connect::Connect;
use crate::event::{CloseReason, Event};
use crate::kernel::{Arc, Core, IdleSince, Phase, State, StateWord};
use crate::rt::{self, nanos};
use crate::settings::{SECOND, Settings};

/// Whether a pool is looked after.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    Runs,
    /// There is no runtime to run it on: none was ever seen, or the last was shut down.
    Impossible,
}

/// Starts upkeep unless it runs.
pub(crate) fn ensure<C: Connect>(core: &Arc<PoolCore<C>>) -> Upkeep {
    ensure_at(core, core.owner.clock.now())
}

/// As [`ensure`], for who knows the time.
pub(crate) fn ensure_at<C: Connect>(core: &Arc<PoolCore<C>>, now: u64) -> Upkeep {
    let shared = &core.owner;
    let current = shared.upkeep.load(Acquire);
    // One whose runtime nobody drives stands still, and its clock with it.
    let stands_still = now.saturating_sub(shared.clock.coarse()) > STANDSTILL;
    if current != 0 && !stands_still {
        return Upkeep::Runs;
    }
    // A closed pool needs none.
    if core.demand().phase == Phase::Closed {
        return Upkeep::Runs;
    }
    shared.runtime.see();
    if !shared.runtime.is_alive() {
        return Upkeep::Impossible;
    }
    let next = shared.upkeeps.fetch_add(1, Relaxed) + 1;
    if shared
        .upkeep
        .compare_exchange(current, next, AcqRel, Acquire)
        .is_ok()
    {
        if next > 1 {
            take_over(core, now);
        }
        // Before the task's first turn: the connections it will look after should count as fresh.
        shared.clock.tick();
        shared.runtime.spawn(run(Running {
            core: Arc::clone(core),
            number: next,
        }));
        // A runtime that was shut down has dropped the task by now. So has a pool closed meanwhile, which needs
        // none.
        if shared.upkeep.load(Acquire) == 0 && core.demand().phase != Phase::Closed {
            return Upkeep::Impossible;
        }
    }
    Upkeep::Runs
}

/// Longer than any turn, and than a busy runtime lets it wait.
const STANDSTILL: u64 = 3_000_000_000;

/// After an upkeep that died or stood still: nobody looked after what is idle now, and it may belong to a
/// runtime that is gone, so all of it is checked.
fn take_over<C: Connect>(core: &Arc<PoolCore<C>>, now: u64) {
    core.owner.taken_over_at.store(now, Relaxed);
    for idle in core.recall() {
        core.owner.runtime.spawn(check(Checking::begin(core), idle));
    }
}

/// Whether upkeep runs on another runtime than the caller's.
pub(crate) fn is_elsewhere<C: Connect>(core: &PoolCore<C>) -> bool {
    *core.owner.upkeep_at() != rt::here()
}

/// Upkeep under way. Dropped with the pool still open, its runtime was shut down: nothing counts as fresh
/// any more, and those who wait are woken to see to a new upkeep.
struct Running<C: Connect> {
    core: Arc<PoolCore<C>>,
    number: u64,
}

impl<C: Connect> Drop for Running<C> {
    fn drop(&mut self) {
        let shared = &self.core.owner;
        if shared
            .upkeep
            .compare_exchange(self.number, 0, AcqRel, Relaxed)
            .is_err()
        {
            // Another has taken over.
            return;
        }
        shared.clock.stop();
        self.core.wake_waiters();
    }
}

async fn run<C: Connect>(running: Running<C>) {
    let core = &running.core;
    let shared = &core.owner;
    *shared.upkeep_at() = rt::here();
    let turn = nanos(shared.settings.turn());
    let mut sweep = Sweep::default();
    let mut next_sweep = 0;
    loop {
        if shared.upkeep.load(Acquire) != running.number || core.demand().phase == Phase::Closed {
            return;
        }
        let now = shared.clock.tick();
        if now >= next_sweep {
            sweep.run(core, now);
            next_sweep = now + turn;
        }
        dial::tell_due(core, now);
        let (wake_at, tell_at) = {
            let mut dialer = shared.dialer();
            dialer.wake_at.take_if(|at| *at <= now);
            (dialer.wake_at, dialer.tell_at())
        };
        dial::dial_if_needed(core);
        // Last: whoever queues after this finds no deadline watched that is not, and pokes.
        let deadline = core.refuse_due(now, || Refusal::TimedOut);
        let until = [Some(next_sweep), wake_at, tell_at, deadline]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(next_sweep);
        tokio::select! {
            // In a fixed order, so that a seeded run can be repeated.
            biased;
            () = rt::sleep_until(shared.clock.instant(until)) => {}
            () = shared.wake_upkeep.notified() => {}
        }
    }
}

/// One look at every slot, and what it remembers from turn to turn.
#[derive(Default)]
struct Sweep {
    /// The last look found fewer idle than `min_idle`.
    was_short: bool,
    /// When idle connections are asked again whether they are open.
    next_look: u64,
    /// One more reference for each check under way.
    checking: Arc<()>,
}

impl Sweep {
    fn run<C: Connect>(&mut self, core: &Arc<PoolCore<C>>, now: u64) {
        if core.owner.settings.min_idle > 0 && now >= self.next_look {
            self.next_look = now + nanos(SECOND);
            look_at_idle(core);
        }
        let idle = count_idle(core);
        let mut spare = spare(core, idle);
        // A quarter at a time, so that callers find the rest; a check may outlast a turn.
        let checking = Arc::strong_count(&self.checking) - 1;
        let mut checks = (idle + checking).div_ceil(4).saturating_sub(checking);
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
                            let counted = self.checking.clone();
                            let checking = Checking::begin(core);
                            core.owner.runtime.spawn(async move {
                                check(checking, token).await;
                                drop(counted);
                            });
                        }
                    }
                }
                State::Leased => report_leak(core, word, meta, now),
                _ => {}
            }
        }
        let unproven_since = core.owner.unproven_since.load(Relaxed);
        if core
            .slots()
            .any(|(_, _, meta)| dial::proves(unproven_since, meta))
        {
            dial::set_proven(core);
        }
        while let Some((token, why)) = core.reserve_excess() {
            retire(token, reason(why), None);
        }
        self.refill(core);
    }

    /// Too few idle twice in a row, or too few connections altogether: not what a passing burst leaves.
    fn refill<C: Connect>(&mut self, core: &Core<Shared<C>>) {
        let Settings {
            min_idle, min_size, ..
        } = core.owner.settings;
        if min_idle.max(min_size) == 0 {
            return;
        }
        let demand = core.demand();
        let short = count_idle(core) < min_idle;
        if demand.occupied < min_idle.max(min_size) || (short && self.was_short) {
            core.owner.dialer().refill = true;
        }
        self.was_short = short;
    }
}

/// Closes the idle connections that are no longer open: dead ones are none of those that `min_idle` keeps ready.
/// Least recently used first, which leaves the strict orders as they are.
fn look_at_idle<C: Connect>(core: &Arc<PoolCore<C>>) {
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
        match rt::calling(|| core.owner.connector.is_open(&token.entry().conn)) {
            Ok(true) => release(token, IdleSince::Before),
            Ok(false) => retire(token, CloseReason::Broken, None),
            Err(panic) => retire(token, CloseReason::Broken, Some(&panic)),
        }
    }
}

fn count_idle<C: Connect>(core: &PoolCore<C>) -> usize {
    core.slots()
        .filter(|(_, word, _)| word.state() == State::Idle)
        .count()
}

/// Idle connections there are beyond `min_idle` and `min_size`.
fn spare<C: Connect>(core: &PoolCore<C>, idle: usize) -> usize {
    let Settings {
        min_idle, min_size, ..
    } = core.owner.settings;
    let demand = core.demand();
    let open = demand.occupied - demand.opening - demand.closing;
    idle.saturating_sub(min_idle)
        .min(open.saturating_sub(min_size))
}

/// What an idle connection is due for.
enum Due {
    Close(CloseReason),
    Check,
}

fn due<C: Connect>(
    shared: &Shared<C>,
    meta: &SlotMeta,
    now: u64,
    spare: usize,
    checks: usize,
) -> Option<Due> {
    let settings = &shared.settings;
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

/// Checks an idle connection; its idle time runs on.
///
/// `checking` comes first, so that a check cut short ends the connection before it counts no more.
pub(crate) async fn check<C: Connect>(checking: Checking<C>, mut token: PoolToken<C>) {
    let core = Arc::clone(token.core());
    let shared = &core.owner;
    count(&shared.metrics.checks);
    if !matches!(
        rt::calling(|| shared.connector.is_open(&token.entry().conn)),
        Ok(true)
    ) {
        retire(token, CloseReason::Broken, None);
        return drop(checking);
    }
    let conn = &mut token.entry_mut().conn;
    // Called within the guard, as every hook is: user code may panic before it returns its future.
    let check = async { shared.connector.check(conn).await };
    match rt::guarded(shared.settings.check_timeout, check).await {
        Ok(()) => {
            token.meta().checked_at.store(shared.clock.now(), Relaxed);
            release(token, IdleSince::Before);
        }
        Err(failed) => retire(token, CloseReason::CheckFailed, Some(&describe(failed))),
    }
    drop(checking);
}

fn report_leak<C: Connect>(core: &PoolCore<C>, word: StateWord, meta: &SlotMeta, now: u64) {
    let Some(threshold) = core.owner.settings.leak_threshold else {
        return;
    };
    let generation = word.generation();
    if meta.seen.swap(generation, Relaxed) != generation {
        // The first look at this lease; its holder may not have written its metadata yet.
        meta.seen_at.store(now, Relaxed);
        return;
    }
    // A lease handed over but not taken yet has the metadata of the lease before.
    let since = meta.leased_at.load(Relaxed).max(meta.seen_at.load(Relaxed));
    let held_for = Duration::from_nanos(now.saturating_sub(since));
    let Some(call_site) = meta.call_site.get() else {
        return;
    };
    if held_for < threshold {
        return;
    }
    meta.seen_at.store(u64::MAX, Relaxed);
    count(&core.owner.metrics.leaks);
    core.owner.hooks.tell(&Event::Leaked {
        id: meta.id.load(Relaxed),
        held_for,
        call_site,
    });
}
