//! What may have to happen between an idle connection and a lease: a check, the `before_get` hook. Once
//! begun it ends, whether or not the caller stays.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use super::check::{check, is_open, reject};
use super::checking::Checking;
use super::recycle::{describe, release, return_to_pool};
use super::retire::retire;
use super::state::{ConnectionToken, Entry, LifecycleCore};
use crate::connect::Connect;
use crate::error::{BoxError, GetError};
use crate::kernel::{Arc, IdleSince};
use crate::report::CloseReason;
use crate::rt::{self, Failed, nanos};

/// Why a connection can't be leased; it is closed.
pub(crate) enum Rejected {
    /// Another may do.
    Closed,
    /// Another would do no better.
    Fatal(GetError),
}

/// A connection being checked for a caller. If the caller leaves, the check goes on and the connection
/// goes to the next (sqlx #1869: a cancelled acquire closed it).
pub(crate) struct PreLeaseCheck<C: Connect> {
    work: Option<Work<C>>,
    core: Arc<LifecycleCore<C>>,
}

type Work<C> = Pin<Box<dyn Future<Output = Result<ConnectionToken<C>, Rejected>> + Send>>;

impl<C: Connect> PreLeaseCheck<C> {
    /// Begins. Dropped at once, it goes on in the background.
    pub(crate) fn start(token: ConnectionToken<C>) -> Self {
        let core = Arc::clone(token.core());
        // Upkeep's until it is found fit, and so no lease that could look like a leak.
        token.reserve();
        Self {
            work: Some(Box::pin(prepare(token))),
            core,
        }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ConnectionToken<C>, Rejected>> {
        let work = self.work.as_mut().expect("polled again only while pending");
        let outcome = ready!(self.core.owner.runtime.within(|| work.as_mut().poll(cx)));
        self.work = None;
        Poll::Ready(outcome)
    }
}

impl<C: Connect> Drop for PreLeaseCheck<C> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let checking = Checking::begin(&self.core);
            self.core.owner.runtime.spawn(finish(checking, work));
        }
    }
}

/// Sees a check to its end for no caller in particular.
async fn finish<C: Connect>(checking: Checking<C>, work: Work<C>) {
    if let Ok(token) = work.await {
        // Asked for, if not used: it is as fresh as after a lease.
        return_to_pool(token);
    }
    drop(checking);
}

/// All that may have to happen between an idle connection, reserved, and a lease.
async fn prepare<C: Connect>(
    mut token: ConnectionToken<C>,
) -> Result<ConnectionToken<C>, Rejected> {
    let core = Arc::clone(token.core());
    let life = &core.owner;
    let limit = life.settings.check_timeout;
    let now = life.clock.now();
    if let Err(unfit) = is_open(&token) {
        return Err(rejected(reject(token, now, unfit)));
    }
    let meta = token.meta();
    // Early rather than late, as `fresh_below`.
    let check_after = life
        .settings
        .check_after_idle
        .map(|after| nanos(after.saturating_sub(life.settings.turn())));
    let fresh_since = meta
        .idle_since
        .load(Relaxed)
        .max(meta.checked_at.load(Relaxed));
    let unwatched = fresh_since < life.taken_over_at.load(Relaxed);
    let is_due = check_after.is_some_and(|after| now.saturating_sub(fresh_since) >= after);
    if unwatched || is_due {
        if let Err(unfit) = check(&mut token).await {
            return Err(rejected(reject(token, now, unfit)));
        }
    }
    if !life.hooks.before_get.is_empty() {
        let (_, meta, Entry { conn, .. }) = token.parts();
        let info = meta.info(now, now);
        let hooks = life.hooks.before_get.run(conn, &info);
        if let Err(failed) = rt::guarded(limit, hooks).await {
            let error: BoxError = match failed {
                Failed::Error(error) => error,
                other => describe(other).into(),
            };
            let text = describe(Failed::Error(&error));
            retire(token, CloseReason::Hook, Some(&text));
            return Err(match info.uses {
                0 => Rejected::Fatal(GetError::hook(life.settings.name.clone(), error.into())),
                _ => Rejected::Closed,
            });
        }
    }
    core.relet(token).map_err(|token| {
        // Closed or paused meanwhile: this caller learns which when it queues again.
        release(token, IdleSince::Before);
        Rejected::Closed
    })
}

/// With the error of the caller, if that is to wait no longer.
fn rejected(error: Option<GetError>) -> Rejected {
    error.map_or(Rejected::Closed, Rejected::Fatal)
}
