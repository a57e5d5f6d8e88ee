//! Time and tasks under shuttle: a task is one of its tasks, and time stands still but for [`advance`]. There
//! is always a runtime; where there is none is for tests on tokio.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub(crate) use shuttle::future::AbortHandle;
pub(crate) use tokio::time::Instant;

/// There is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RuntimeId;

pub(crate) fn here() -> Option<RuntimeId> {
    Some(RuntimeId)
}

pub(crate) fn spawn_here(task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
    let handle = shuttle::future::spawn(task).abort_handle();
    tasks().push(handle.clone());
    Some(handle)
}

pub(crate) enum Runtime {
    Callers,
    /// For pools with a thread of their own, which are compiled and not modelled.
    Own(#[expect(dead_code, reason = "not modelled")] Handle),
}

impl Runtime {
    pub(crate) fn here() -> Option<Self> {
        Some(Self::Callers)
    }

    pub(crate) fn callers() -> Self {
        Self::Callers
    }

    pub(crate) fn handle(&self) -> Option<RuntimeId> {
        here()
    }

    pub(crate) fn id(&self) -> Option<RuntimeId> {
        Some(RuntimeId)
    }

    pub(crate) fn see(&self) {}

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        spawn_here(task);
    }

    /// Compiled and not modelled.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        _work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        None
    }

    pub(crate) fn is_alive(&self) -> bool {
        true
    }

    pub(crate) fn within<T>(&self, poll: impl FnOnce() -> T) -> T {
        poll()
    }

    pub(crate) fn try_within<T>(&self, poll: impl FnOnce() -> T) -> Option<T> {
        Some(self.within(poll))
    }
}

/// The clock of one execution. Nothing that shuttle schedules happens under its lock.
struct Time {
    now: Instant,
    /// In the order of their times; the number tells apart those of the same time.
    timers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
}

shuttle::lazy_static! {
    /// Of the runtime that all are on.
    static ref TASKS: Mutex<Vec<AbortHandle>> = Mutex::new(Vec::new());
    static ref TIME: Mutex<Time> = Mutex::new(Time {
        now: Instant::now(),
        timers: BTreeMap::new(),
        last: 0,
    });
}

fn time() -> MutexGuard<'static, Time> {
    let time: &'static Mutex<Time> = &TIME;
    time.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tasks() -> MutexGuard<'static, Vec<AbortHandle>> {
    let tasks: &'static Mutex<Vec<AbortHandle>> = &TASKS;
    tasks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A runtime that nobody is on any more; its tasks run on until it ends.
#[cfg(test)]
pub(crate) struct Old(Vec<AbortHandle>);

/// From now on all are on another runtime.
#[cfg(test)]
pub(crate) fn move_on() -> Old {
    Old(std::mem::take(&mut *tasks()))
}

#[cfg(test)]
impl Old {
    /// Its tasks are dropped where they stand.
    pub(crate) fn end(self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

pub(crate) fn now() -> Instant {
    time().now
}

/// Lets this much time pass at once, and fires the timers that were set for it.
#[cfg(test)]
pub(crate) fn advance(by: Duration) {
    let fired = {
        let mut time = time();
        let now = time.now + by;
        time.now = now;
        let later = time.timers.split_off(&(now, u64::MAX));
        std::mem::replace(&mut time.timers, later)
    };
    fired.into_values().for_each(Waker::wake);
}

pub(crate) struct Sleep {
    at: Instant,
    /// Its number among the timers, while it is one.
    number: Option<u64>,
}

pub(crate) fn sleep_until(at: Instant) -> Sleep {
    Sleep { at, number: None }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut time = time();
        if time.now >= self.at {
            return Poll::Ready(());
        }
        let number = *self.number.get_or_insert_with(|| {
            time.last += 1;
            time.last
        });
        time.timers.insert((self.at, number), cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            time().timers.remove(&(self.at, number));
        }
    }
}

pub(crate) fn sleep(limit: Duration) -> Sleep {
    sleep_until(now() + limit)
}

/// For the mux, which is compiled and not modelled.
pub(crate) fn interval(every: Duration) -> tokio::time::Interval {
    tokio::time::interval(every)
}

/// For the dialer, which is compiled and not modelled.
#[cfg(feature = "net")]
pub(crate) fn timeout_at<F: Future>(at: Instant, work: F) -> tokio::time::Timeout<F> {
    tokio::time::timeout_at(at, work)
}

/// The time was up.
pub(crate) struct Elapsed;

pub(crate) fn timeout<T>(
    limit: Duration,
    work: impl Future<Output = T>,
) -> impl Future<Output = Result<T, Elapsed>> {
    let mut timer = sleep_until(now() + limit);
    async move {
        let mut work = pin!(work);
        std::future::poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => Pin::new(&mut timer).poll(cx).map(|()| Err(Elapsed)),
        })
        .await
    }
}
