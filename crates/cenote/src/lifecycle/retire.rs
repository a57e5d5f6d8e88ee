//! How a connection leaves the pool: told, counted, said goodbye to where that makes sense, and its slot
//! vacated only when it is gone.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::state::{ConnectionToken, Entry};
use super::{health, recent_leases};
use crate::connect::Connect;
use crate::kernel::Arc;
use crate::report::{CloseReason, ConnectionInfo, EventKind};
use crate::rt;

/// Closes the connection of `token` for `reason`; its slot is vacant when that is done: at once, if there is no
/// goodbye or it is said at its first poll. Never blocks: else it is said in the background, within
/// `close_timeout`.
pub(crate) fn retire<C: Connect>(
    mut token: ConnectionToken<C>,
    reason: CloseReason,
    error: Option<&str>,
) {
    let core = Arc::clone(token.core());
    core.mark_closing(&token);
    health::tell_closed(&token, reason);
    let info = announce(&mut token, reason, error);
    let Some(entry) = token.take() else {
        return;
    };
    if is_abrupt(reason) {
        let _ = rt::calling(|| drop(entry));
        return;
    }
    let runtime = &core.owner.runtime;
    let mut goodbye = Goodbye {
        words: Box::pin(say_goodbye(entry, info)),
        token,
    };
    // A runtime that ends must not be asked for sockets or timers any more.
    if runtime.is_alive() && runtime.try_within(|| goodbye.poll_once()) == Some(Poll::Ready(())) {
        return;
    }
    runtime.spawn(goodbye.finish(core.owner.settings.close_timeout));
}

/// A goodbye under way. In this order, so that one cut short ends the connection before its slot is vacant.
struct Goodbye<C: Connect> {
    words: Pin<Box<dyn Future<Output = ()> + Send>>,
    token: ConnectionToken<C>,
}

impl<C: Connect> Goodbye<C> {
    /// The task that polls again brings a waker.
    fn poll_once(&mut self) -> Poll<()> {
        let mut cx = Context::from_waker(Waker::noop());
        self.words.as_mut().poll(&mut cx)
    }

    async fn finish(self, limit: Duration) {
        let Self { words, token } = self;
        rt::within(limit, words).await;
        drop(token);
    }
}

async fn say_goodbye<C: Connect>(entry: Entry<C>, info: ConnectionInfo) {
    let Entry { conn, target } = entry;
    // Called within: the method may panic before it returns its future. A connector may be gone with its last connection,
    // and is dropped here, where its panic is caught.
    let goodbye = async move {
        let target = target;
        target.connector.close(conn, &info).await;
    };
    // However it ended, the connection is gone.
    let _ = rt::catching(goodbye).await;
}

/// Gives the connection of `token` to the caller for good.
pub(crate) fn detach<C: Connect>(mut token: ConnectionToken<C>) -> C::Connection {
    token.core().mark_closing(&token);
    announce(&mut token, CloseReason::Detached, None);
    let Entry { conn, target } = token.take().expect("a lease has its connection");
    let _ = rt::calling(|| drop(target));
    conn
}

/// The end of a connection whose token is being dropped with it; the slot is vacated after this.
pub(crate) fn abort<C: Connect>(token: &mut ConnectionToken<C>) {
    announce(token, CloseReason::Aborted, None);
    let entry = token.take();
    let _ = rt::calling(|| drop(entry));
}

/// Tells everyone who is to know, while the connection is still there to be looked at.
fn announce<C: Connect>(
    token: &mut ConnectionToken<C>,
    reason: CloseReason,
    error: Option<&str>,
) -> ConnectionInfo {
    recent_leases::count_last_leases(token);
    let (core, meta, entry) = token.parts();
    let life = &core.owner;
    life.metrics.count_closed(reason);
    let now = life.clock.now();
    let info = meta.info(now, now);
    life.hooks.before_close(&mut entry.conn, &info, reason);
    let Entry { conn, target } = entry;
    let _ = rt::calling(|| target.connector.leaving(conn, &info, reason));
    life.tell_of(Some(target), || EventKind::Closed {
        info,
        reason,
        error,
    });
    info
}

/// Whether a goodbye would be pointless or harmful: the connection is broken, or in an unknown state.
fn is_abrupt(reason: CloseReason) -> bool {
    match reason {
        CloseReason::IdleTimeout
        | CloseReason::MaxLifetime
        | CloseReason::Retired
        | CloseReason::MaxIdle
        | CloseReason::Resized
        | CloseReason::Budget
        | CloseReason::Evicted
        | CloseReason::EndpointGone
        | CloseReason::Rebalanced
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
