//! The end of a pool: told at once, waited for as long as the caller likes.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use super::budget_member;
use super::recycle::reason;
use super::retire::retire;
use super::state::{LifecycleCore, Refusal};
use super::{spent, upkeep};
use crate::connect::Connect;
use crate::kernel::{Arc, State};
use crate::rt;
use crate::sync::lock;

/// How long a close waits for leases, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// A [`Pool::close`](crate::Pool::close) under way. The pool is closed already; awaiting this waits until
/// its connections are. Dropping it only stops the waiting.
#[must_use = "the pool is closed at once, but only awaiting this waits for its connections to end"]
pub struct Close {
    limit: Duration,
    wait: Option<Box<dyn FnOnce(Duration) -> Waiting + Send + Sync>>,
    waiting: Option<Waiting>,
}

type Waiting = Pin<Box<dyn Future<Output = CloseReport> + Send + Sync>>;

/// How a close ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// Connections this call stopped waiting for: still leased, reset or said goodbye to when its time was
    /// up. They end when that is over.
    pub abandoned: usize,
}

impl Close {
    pub(crate) fn begin<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Self {
        shut(core);
        let core = Arc::clone(core);
        let wait = move |limit| -> Waiting { Box::pin(wait(core, limit)) };
        Self {
            limit: PATIENCE,
            wait: Some(Box::new(wait)),
            waiting: None,
        }
    }

    /// Waits this long at most for leases to come back. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl Future for Close {
    type Output = CloseReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReport> {
        if let Some(wait) = self.wait.take() {
            let limit = self.limit;
            self.waiting = Some(wait(limit));
        }
        let waiting = self.waiting.as_mut().expect("set when first polled");
        waiting.as_mut().poll(cx)
    }
}

/// Closes the pool: no more leases, idle connections ended, leased ones when they come back.
pub(crate) fn shut<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    core.close(|| Refusal::Closed);
    budget_member::withdraw(core);
    for (token, why) in core.reserve_excess() {
        retire(token, reason(why), None);
    }
    upkeep::dismiss(core);
    // No look counts any more.
    budget_member::count_idle(core);
    if let Some(set) = core.owner.targets.set() {
        // The follower ends; one that was left has users' values, whose drops may panic.
        set.changed.notify_one();
        let left = lock(&set.left).take();
        let _ = rt::calling(|| drop(left));
    }
    spent::tell_if_spent(core);
}

async fn wait<C: Connect>(core: Arc<LifecycleCore<C>>, limit: Duration) -> CloseReport {
    let all_vacant = async {
        loop {
            let changed = core.owner.changed.notified();
            if core.demand().occupied == 0 {
                return;
            }
            changed.await;
        }
    };
    let runtime = &core.owner.runtime;
    if runtime.is_alive() {
        // Entered at each poll, which need not be within a runtime.
        let mut in_time = pin!(runtime.within(|| rt::timeout(limit, all_vacant)));
        let _ = std::future::poll_fn(|cx| runtime.within(|| in_time.as_mut().poll(cx))).await;
    }
    let abandoned = core
        .slots()
        .filter(|(_, word, _)| !matches!(word.state(), State::Vacant | State::Opening));
    CloseReport {
        abandoned: abandoned.count(),
    }
}

impl fmt::Debug for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
