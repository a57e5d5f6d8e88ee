//! The one check of a connection: whether it is still open, and answers. Before a lease, and while it idles.

use std::sync::atomic::Ordering::Relaxed;

use super::checking::Checking;
use super::failed_dial;
use super::recycle::{describe, release};
use super::retire::retire;
use super::state::{ConnectionToken, Entry};
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::{Arc, IdleSince};
use crate::report::{CloseReason, count};
use crate::rt;

/// Why a connection is closed after its check, and what went wrong, where that can be said.
pub(crate) type Unfit = (CloseReason, Option<String>);

/// Whether the connector still calls the connection open.
pub(crate) fn is_open<C: Connect>(token: &ConnectionToken<C>) -> Result<(), Unfit> {
    let entry = token.entry();
    match rt::calling(|| entry.target.connector.is_open(&entry.conn)) {
        Ok(true) => Ok(()),
        Ok(false) => Err((CloseReason::Broken, None)),
        Err(panic) => Err((CloseReason::Broken, Some(panic))),
    }
}

/// Has the connector ask the peer.
pub(crate) async fn check<C: Connect>(token: &mut ConnectionToken<C>) -> Result<(), Unfit> {
    let core = Arc::clone(token.core());
    let life = &core.owner;
    count(&life.metrics.checks);
    let now = life.clock.now();
    let (_, meta, Entry { conn, target }) = token.parts();
    let info = meta.info(now, now);
    let connector = &target.connector;
    // Called within the guard: the method may panic before it returns its future.
    let check = async { connector.check(conn, &info).await };
    match rt::guarded(life.settings.check_timeout, check).await {
        Ok(()) => {
            token.meta().checked_at.store(life.clock.now(), Relaxed);
            Ok(())
        }
        Err(failed) => Err((CloseReason::CheckFailed, Some(describe(failed)))),
    }
}

/// Checks an idle connection; its idle time runs on.
///
/// `checking` comes first, so that a check cut short ends the connection before it counts no more.
pub(crate) async fn check_idle<C: Connect>(checking: Checking<C>, mut token: ConnectionToken<C>) {
    let outcome = match is_open(&token) {
        Ok(()) => check(&mut token).await,
        closed => closed,
    };
    match outcome {
        Ok(()) => release(token, IdleSince::Before),
        Err((reason, error)) => retire(token, reason, error.as_deref()),
    }
    drop(checking);
}

/// Closes a connection that proved dead. If it was opened a moment ago for its first lease, that is as bad
/// as a failed connect: the next dial waits for the gate, or a server that closes what it accepts would be
/// dialled without end. The error of the caller it was for, if there is one and that is to wait no longer.
pub(super) fn reject<C: Connect>(
    token: ConnectionToken<C>,
    found_at: u64,
    (reason, error): Unfit,
) -> Option<GetError> {
    let refused = if failed_dial::is_arrival(token.meta(), found_at, 0) {
        failed_dial::dead_on_arrival(&token)
    } else {
        None
    };
    retire(token, reason, error.as_deref());
    refused
}
