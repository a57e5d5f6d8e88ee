//! Time and tasks as tokio has them.

use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;

use super::calling;

pub(crate) use tokio::runtime::Id as RuntimeId;
pub(crate) use tokio::time::{Instant, Sleep, sleep_until, timeout};

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The runtime that polls this.
pub(crate) fn here() -> Option<RuntimeId> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// Where tasks run: leases are dropped on any thread.
pub(crate) enum Runtime {
    /// The caller's runtime, or the last that was seen. A leaf lock: nothing is called under it.
    Callers(Mutex<Option<Handle>>),
    /// The pool's own, whoever calls.
    Own(Handle),
}

impl Runtime {
    pub(crate) fn callers() -> Self {
        Self::Callers(Mutex::new(None))
    }

    pub(crate) fn handle(&self) -> Option<Handle> {
        match self {
            Self::Own(handle) => Some(handle.clone()),
            Self::Callers(last) => Handle::try_current()
                .ok()
                .or_else(|| last.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Remembers the caller's runtime, if there is one.
    pub(crate) fn see(&self) {
        if let (Self::Callers(last), Ok(handle)) = (self, Handle::try_current()) {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
        }
    }

    /// Spawns `task`, or drops it if there never was a runtime. One that was shut down drops it too.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.handle() {
            Some(handle) => drop(handle.spawn(task)),
            // The task holds users' values, whose drops may panic.
            None => drop(calling(|| drop(task))),
        }
    }

    /// Whether there is a runtime and it has not been shut down.
    pub(crate) fn is_alive(&self) -> bool {
        self.handle().is_some_and(|handle| {
            // One that was shut down drops a task as soon as it is given it.
            let probe = handle.spawn(std::future::pending::<()>());
            let alive = !probe.is_finished();
            probe.abort();
            alive
        })
    }

    /// Polls what sets timers, on whatever thread this is.
    pub(crate) fn within<T>(&self, poll: impl FnOnce() -> T) -> T {
        let handle = self.handle();
        let _context = handle.as_ref().map(Handle::enter);
        poll()
    }
}

/// Whether the runtime that polls this has timers: without, tokio panics at a timer's first poll.
pub(crate) async fn has_timers() -> bool {
    std::future::poll_fn(|cx| {
        let poll = || pin!(tokio::time::sleep(Duration::ZERO)).poll(cx).is_ready();
        Poll::Ready(calling(poll).is_ok())
    })
    .await
}
