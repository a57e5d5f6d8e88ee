//! How a connection leaves the pool: told, counted, said goodbye to where that makes sense, and its slot
//! vacated only when it is gone.

use crate::connect::Connect;
use crate::event::{CloseReason, Event};
use crate::rt;

use super::shared::{Entry, PoolHeld, count};
use crate::kernel::Arc;

/// Closes the connection of `held` for `reason`; its slot is vacant when that is done. Never blocks: a
/// goodbye is said in the background, within `close_timeout`.
pub(crate) fn end<C: Connect>(mut held: PoolHeld<C>, reason: CloseReason, error: Option<&str>) {
    let core = Arc::clone(held.core());
    core.retire(&held);
    announce(&mut held, reason, error);
    let Some(Entry { conn }) = held.take() else {
        return;
    };
    if is_abrupt(reason) {
        let _ = rt::calling(|| drop(conn));
        return;
    }
    core.owner
        .runtime
        .spawn(say_goodbye(Goodbye { conn, held }));
}

/// In this order, so that a goodbye cut short ends the connection before its slot is vacant.
struct Goodbye<C: Connect> {
    conn: C::Connection,
    held: PoolHeld<C>,
}

async fn say_goodbye<C: Connect>(goodbye: Goodbye<C>) {
    let Goodbye { conn, held } = goodbye;
    let shared = &held.core().owner;
    let limit = shared.settings.close_timeout;
    rt::within(limit, async { shared.connector.close(conn).await }).await;
    drop(held);
}

/// Gives the connection of `held` to the caller for good.
pub(crate) fn detach<C: Connect>(mut held: PoolHeld<C>) -> C::Connection {
    held.core().retire(&held);
    announce(&mut held, CloseReason::Detached, None);
    held.take().expect("a lease has its connection").conn
}

/// The end of a connection whose token is being dropped with it; the slot is vacated after this.
pub(crate) fn abort<C: Connect>(held: &mut PoolHeld<C>) {
    announce(held, CloseReason::Aborted, None);
    let entry = held.take();
    let _ = rt::calling(|| drop(entry));
}

fn announce<C: Connect>(held: &mut PoolHeld<C>, reason: CloseReason, error: Option<&str>) {
    let (core, notes, entry) = held.parts();
    let shared = &core.owner;
    count(&shared.tally.closed[reason as usize]);
    let now = shared.clock.now();
    let info = notes.info(now, now);
    if let Some(before_close) = &shared.hooks.before_close {
        let _ = rt::calling(|| before_close(&mut entry.conn, &info, reason));
    }
    shared.hooks.tell(&Event::Closed {
        info,
        reason,
        error,
    });
}

/// Whether a goodbye would be pointless or harmful: the connection is broken, or in an unknown state.
fn is_abrupt(reason: CloseReason) -> bool {
    match reason {
        CloseReason::IdleTimeout
        | CloseReason::MaxLifetime
        | CloseReason::Retired
        | CloseReason::MaxIdle
        | CloseReason::Resized
        | CloseReason::Evicted
        | CloseReason::PoolClosed => false,
        CloseReason::Broken
        | CloseReason::CheckFailed
        | CloseReason::ResetFailed
        | CloseReason::Verdict
        | CloseReason::Hook
        | CloseReason::Discarded
        | CloseReason::Panicked
        | CloseReason::Detached
        | CloseReason::Aborted => true,
    }
}
