//! One more connection in service: one that rests in the exclusive pool if there is one, else one it opens.
//! One at a time, in a task of its own that no caller's cancellation reaches. How often a failing server is
//! dialled is the exclusive pool's business; what it says in the end goes to all who wait.

use std::sync::Arc;

use super::state::Core;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::policy::telling::ConnectFailures;
use crate::pool::Lease;

/// Begins the growth that the state says is under way.
pub(super) fn start<C: Multiplex>(core: &Arc<Core<C>>) {
    let growth = Growth {
        core: Some(Arc::clone(core)),
    };
    if let Some(growth) = growth.take_idle() {
        let runtime = core.exclusive.runtime();
        if runtime.is_alive() {
            runtime.spawn(growth.open());
        } else {
            growth.fail(&core.exclusive.no_runtime());
        }
    }
}

/// As much growth as needs no dial: true if a connection came into service. For one who says himself that
/// growth is under way.
pub(super) fn take_one<C: Multiplex>(core: &Arc<Core<C>>) -> bool {
    match core.exclusive.try_get() {
        Ok(lease) => {
            if core.adopt(Lease::into_owned(lease)) {
                start(core);
            }
            true
        }
        Err(_) => {
            core.locked(|state, after| {
                state.is_growing = false;
                // Somebody may have queued meanwhile.
                core.dial_if_needed(state, after);
            });
            false
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
    /// Takes what rests into service; comes back if that is not enough.
    fn take_idle(mut self) -> Option<Self> {
        while let Some(core) = &self.core {
            let Ok(lease) = core.exclusive.try_get() else {
                return Some(self);
            };
            if !core.adopt(Lease::into_owned(lease)) {
                self.core = None;
            }
        }
        None
    }

    async fn open(mut self) {
        while let Some(core) = &self.core {
            match core.exclusive.get_owned().for_growth().await {
                Ok(lease) => {
                    if !core.adopt(lease) {
                        self.core = None;
                    }
                }
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Tells those who wait, unless others serve: then they are still served, and upkeep tries again. Where they are to
    /// be told all the same, the exclusive pool has decided when.
    fn fail(mut self, error: &GetError) {
        let Some(core) = self.core.take() else {
            return;
        };
        let policy = core.exclusive.settings().connect_failures_while_open;
        let is_told_while_open =
            matches!(error, GetError::Connect { .. }) && policy != ConnectFailures::KeepWaiting;
        core.locked(|state, after| {
            state.is_growing = false;
            if state.seats.is_empty() || is_told_while_open {
                state.refuse_all(after, error);
            }
        });
    }
}

impl<C: Multiplex> Drop for Growth<C> {
    fn drop(&mut self) {
        let Some(core) = self.core.take() else {
            return;
        };
        core.locked(|state, after| {
            state.is_growing = false;
            state.wake_waiters(after);
        });
    }
}
