//! Which keeper looks after a pool, and that one does: started where a caller is, listed there, taken over when the
//! last one died with its runtime or stands still with it. What a look does is in [`look`](super::look).
//!
//! The pool's coarse clock tells whether it is looked after. Stopped, it reads later than everything, so that the next
//! `get` finds nothing fresh, takes the slow way, and comes by [`ensure`].

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::state::{Lifecycle, LifecycleCore};
use crate::connect::Connect;
use crate::keeper::{End, Keeper};
use crate::kernel::{Arc, Phase};
use crate::rt::{self, STOPPED};

/// Whether a pool is looked after.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upkeep {
    Runs,
    /// There is no runtime to run it on: none was ever seen, or the last was shut down.
    Impossible,
}

/// Longer than any turn, and than a busy runtime lets it wait.
const STANDSTILL: u64 = 3_000_000_000;

/// Sees to it that the pool is looked after, and that its clock runs.
pub(crate) fn ensure<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Upkeep {
    ensure_at(core, core.owner.clock.now())
}

/// As [`ensure`], for a caller that knows the time.
pub(crate) fn ensure_at<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) -> Upkeep {
    match Pace::of(&core.owner, now) {
        Pace::Runs => Upkeep::Runs,
        Pace::Rests | Pace::StandsStill => set_going(core, now),
    }
}

/// What the coarse clock tells of a pool's keeper.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Runs,
    /// Stopped: the pool rests, or its keeper has died.
    Rests,
    /// Nobody drives the runtime of its keeper.
    StandsStill,
}

impl Pace {
    fn of<C: Connect>(life: &Lifecycle<C>, now: u64) -> Self {
        match life.clock.coarse() {
            STOPPED => Self::Rests,
            coarse if now.saturating_sub(coarse) > STANDSTILL => Self::StandsStill,
            _ => Self::Runs,
        }
    }
}

#[cold]
fn set_going<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) -> Upkeep {
    let life = &core.owner;
    // A closed pool needs none.
    if core.demand().phase == Phase::Closed {
        return Upkeep::Runs;
    }
    life.runtime.see();
    let is_looked_after = keep(core, now);
    if is_looked_after && core.demand().phase == Phase::Closed {
        // Closed meanwhile: nothing of it is due any more.
        dismiss(core);
    }
    match is_looked_after {
        true => Upkeep::Runs,
        false => Upkeep::Impossible,
    }
}

/// Lists the pool with its keeper, or with the next.
fn keep<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) -> bool {
    let life = &core.owner;
    let mut keeper = life.keeper();
    let pace = Pace::of(life, now);
    if pace == Pace::Runs {
        // Another caller was faster.
        return true;
    }
    let at = life.clock.instant(now);
    // One that stands still is not asked again.
    let own = keeper.as_ref().filter(|_| pace == Pace::Rests);
    let died = match own.map(|own| own.schedule(core, at)) {
        Some(Ok(())) => {
            // What is idle is as fresh as it is: the clock need not wait for the look.
            if !life.is_unchecked.load(Acquire) {
                life.clock.tick();
            }
            return true;
        }
        Some(Err(End::Idle)) => false,
        Some(Err(End::Died)) => true,
        None => keeper.is_some(),
    };
    if died {
        // Nobody looked after what is idle now, and it may belong to a runtime that is gone: until the first look has
        // all of it checked, the clock stands, so that nothing counts as fresh.
        life.taken_over_at.store(now, Relaxed);
        life.is_unchecked.store(true, Release);
        life.clock.stop();
    }
    let Some(next) = Keeper::schedule_on(&life.runtime, core, at) else {
        return false;
    };
    Keeper::take_over(&mut keeper, next, core);
    if !died {
        life.clock.tick();
    }
    true
}

/// Has the pool looked at by then, if it is looked after at all: false if not. A keeper that has ended is replaced when
/// the pool is used next.
pub(crate) fn schedule<C: Connect>(core: &Arc<LifecycleCore<C>>, at: u64) -> bool {
    let life = &core.owner;
    let at = life.clock.instant(at);
    let keeper = life.keeper();
    let is_listed = |keeper: &std::sync::Arc<Keeper>| keeper.schedule(core, at).is_ok();
    keeper.as_ref().is_some_and(is_listed)
}

/// As [`schedule`], of a pool that rests too: with nothing due its keeper may have ended, and then another begins.
/// False only where there is no runtime.
pub(super) fn look_at<C: Connect>(core: &Arc<LifecycleCore<C>>, at: u64) -> bool {
    schedule(core, at) || keep(core, at)
}

/// Ends the looks: the pool is closed.
pub(crate) fn dismiss<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    if let Some(keeper) = &*core.owner.keeper() {
        keeper.dismiss(core);
    }
}

/// Whether the pool is looked after on another runtime than the caller's.
pub(crate) fn is_elsewhere<C: Connect>(core: &LifecycleCore<C>) -> bool {
    let keeper = core.owner.keeper();
    keeper.as_ref().map(|keeper| keeper.runtime()) != rt::here()
}

/// Whether `keeper` looks after the pool, and no other has taken over.
pub(crate) fn is_kept_by<C: Connect>(core: &LifecycleCore<C>, keeper: &Arc<Keeper>) -> bool {
    let own = core.owner.keeper();
    own.as_ref().is_some_and(|own| Arc::ptr_eq(own, keeper))
}
