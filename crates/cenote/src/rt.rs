//! The only way in for time and for tasks: tokio's clock, so that `tokio::time::pause` drives every test,
//! and tokio's runtimes, the caller's when there is one and else the one the pool was used on last.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

/// Nanoseconds since the pool began, and a coarse copy of it that costs a load.
pub(crate) struct Clock {
    began: Instant,
    coarse: AtomicU64,
}

/// The coarse time while no upkeep keeps it: later than everything, so that nothing counts as fresh.
const STOPPED: u64 = u64::MAX;

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            coarse: AtomicU64::new(STOPPED),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    /// The time; brings the coarse copy up to date. Upkeep's alone to call.
    pub(crate) fn tick(&self) -> u64 {
        let now = self.now();
        self.coarse.store(now, Ordering::Relaxed);
        now
    }

    /// No more ticks: until the next, the coarse time is later than everything.
    pub(crate) fn stop(&self) {
        self.coarse.store(STOPPED, Ordering::Relaxed);
    }

    /// The time of the last tick.
    #[inline(always)]
    pub(crate) fn coarse(&self) -> u64 {
        self.coarse.load(Ordering::Relaxed)
    }

    pub(crate) fn instant(&self, at: u64) -> Instant {
        self.began + Duration::from_nanos(at)
    }
}

/// A duration in nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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

/// How a piece of user code ended, when not as it should.
#[derive(Debug)]
pub(crate) enum Failed<E> {
    TimedOut,
    Panicked(String),
    Error(E),
}

/// Runs user code under a time-out and catches its panic.
pub(crate) async fn guarded<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failed<E>> {
    let work = catching(work);
    match tokio::time::timeout(limit, work).await {
        Err(_) => Err(Failed::TimedOut),
        Ok(Err(panic)) => Err(Failed::Panicked(panic)),
        Ok(Ok(Err(error))) => Err(Failed::Error(error)),
        Ok(Ok(Ok(value))) => Ok(value),
    }
}

/// As [`guarded`], for work that cannot fail of itself.
pub(crate) async fn within(limit: Duration, work: impl Future<Output = ()>) {
    // However it ended, the caller goes on.
    let _ = tokio::time::timeout(limit, catching(work)).await;
}

/// Runs `work` to its end; a panic becomes its message.
pub(crate) async fn catching<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    std::future::poll_fn(move |cx| {
        // Unwind safe: after a panic the future is never polled again.
        match catch_unwind(AssertUnwindSafe(|| Pin::as_mut(&mut work).poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(message(panic))),
        }
    })
    .await
}

/// Calls user code; a panic becomes its message.
#[inline]
pub(crate) fn calling<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Unwind safe: what the closure borrows is a connection, which is closed after a panic, or shared.
    catch_unwind(AssertUnwindSafe(work)).map_err(message)
}

#[cold]
fn message(panic: Box<dyn Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    // The payload's own drop is user code too.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(panic)));
    text
}
