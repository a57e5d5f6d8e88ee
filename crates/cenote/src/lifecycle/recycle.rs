//! The way back of a lease: one compare-and-swap when the connection is clean and nobody asked to see it,
//! and everything else that may become of it.

use std::sync::atomic::Ordering::Relaxed;

use super::budget_member;
use super::retire::retire;
use super::state::{PoolCore, PoolToken, count};
use crate::connect::{Connect, Verdict};
use crate::event::{CloseReason, ConnectionInfo};
use crate::kernel::{Arc, Excess, IdleSince, Release};
use crate::rt::{self, Failed};

/// Takes back a lease. Never blocks, never panics, runs anywhere. `core`, where the lease was tied to a
/// handle, saves counting a reference: under contention, counting would be the cost.
///
/// All detours leave by one call, so that what remains is small enough to be inlined where a lease ends.
#[inline(always)]
pub(crate) fn recycle<C: Connect>(mut token: PoolToken<C>, core: Option<&PoolCore<C>>) {
    let detour = if std::thread::panicking() {
        Detour::HolderPanicked
    } else {
        let (pool, meta, entry) = token.parts();
        let shared = &pool.owner;
        let verdict = rt::calling(|| {
            let open = shared.connector.is_open(&entry.conn);
            open.then(|| shared.connector.verdict(&mut entry.conn))
        });
        let now = shared.clock.coarse();
        match verdict {
            // A stopped clock is later than any expiry: then the slow way asks for the time.
            Ok(Some(Verdict::Reuse))
                if shared.plain_return && now < meta.expires_at.load(Relaxed) =>
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
fn recycle_slowly<C: Connect>(token: PoolToken<C>, core: Option<&PoolCore<C>>, detour: Detour) {
    let verdict = match (detour, core) {
        (Detour::HolderPanicked, _) => return retire(token, CloseReason::Panicked, None),
        (Detour::Ledger, Some(core)) => return release_in(core, token, IdleSince::Now),
        (Detour::Ledger, None) => return release(token, IdleSince::Now),
        (Detour::Judged(verdict), _) => verdict,
    };
    let shared = &token.core().owner;
    let end_of_life = token.meta().end_of_life(shared.clock.now());
    match verdict {
        Err(panic) => retire(token, CloseReason::Verdict, Some(&panic)),
        Ok(None) => retire(token, CloseReason::Broken, None),
        Ok(Some(Verdict::Close)) => retire(token, CloseReason::Verdict, None),
        Ok(Some(verdict)) => match end_of_life {
            Some(reason) => retire(token, reason, None),
            None => keep(token, verdict),
        },
    }
}

/// Keeps a connection that the connector would reuse or reset.
fn keep<C: Connect>(token: PoolToken<C>, verdict: Verdict) {
    match verdict {
        Verdict::Reuse if token.core().owner.plain_return => return_to_pool(token),
        verdict => reset_in_background(token, verdict),
    }
}

/// Makes a clean connection idle, or hands it on, from now on counted as idle.
pub(crate) fn return_to_pool<C: Connect>(token: PoolToken<C>) {
    let now = token.core().owner.clock.now();
    let meta = token.meta();
    if let Some(reason) = meta.end_of_life(now) {
        // While it was reset, or a hook had it.
        return retire(token, reason, None);
    }
    meta.idle_since.store(now, Relaxed);
    release(token, IdleSince::Now);
}

/// Makes a connection idle, or hands it on, its notes as they are.
pub(crate) fn release<C: Connect>(token: PoolToken<C>, idling: IdleSince) {
    // The slot's own reference is not ours any more once it is handed on.
    let core = Arc::clone(token.core());
    release_in(&core, token, idling);
}

fn release_in<C: Connect>(core: &PoolCore<C>, token: PoolToken<C>, idling: IdleSince) {
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
    }
}

/// Resets the connection if it needs that, and runs the `after_return` hook.
fn reset_in_background<C: Connect>(token: PoolToken<C>, verdict: Verdict) {
    token.reserve();
    let runtime = &Arc::clone(token.core()).owner.runtime;
    if runtime.handle().is_none() {
        return retire(
            token,
            CloseReason::ResetFailed,
            Some("no runtime to run it on"),
        );
    }
    runtime.spawn(renew(token, verdict));
}

async fn renew<C: Connect>(mut token: PoolToken<C>, verdict: Verdict) {
    let core = Arc::clone(token.core());
    let shared = &core.owner;
    let limit = shared.settings.reset_timeout;
    if verdict == Verdict::Reset {
        count(&shared.metrics.resets);
        // From here until the reset is through, the connection is dirty: if this task is cut short, its
        // token is dropped and the connection with it.
        let (info, conn) = leased(&mut token);
        let reset = async { shared.connector.reset(conn, &info).await };
        if let Err(failed) = rt::guarded(limit, reset).await {
            return retire(token, CloseReason::ResetFailed, Some(&describe(failed)));
        }
    }
    if !shared.hooks.after_return.is_empty() {
        let (info, conn) = leased(&mut token);
        let hooks = shared.hooks.after_return.run(conn, &info);
        if let Err(failed) = rt::guarded(limit, hooks).await {
            return retire(token, CloseReason::Hook, Some(&describe(failed)));
        }
    }
    return_to_pool(token);
}

/// A connection that was leased, and what is known of it.
fn leased<C: Connect>(token: &mut PoolToken<C>) -> (ConnectionInfo, &mut C::Connection) {
    let (core, meta, entry) = token.parts();
    let now = core.owner.clock.now();
    let info = meta.info(now, meta.leased_at.load(Relaxed));
    (info, &mut entry.conn)
}

/// What went wrong, in words.
pub(crate) fn describe<E: std::fmt::Display>(failed: Failed<E>) -> String {
    match failed {
        Failed::TimedOut => "timed out".into(),
        Failed::Panicked(panic) => format!("panicked: {panic}"),
        Failed::Error(error) => error.to_string(),
    }
}
