//! Time and tasks as tokio has them.

use std::future::Future;
use std::pin::Pin;
use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::{self, Duration};

use pin_project_lite::pin_project;
use tokio::runtime::{Builder, Handle};
use tokio::task::{JoinHandle, unconstrained};
use tokio::time::Interval;

use super::calling;
use crate::wake::guarding;

pub(crate) use tokio::runtime::Id as RuntimeId;
pub(crate) use tokio::task::AbortHandle;
pub(crate) use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The runtime that polls this.
pub(crate) fn here() -> Option<RuntimeId> {
    Handle::try_current().ok().map(|handle| handle.id())
}

/// Begins `task` on the runtime that polls this, if there is one.
pub(crate) fn spawn_here(task: impl Future<Output = ()> + Send + 'static) -> Option<AbortHandle> {
    let handle = Handle::try_current().ok()?;
    Some(handle.spawn(task).abort_handle())
}

/// Where tasks run: leases are dropped on any thread.
pub(crate) enum Runtime {
    /// The caller's runtime, or the last that was seen. A leaf lock: nothing is called under it.
    Callers(Mutex<Option<Handle>>),
    /// The pool's own, on whichever runtime a caller is.
    Own(Handle),
}

impl Runtime {
    /// That which polls this, if there is one.
    pub(crate) fn here() -> Option<Self> {
        Handle::try_current().ok().map(Self::Own)
    }

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

    pub(crate) fn id(&self) -> Option<RuntimeId> {
        self.handle().map(|handle| handle.id())
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

    /// Runs `work` on a thread where it may block, whether or not its outcome is awaited; one that was shut down drops
    /// it. `None` if there never was a runtime.
    pub(crate) fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        Some(self.handle()?.spawn_blocking(work))
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

    /// As [`within`](Self::within), in a drop, which may be anywhere. `None` where there is another runtime, or no
    /// context any more: tokio drops tasks where no runtime can be entered, and the locals of a thread that ends in any
    /// order.
    pub(crate) fn try_within<T>(&self, poll: impl FnOnce() -> T) -> Option<T> {
        match Handle::try_current() {
            Ok(current) => {
                let is_here = self.handle()?.id() == current.id();
                is_here.then(poll)
            }
            Err(error) if error.is_thread_local_destroyed() => None,
            Err(_) => Some(self.within(poll)),
        }
    }
}

// Timers. Tokio's belong to a runtime and panic where it has none (`enable_time`), and in the task that polls them once
// it has been shut down; it can be asked about neither. So ours belong to a runtime that has them and is never shut
// down, on a thread of its own, whose only work is to wake. Where time is paused they are the caller's runtime's, whose
// clock is the one that moves: that happens in tests alone.

pin_project! {
    /// A timer under way, of [`sleep`] or [`sleep_until`]. Dropping it takes it back.
    //
    // It is woken on the thread of all timers, which a user's waker must not end: no waker gets there unguarded.
    #[derive(Debug)]
    #[must_use = "a timer does nothing until it is awaited"]
    pub struct Sleep {
        #[pin]
        sleep: tokio::time::Sleep,
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.project().sleep;
        if sleep.is_elapsed() {
            return Poll::Ready(());
        }
        // Time runs out for a task that has used its share of its turn up, too.
        let guarded = guarding(cx.waker());
        Pin::new(&mut unconstrained(sleep)).poll(&mut Context::from_waker(&guarded))
    }
}

pin_project! {
    /// Work under way and the limit of its time, of [`timeout`] or [`timeout_at`]. Dropping it drops the work.
    #[derive(Debug)]
    #[must_use = "the work does nothing until it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        work: F,
        #[pin]
        limit: Sleep,
    }
}

/// The time of a [`timeout`] was up before its work was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time was up")]
#[non_exhaustive]
pub struct Elapsed;

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.work.poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => this.limit.poll(cx).map(|()| Err(Elapsed)),
        }
    }
}

/// Waits until `at`.
pub fn sleep_until(at: Instant) -> Sleep {
    Sleep {
        sleep: with_timers(|| tokio::time::sleep_until(at)),
    }
}

/// Waits this long, beginning with this call.
pub fn sleep(limit: Duration) -> Sleep {
    Sleep {
        sleep: with_timers(|| tokio::time::sleep(limit)),
    }
}

/// Does `work`, for this long at most, beginning with this call.
///
/// # Errors
/// [`Elapsed`]: the time was up; the work is dropped with this future. Work that is done in the instant its time is up
/// is done.
pub fn timeout<F: Future>(limit: Duration, work: F) -> Timeout<F> {
    Timeout {
        work,
        limit: sleep(limit),
    }
}

/// As [`timeout`], until `at`.
///
/// # Errors
/// As [`timeout`].
pub fn timeout_at<F: Future>(at: Instant, work: F) -> Timeout<F> {
    Timeout {
        work,
        limit: sleep_until(at),
    }
}

/// Ticks, the first at once.
pub(crate) fn interval(every: Duration) -> Interval {
    with_timers(|| tokio::time::interval(every))
}

fn with_timers<T>(set: impl FnOnce() -> T) -> T {
    if is_paused() {
        return set();
    }
    let timers = timers();
    let _context = timers.as_ref().map(Handle::enter);
    set()
}

/// The runtime of this process's timers, begun with the first. `None` where the system gives no thread for it: then the
/// caller's must do.
fn timers() -> Option<Handle> {
    static FIRST: OnceLock<Option<Timers>> = OnceLock::new();
    // A child of a fork has none of its parent's threads, and so begins its own. A parent that has its timers never
    // takes this lock, so that its fork does not find it taken.
    static LATER: Mutex<Option<Timers>> = Mutex::new(None);
    let process = process::id();
    let is_own = |timers: &&Timers| timers.process == process;
    if let Some(timers) = FIRST.get_or_init(Timers::begin).as_ref().filter(is_own) {
        return Some(timers.handle.clone());
    }
    let mut later = LATER.lock().unwrap_or_else(PoisonError::into_inner);
    if later.as_ref().filter(is_own).is_none() {
        *later = Some(Timers::begin()?);
    }
    later.as_ref().map(|timers| timers.handle.clone())
}

/// Timers, and the process whose thread wakes them.
struct Timers {
    process: u32,
    handle: Handle,
}

impl Timers {
    fn begin() -> Option<Self> {
        let runtime = Builder::new_current_thread().enable_time().build().ok()?;
        let handle = runtime.handle().clone();
        let wake = move || runtime.block_on(std::future::pending::<()>());
        let thread = thread::Builder::new().name("cenote-timers".into());
        thread.spawn(wake).ok()?;
        let process = process::id();
        Some(Self { process, handle })
    }
}

/// Whether tokio's clock stands still here while the machine's goes on.
fn is_paused() -> bool {
    let (then, began) = (now(), time::Instant::now());
    while time::Instant::now() == began {}
    now() == then
}
