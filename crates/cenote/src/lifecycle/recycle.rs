//! The way back of a lease: one compare-and-swap when the connection is clean and nobody asked to see it,
//! and else what [`policy::recycle`](crate::policy::recycle) decides.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::budget_member;
use super::retire::retire;
use super::state::{ConnectionToken, Entry, Lifecycle, LifecycleCore};
use crate::connect::{Connect, Verdict};
use crate::kernel::call_site::Site;
use crate::kernel::{Arc, Excess, IdleSince, Phase, Release};
use crate::policy::recycle::{self as policy, Condition, Fate, Returned, Wanted};
use crate::report::{CloseReason, ConnectionInfo, EventKind, count};
use crate::rt::{self, Failed, STOPPED};
use crate::settings::ReturnEvents;

/// Takes back a lease. Never blocks, never panics, runs anywhere. `core`, where the lease was tied to a
/// handle, saves counting a reference: under contention, counting would be the cost.
///
/// All detours leave by one call, so that what remains is small enough to be inlined where a lease ends.
#[inline(always)]
pub(crate) fn recycle<C: Connect>(mut token: ConnectionToken<C>, core: Option<&LifecycleCore<C>>) {
    let detour = if std::thread::panicking() {
        Detour::HolderPanicked
    } else {
        let (pool, meta, entry) = token.parts();
        let life = &pool.owner;
        let Entry { conn, target } = entry;
        let connector = &target.connector;
        let verdict = rt::calling(|| {
            let open = connector.is_open(conn);
            open.then(|| connector.verdict(conn))
        });
        let now = life.clock.coarse();
        match verdict {
            // A stopped clock is later than any expiry: then the slow way asks for the time.
            Ok(Some(Verdict::Reuse))
                if life.plain_return && now < meta.expires_at.load(Relaxed) =>
            {
                meta.idle_since.store(now, Relaxed);
                match token.release() {
                    Ok(()) => return,
                    Err(back) => token = back,
                }
                Detour::Ledger
            }
            verdict => Detour::Judged(verdict),
        }
    };
    recycle_slowly(token, core, detour);
}

/// Why a lease did not end with one compare-and-swap.
enum Detour {
    HolderPanicked,
    /// The connector's verdict, none of a connection that is not open; or its panic.
    Judged(Result<Option<Verdict>, String>),
    /// Clean, and the ledger asked to see it.
    Ledger,
}

#[cold]
#[inline(never)]
fn recycle_slowly<C: Connect>(
    token: ConnectionToken<C>,
    core: Option<&LifecycleCore<C>>,
    detour: Detour,
) {
    let (condition, panic) = match (detour, core) {
        (Detour::Ledger, Some(core)) => return release_in(core, token, IdleSince::Now),
        (Detour::Ledger, None) => return release(token, IdleSince::Now),
        (Detour::HolderPanicked, _) => (Condition::HolderPanicked, None),
        (Detour::Judged(Ok(Some(verdict))), _) => (Condition::Judged(verdict), None),
        (Detour::Judged(Ok(None)), _) => (Condition::NotOpen, None),
        (Detour::Judged(Err(panic)), _) => (Condition::VerdictPanicked, Some(panic)),
    };
    let life = &token.core().owner;
    if life.clock.coarse() == STOPPED {
        let leased_at = token.meta().leased_at.load(Relaxed);
        life.metrics.times.uncounted(leased_at, life.clock.now());
    }
    if life.settings.return_events == ReturnEvents::Each {
        tell_returned(life, &token);
    }
    let fate = decide(&token, condition, Hook::ToCome);
    carry_out(token, fate, panic.as_deref());
}

fn tell_returned<C: Connect>(life: &Lifecycle<C>, token: &ConnectionToken<C>) {
    let meta = token.meta();
    let Some(Site { call_site, label }) = meta.call_site.get() else {
        return;
    };
    let leased_at = meta.leased_at.load(Relaxed);
    life.tell_of(Some(&*token.entry().target), || EventKind::Returned {
        id: meta.id.load(Relaxed),
        held_for: Duration::from_nanos(life.clock.now().saturating_sub(leased_at)),
        call_site,
        label,
    });
}

/// Makes a clean connection idle, or hands it on, from now on counted as idle.
pub(crate) fn return_to_pool<C: Connect>(token: ConnectionToken<C>) {
    // Its time may have come while it was reset, or a hook had it.
    let fate = decide(&token, Condition::Judged(Verdict::Reuse), Hook::Done);
    carry_out(token, fate, None);
}

/// Whether the `after_return` hook is still to see a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hook {
    ToCome,
    Done,
}

/// What becomes of the connection in this condition, by all that is known of it now.
fn decide<C: Connect>(token: &ConnectionToken<C>, condition: Condition, hook: Hook) -> Fate {
    let core = token.core();
    let life = &core.owner;
    let wanted = if core.demand().phase == Phase::Closed {
        Wanted::PoolClosed
    } else if life.is_evicted(token.meta()) {
        Wanted::Evicted
    } else {
        Wanted::Yes
    };
    policy::decide(&Returned {
        condition,
        end_of_life: token.meta().end_of_life(life.clock.now()),
        wanted,
        has_hook: hook == Hook::ToCome && !life.hooks.after_return.is_empty(),
    })
}

fn carry_out<C: Connect>(token: ConnectionToken<C>, fate: Fate, error: Option<&str>) {
    match fate {
        Fate::Close(reason) => retire(token, reason, error),
        Fate::Idle => {
            let now = token.core().owner.clock.now();
            token.meta().idle_since.store(now, Relaxed);
            release(token, IdleSince::Now);
        }
        Fate::Hook => renew(token, Work::Hook),
        Fate::Reset => renew(token, Work::ResetAndHook),
    }
}

/// Makes a connection idle, or hands it on, its notes as they are.
pub(crate) fn release<C: Connect>(token: ConnectionToken<C>, idling: IdleSince) {
    // The slot's own reference is not ours any more once it is handed on.
    let core = Arc::clone(token.core());
    release_in(&core, token, idling);
}

fn release_in<C: Connect>(core: &LifecycleCore<C>, token: ConnectionToken<C>, idling: IdleSince) {
    let Some(token) = budget_member::offer(core, token) else {
        return;
    };
    match core.release(token, idling) {
        Release::Excess(token, why) => retire(token, reason(why), None),
        Release::Kept => budget_member::idled(core),
    }
}

/// Why a connection the kernel does not want is closed.
pub(crate) fn reason(why: Excess) -> CloseReason {
    match why {
        Excess::Closed => CloseReason::PoolClosed,
        Excess::OverSize => CloseReason::Resized,
        Excess::OverIdle => CloseReason::MaxIdle,
        Excess::Unwanted => CloseReason::Evicted,
        Excess::Barred => CloseReason::EndpointGone,
        Excess::GivenUp => CloseReason::Rebalanced,
    }
}

/// What a connection needs before it is idle.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Hook,
    ResetAndHook,
}

/// Has the connection made clean, and seen by the hook: here, if that is done at its first poll, else in the
/// background.
fn renew<C: Connect>(token: ConnectionToken<C>, work: Work) {
    token.reserve();
    let core = Arc::clone(token.core());
    let runtime = &core.owner.runtime;
    if !runtime.is_alive() {
        let error = Some("no runtime to run it on");
        return retire(token, CloseReason::ResetFailed, error);
    }
    let mut renewing: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(renewing(token, work));
    // The task that polls again brings a waker.
    let mut cx = Context::from_waker(Waker::noop());
    if runtime.try_within(|| renewing.as_mut().poll(&mut cx)) != Some(Poll::Ready(())) {
        runtime.spawn(renewing);
    }
}

async fn renewing<C: Connect>(mut token: ConnectionToken<C>, work: Work) {
    let core = Arc::clone(token.core());
    let life = &core.owner;
    let limit = life.settings.reset_timeout;
    if work == Work::ResetAndHook {
        count(&life.metrics.rare().resets);
        // From here until the reset is through, the connection is dirty: if this task is cut short, its
        // token is dropped and the connection with it.
        let (info, Entry { conn, target }) = leased(&mut token);
        let connector = &target.connector;
        let reset = async { connector.reset(conn, &info).await };
        if let Err(failed) = rt::guarded(limit, reset).await {
            return retire(token, CloseReason::ResetFailed, Some(&describe(failed)));
        }
    }
    if !life.hooks.after_return.is_empty() {
        let (info, Entry { conn, .. }) = leased(&mut token);
        let hooks = life.hooks.after_return.run(conn, &info);
        if let Err(failed) = rt::guarded(limit, hooks).await {
            return retire(token, CloseReason::Hook, Some(&describe(failed)));
        }
    }
    return_to_pool(token);
}

/// A connection that was leased, and what is known of it.
fn leased<C: Connect>(token: &mut ConnectionToken<C>) -> (ConnectionInfo, &mut Entry<C>) {
    let (core, meta, entry) = token.parts();
    let now = core.owner.clock.now();
    let info = meta.info(now, meta.leased_at.load(Relaxed));
    (info, entry)
}

/// What went wrong, in words.
pub(crate) fn describe<E: std::fmt::Display>(failed: Failed<E>) -> String {
    match failed {
        Failed::TimedOut => "timed out".into(),
        Failed::Panicked(panic) => format!("panicked: {panic}"),
        // The text of an error, and its drop, are user code.
        Failed::Error(error) => rt::calling(move || error.to_string())
            .unwrap_or_else(|panic| format!("an error whose text panicked: {panic}")),
    }
}
