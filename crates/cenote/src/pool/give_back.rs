//! The way back of a lease: one compare-and-swap when the connection is clean and nobody asked to see it,
//! and everything else that may become of it.

use std::sync::atomic::Ordering::Relaxed;

use super::ending::end;
use super::shared::{PoolCore, PoolHeld, count};
use crate::connect::{Connect, Verdict};
use crate::event::CloseReason;
use crate::kernel::{Arc, Idling, Settled, Surplus};
use crate::rt::{self, Failed};

/// Takes back a lease. Never blocks, never panics, runs anywhere. `core`, where the lease was tied to a
/// handle, saves counting a reference: under contention, counting would be the cost.
///
/// All detours leave by one call, so that what remains is small enough to be inlined where a lease ends.
#[inline(always)]
pub(crate) fn give_back<C: Connect>(mut held: PoolHeld<C>, core: Option<&PoolCore<C>>) {
    let detour = if std::thread::panicking() {
        Detour::HolderPanicked
    } else {
        let (pool, notes, entry) = held.parts();
        let shared = &pool.owner;
        let verdict = rt::calling(|| {
            let open = shared.connector.is_open(&entry.conn);
            open.then(|| shared.connector.verdict(&mut entry.conn))
        });
        let now = shared.clock.coarse();
        match verdict {
            // A stopped clock is later than any expiry: then the slow way asks for the time.
            Ok(Some(Verdict::Reuse))
                if shared.plain_return && now < notes.expires_at.load(Relaxed) =>
            {
                notes.idle_since.store(now, Relaxed);
                match held.release() {
                    Ok(()) => return,
                    Err(back) => held = back,
                }
                Detour::Ledger
            }
            verdict => Detour::Judged(verdict),
        }
    };
    give_back_slowly(held, core, detour);
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
fn give_back_slowly<C: Connect>(held: PoolHeld<C>, core: Option<&PoolCore<C>>, detour: Detour) {
    let verdict = match (detour, core) {
        (Detour::HolderPanicked, _) => return end(held, CloseReason::Panicked, None),
        (Detour::Ledger, Some(core)) => return settle_in(core, held, Idling::Begins),
        (Detour::Ledger, None) => return settle(held, Idling::Begins),
        (Detour::Judged(verdict), _) => verdict,
    };
    let shared = &held.core().owner;
    let end_of_life = held.notes().end_of_life(shared.clock.now());
    match verdict {
        Err(panic) => end(held, CloseReason::Verdict, Some(&panic)),
        Ok(None) => end(held, CloseReason::Broken, None),
        Ok(Some(Verdict::Close)) => end(held, CloseReason::Verdict, None),
        Ok(Some(verdict)) => match end_of_life {
            Some(reason) => end(held, reason, None),
            None => keep(held, verdict),
        },
    }
}

/// Keeps a connection that the connector would reuse or reset.
fn keep<C: Connect>(held: PoolHeld<C>, verdict: Verdict) {
    match verdict {
        Verdict::Reuse if held.core().owner.plain_return => put_back(held),
        verdict => renew_in_background(held, verdict),
    }
}

/// Makes a clean connection idle, or hands it on, from now on counted as idle.
pub(crate) fn put_back<C: Connect>(held: PoolHeld<C>) {
    let now = held.core().owner.clock.now();
    let notes = held.notes();
    if let Some(reason) = notes.end_of_life(now) {
        // While it was reset, or a hook had it.
        return end(held, reason, None);
    }
    notes.idle_since.store(now, Relaxed);
    settle(held, Idling::Begins);
}

/// Makes a connection idle, or hands it on, its notes as they are.
pub(crate) fn settle<C: Connect>(held: PoolHeld<C>, idling: Idling) {
    // The slot's own reference is not ours any more once it is handed on.
    let core = Arc::clone(held.core());
    settle_in(&core, held, idling);
}

fn settle_in<C: Connect>(core: &PoolCore<C>, held: PoolHeld<C>, idling: Idling) {
    if let Settled::Surplus(held, why) = core.settle(held, idling) {
        end(held, reason(why), None);
    }
}

/// Why a connection the kernel does not want is closed.
pub(crate) fn reason(why: Surplus) -> CloseReason {
    match why {
        Surplus::Closed => CloseReason::PoolClosed,
        Surplus::OverSize => CloseReason::Resized,
        Surplus::OverIdle => CloseReason::MaxIdle,
        Surplus::Unwanted => CloseReason::Evicted,
    }
}

/// Resets the connection if it needs that, and runs the `after_return` hook.
fn renew_in_background<C: Connect>(held: PoolHeld<C>, verdict: Verdict) {
    held.reserve();
    let runtime = &Arc::clone(held.core()).owner.runtime;
    if runtime.handle().is_none() {
        return end(
            held,
            CloseReason::ResetFailed,
            Some("no runtime to run it on"),
        );
    }
    runtime.spawn(renew(held, verdict));
}

async fn renew<C: Connect>(mut held: PoolHeld<C>, verdict: Verdict) {
    let core = Arc::clone(held.core());
    let shared = &core.owner;
    let limit = shared.settings.reset_timeout;
    if verdict == Verdict::Reset {
        count(&shared.tally.resets);
        // From here until the reset is through, the connection is dirty: if this task is cut short, its
        // token is dropped and the connection with it.
        let conn = &mut held.entry_mut().conn;
        let reset = async { shared.connector.reset(conn).await };
        if let Err(failed) = rt::guarded(limit, reset).await {
            return end(held, CloseReason::ResetFailed, Some(&describe(failed)));
        }
    }
    if let Some(after_return) = &shared.hooks.after_return {
        let now = shared.clock.now();
        let (_, notes, entry) = held.parts();
        let info = notes.info(now, notes.leased_at.load(Relaxed));
        // Called within the guard: a hook may panic before it returns its future.
        let hook = async { after_return(&mut entry.conn, &info).await };
        if let Err(failed) = rt::guarded(limit, hook).await {
            return end(held, CloseReason::Hook, Some(&describe(failed)));
        }
    }
    put_back(held);
}

/// What went wrong, in words.
pub(crate) fn describe<E: std::fmt::Display>(failed: Failed<E>) -> String {
    match failed {
        Failed::TimedOut => "timed out".into(),
        Failed::Panicked(panic) => format!("panicked: {panic}"),
        Failed::Error(error) => error.to_string(),
    }
}
