//! The only way in for time and for tasks: tokio's clock, so that `tokio::time::pause` drives every test, timers that
//! need nothing of the runtime they are used on, and tokio's runtimes, the caller's when there is one and else the one
//! the pool was used on last. When the pool's models run, shuttle's tasks and a clock that moves when told.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering};

#[cfg(cenote_shuttle)]
pub(crate) mod model;
#[cfg(not(cenote_shuttle))]
mod real;

#[cfg(cenote_shuttle)]
pub(crate) use model::*;
#[cfg(not(cenote_shuttle))]
pub(crate) use real::*;
// The surface of `cenote::time`.
#[cfg(not(cenote_shuttle))]
pub use real::{Elapsed, Sleep, Timeout, sleep, sleep_until, timeout, timeout_at};

/// Nanoseconds since the pool began, and a coarse copy of it that costs a load.
pub(crate) struct Clock {
    began: Instant,
    coarse: AtomicU64,
}

/// The coarse time while no keeper keeps it: later than everything, so that nothing counts as fresh.
pub(crate) const STOPPED: u64 = u64::MAX;

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            began: now(),
            coarse: AtomicU64::new(STOPPED),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        nanos(now() - self.began)
    }

    /// The time; brings the coarse copy up to date. A keeper's look does, and what has one begin.
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

    /// An instant on this clock; the beginning, if it was before.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        nanos(instant.saturating_duration_since(self.began))
    }
}

/// A duration in nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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
    match timeout(limit, work).await {
        Err(_) => Err(Failed::TimedOut),
        Ok(Err(panic)) => Err(Failed::Panicked(panic)),
        Ok(Ok(Err(error))) => Err(Failed::Error(error)),
        Ok(Ok(Ok(value))) => Ok(value),
    }
}

/// As [`guarded`], for work that cannot fail of itself.
pub(crate) async fn within(limit: Duration, work: impl Future<Output = ()>) {
    // However it ended, the caller goes on.
    let _ = timeout(limit, catching(work)).await;
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
    // The payload's own drop is user code too, and so is that of what it panics with, of which there is no end.
    if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        std::mem::forget(next);
    }
    text
}
