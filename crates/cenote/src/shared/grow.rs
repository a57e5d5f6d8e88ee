//! One more active connection: one that is parked in the lifecycle if there is one, else one it opens. One at a time,
//! in a task of its own that no caller's cancellation reaches. How often a failing server is dialled is the lifecycle's
//! business; what it says in the end goes to all who wait.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::activation::Activation;
use super::state::Core;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::kernel::EndpointNumber;
use crate::lifecycle::state::ConnectionToken;
use crate::lifecycle::take::{self, Idle};
use crate::policy::telling::ConnectFailures;

/// Begins the growth that the state says is under way.
pub(super) fn start<C: Multiplex>(core: &Arc<Core<C>>) {
    let growth = Growth {
        core: Some(Arc::clone(core)),
    };
    if let Some(growth) = growth.take_idle() {
        let runtime = &core.life.owner.runtime;
        if runtime.is_alive() {
            runtime.spawn(growth.open());
        } else {
            growth.fail(&core.life.owner.no_runtime());
        }
    }
}

/// As much growth as needs no dial: true if a connection became active. The caller has noted that growth is under
/// way.
pub(super) fn take_one<C: Multiplex>(core: &Arc<Core<C>>) -> bool {
    match take::fresh(&core.life) {
        Some((token, _)) => {
            core.activate(token, Activation::Growth);
            if core.has_grown() {
                start(core);
            }
            true
        }
        None => {
            core.locked(|state, deferred| {
                state.growing -= 1;
                // Somebody may have queued meanwhile.
                core.dial_if_needed(state, deferred);
            });
            false
        }
    }
}

/// Makes a connection of this endpoint active that is parked, once it is checked if that is due; else the lifecycle opens
/// one, which is parked and found when the endpoint is chosen next.
pub(super) fn at<C: Multiplex>(core: &Arc<Core<C>>, number: EndpointNumber) {
    match take::of_endpoint(&core.life, number) {
        Some(Idle::Fresh(token, _)) => core.activate(token, Activation::PassedOver),
        Some(Idle::Stale(token)) => {
            let (core, life) = (Arc::clone(core), Arc::clone(&core.life));
            life.owner.runtime.spawn(async move {
                if let Some(token) = take::checked_meanwhile(Arc::clone(&core.life), token).await {
                    core.activate(token, Activation::PassedOver);
                }
            });
        }
        None => {}
    }
}

/// The next connection there is; `None` if it is not wanted any more. What was being opened for it is parked when it is
/// there.
async fn next<C: Multiplex>(core: &Arc<Core<C>>) -> Option<Result<ConnectionToken<C>, GetError>> {
    let mut next = pin!(take::next(&core.life));
    loop {
        let mut notified = pin!(core.growth.notified());
        notified.as_mut().enable();
        if core.gives_up_growth() {
            return None;
        }
        let first = poll_fn(|cx| match next.as_mut().poll(cx) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending => notified.as_mut().poll(cx).map(|()| None),
        });
        if let Some(next) = first.await {
            return Some(next);
        }
    }
}

/// The growth under way. Dropped before its end (its runtime was shut down), it leaves the next one to those
/// who wait.
struct Growth<C: Multiplex> {
    /// `None` once it has ended.
    core: Option<Arc<Core<C>>>,
}

impl<C: Multiplex> Growth<C> {
    /// Makes active what is parked; comes back if that is not enough.
    fn take_idle(mut self) -> Option<Self> {
        while let Some(core) = &self.core {
            let Some((token, _)) = take::fresh(&core.life) else {
                return Some(self);
            };
            core.activate(token, Activation::Growth);
            if !core.has_grown() {
                self.core = None;
            }
        }
        None
    }

    async fn open(mut self) {
        while let Some(core) = &self.core {
            let Some(next) = next(core).await else {
                self.core = None;
                return;
            };
            match next {
                Ok(token) => {
                    core.activate(token, Activation::Growth);
                    if !core.has_grown() {
                        self.core = None;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Tells those who wait, unless others serve: then they are still served, and upkeep tries again. Where they are to
    /// be told all the same, the lifecycle has decided when.
    fn fail(mut self, error: &GetError) {
        let Some(core) = self.core.take() else {
            return;
        };
        let policy = core.life.owner.settings.connect_failures_while_open;
        let is_told_while_open =
            matches!(error, GetError::Connect { .. }) && policy != ConnectFailures::KeepWaiting;
        core.locked(|state, deferred| {
            state.growing -= 1;
            if state.active.is_empty() || is_told_while_open {
                state.refuse_all(deferred, error);
            }
        });
    }
}

impl<C: Multiplex> Drop for Growth<C> {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else {
            return;
        };
        core.locked(|state, deferred| {
            state.growing -= 1;
            state.wake_waiters(deferred);
        });
    }
}
