//! Work that belongs to a caller and must go on though the caller is not polled: reading its reply.
//!
//! A caller polls its own work, as any future does. Whenever something comes for it, it is also put on a list of
//! the connection, whose task gives callers a turn to come first and then does what they left undone: a caller
//! that is polled pays no task of its own, and one that is not holds up nobody.
//!
//! Promises that work is polled after each of its wake-ups, by its caller or by the task, as long as the task
//! runs; and that work whose caller leaves goes on to its end.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// The list of one connection.
pub(super) struct Unpolled {
    /// A leaf lock.
    list: Mutex<List>,
    some: Notify,
}

struct List {
    works: Vec<Arc<dyn ReadOn>>,
    /// The task is gone: what is put here would stay.
    is_closed: bool,
}

/// The owner's end of the task, which ends with it.
#[derive(Debug)]
pub(super) struct Reader(AbortHandle);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Unpolled {
    /// Starts the task, on the runtime of the caller.
    pub(super) fn start() -> (Arc<Self>, Reader) {
        let unpolled = Arc::new(Self {
            list: Mutex::new(List {
                works: Vec::new(),
                is_closed: false,
            }),
            some: Notify::new(),
        });
        let reader = Reading(unpolled.clone());
        let task = tokio::spawn(reader.run());
        (unpolled, Reader(task.abort_handle()))
    }

    fn put(&self, work: Arc<dyn ReadOn>) {
        let is_first = {
            let mut list = lock(&self.list);
            if list.is_closed {
                return;
            }
            list.works.push(work);
            list.works.len() == 1
        };
        if is_first {
            self.some.notify_one();
        }
    }
}

/// The task. Dropped, it leaves the list closed.
struct Reading(Arc<Unpolled>);

impl Reading {
    async fn run(self) {
        let mut works = Vec::new();
        loop {
            self.0.some.notified().await;
            // Most callers are polled meanwhile.
            tokio::task::yield_now().await;
            std::mem::swap(&mut lock(&self.0.list).works, &mut works);
            for work in works.drain(..) {
                work.read_on();
            }
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let works = {
            let mut list = lock(&self.0.list);
            list.is_closed = true;
            std::mem::take(&mut list.works)
        };
        drop(works);
    }
}

trait ReadOn: Send + Sync {
    /// The work is polled, unless its caller has done so since it was listed.
    fn read_on(self: Arc<Self>);
}

/// A caller's hold on its work. Dropped before the end, it leaves the rest to a task.
pub(super) struct Work<T: Send + 'static> {
    cell: Arc<Cell<T>>,
    /// Before its first poll nothing was done, and nothing will be.
    is_begun: bool,
    is_left: Left,
    runtime: Handle,
}

/// Whether the caller of some work has left.
pub(super) type Left = Arc<AtomicBool>;

struct Cell<T> {
    unpolled: Arc<Unpolled>,
    /// Something came since the last poll.
    is_woken: AtomicBool,
    is_listed: AtomicBool,
    /// A leaf lock, under which no waker is cloned, woken or dropped.
    caller: Mutex<Option<Waker>>,
    stage: Mutex<Stage<T>>,
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Stage<T> {
    Going(Boxed<T>),
    /// Until the caller takes it.
    Done(T),
    Taken,
}

impl<T: Send + 'static> Work<T> {
    pub(super) fn new(
        unpolled: &Arc<Unpolled>,
        runtime: &Handle,
        is_left: Left,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self {
            cell: Arc::new(Cell {
                unpolled: unpolled.clone(),
                is_woken: AtomicBool::new(false),
                is_listed: AtomicBool::new(false),
                caller: Mutex::new(None),
                stage: Mutex::new(Stage::Going(Box::pin(work))),
            }),
            is_begun: false,
            is_left,
            runtime: runtime.clone(),
        }
    }

    /// Not to be polled again after its end.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        self.is_begun = true;
        self.cell.poll(cx)
    }
}

impl<T: Send + 'static> Drop for Work<T> {
    fn drop(&mut self) {
        if !self.is_begun {
            return;
        }
        self.is_left.store(true, Ordering::Relaxed);
        let mut stage = lock(&self.cell.stage);
        if let Stage::Going(_) = *stage {
            let cell = self.cell.clone();
            self.runtime.spawn(async move {
                drop(poll_fn(|cx| cell.poll(cx)).await);
            });
            return;
        }
        let output = std::mem::replace(&mut *stage, Stage::Taken);
        drop(stage);
        drop(output);
    }
}

impl<T: Send + 'static> Cell<T> {
    fn poll(self: &Arc<Self>, cx: &mut Context<'_>) -> Poll<T> {
        let waker = Some(cx.waker().clone());
        // Before the work is looked at: who ends it after that finds the waker.
        let before = std::mem::replace(&mut *lock(&self.caller), waker);
        drop(before);
        let mut stage = lock(&self.stage);
        self.advance(&mut stage);
        match std::mem::replace(&mut *stage, Stage::Taken) {
            Stage::Done(output) => Poll::Ready(output),
            going => {
                *stage = going;
                Poll::Pending
            }
        }
    }

    fn advance(self: &Arc<Self>, stage: &mut Stage<T>) {
        self.is_woken.store(false, Ordering::Release);
        if let Stage::Going(work) = stage {
            let waker = Waker::from(self.clone());
            if let Poll::Ready(output) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                *stage = Stage::Done(output);
            }
        }
    }

    /// The task is to come to it.
    fn list(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        if !self.is_listed.swap(true, Ordering::AcqRel) {
            self.unpolled.put(self.clone());
        }
    }

    fn wake_caller(&self) {
        let waker = lock(&self.caller).take();
        if let Some(waker) = waker {
            // The caller's own code, in the connection's task: its panic is not for those beside it.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }
}

impl<T: Send + 'static> ReadOn for Cell<T> {
    fn read_on(self: Arc<Self>) {
        // In this order, and a wake-up the other way round: either it lists the work again, or it is seen here.
        self.is_listed.swap(false, Ordering::AcqRel);
        if !self.is_woken.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut stage = match self.stage.try_lock() {
            Ok(stage) => stage,
            // The caller is at it, and may have looked before this wake-up, for the last time.
            Err(TryLockError::WouldBlock) => return self.list(),
            // The caller panicked at it.
            Err(TryLockError::Poisoned(_)) => return,
        };
        self.advance(&mut stage);
        let is_done = matches!(*stage, Stage::Done(_));
        drop(stage);
        if is_done {
            self.wake_caller();
        }
    }
}

impl<T: Send + 'static> Wake for Cell<T> {
    fn wake(self: Arc<Self>) {
        self.list();
        self.wake_caller();
    }
}

/// No code that can panic leaves what these guard unsound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio::task::yield_now;

    use super::*;

    /// Work that waits twice, each time for a message, and says when it is done.
    struct Steps {
        first: oneshot::Sender<()>,
        second: oneshot::Sender<()>,
        done: oneshot::Receiver<()>,
        work: Work<u8>,
    }

    fn steps(unpolled: &Arc<Unpolled>) -> Steps {
        let (first, one) = oneshot::channel();
        let (second, two) = oneshot::channel();
        let (says, done) = oneshot::channel();
        let work = async move {
            let _ = one.await;
            let _ = two.await;
            let _ = says.send(());
            7
        };
        Steps {
            first,
            second,
            done,
            work: Work::new(unpolled, &Handle::current(), Left::default(), work),
        }
    }

    async fn begin(work: &mut Work<u8>) {
        let begun = poll_fn(|cx| Poll::Ready(work.poll(cx))).await;
        assert!(begun.is_pending());
    }

    #[tokio::test]
    async fn work_goes_on_though_its_caller_is_not_polled() {
        let (unpolled, _reader) = Unpolled::start();
        let mut steps = steps(&unpolled);
        begin(&mut steps.work).await;
        steps.first.send(()).expect("it waits for it");
        yield_now().await;
        steps.second.send(()).expect("it waits for it");
        steps.done.await.expect("it came to its end");
        assert_eq!(poll_fn(|cx| steps.work.poll(cx)).await, 7);
    }

    #[tokio::test]
    async fn work_whose_caller_leaves_goes_on_to_its_end() {
        let (unpolled, _reader) = Unpolled::start();
        let mut steps = steps(&unpolled);
        begin(&mut steps.work).await;
        drop(steps.work);
        steps.first.send(()).expect("it waits for it");
        steps.second.send(()).expect("it waits for it");
        steps.done.await.expect("it came to its end");
    }

    #[tokio::test]
    async fn work_that_was_never_polled_is_not_begun_when_its_caller_leaves() {
        let (unpolled, _reader) = Unpolled::start();
        let steps = steps(&unpolled);
        drop(steps.work);
        assert!(steps.done.await.is_err(), "it was dropped");
    }

    /// What a caller's runtime does when it is told is not for those beside it to suffer.
    #[tokio::test]
    async fn a_waker_that_panics_is_only_its_callers_trouble() {
        struct Panics;
        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("as it likes");
            }
        }
        let (unpolled, _reader) = Unpolled::start();
        let mut bad = steps(&unpolled);
        let waker = Waker::from(Arc::new(Panics));
        assert!(bad.work.poll(&mut Context::from_waker(&waker)).is_pending());
        bad.first.send(()).expect("it waits for it");
        yield_now().await;
        bad.second.send(()).expect("it waits for it");
        bad.done.await.expect("it came to its end");
        let mut good = steps(&unpolled);
        begin(&mut good.work).await;
        good.first.send(()).expect("it waits for it");
        good.second.send(()).expect("it waits for it");
        good.done.await.expect("it came to its end");
    }

    #[tokio::test]
    async fn nothing_is_kept_once_the_task_is_gone() {
        let (unpolled, reader) = Unpolled::start();
        let mut steps = steps(&unpolled);
        begin(&mut steps.work).await;
        drop(reader);
        yield_now().await;
        steps.first.send(()).expect("it waits for it");
        assert!(lock(&unpolled.list).works.is_empty());
    }

    /// A wake-up while the caller is at its work: the task comes to it in vain, and has to come back.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_that_is_woken_while_its_caller_is_at_it_goes_on_without_that_caller() {
        let (unpolled, _reader) = Unpolled::start();
        let mut marker = steps(&unpolled);
        begin(&mut marker.work).await;
        marker.first.send(()).expect("it waits for it");
        let (second, mut marked) = (marker.second, marker.done);
        let (says, done) = oneshot::channel();
        let mut second = Some(second);
        let work = async move {
            poll_fn(|cx| match second.take() {
                Some(second) => {
                    cx.waker().wake_by_ref();
                    second.send(()).expect("it waits for it");
                    // The task comes to the marker after it came here.
                    while marked.try_recv().is_err() {
                        std::thread::yield_now();
                    }
                    Poll::Pending
                }
                None => Poll::Ready(()),
            })
            .await;
            let _ = says.send(());
            0
        };
        let mut work = Work::new(&unpolled, &Handle::current(), Left::default(), work);
        begin(&mut work).await;
        done.await.expect("it came to its end");
        drop(work);
    }
}
