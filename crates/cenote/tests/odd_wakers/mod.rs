//! Wakers as foreign executors and combinators may make them: one that panics when it is woken, one whose clone
//! does as it likes, and one that counts.
#![allow(dead_code, reason = "not every test uses all of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

/// Panics when it is woken: a send into a closed channel and an `unwrap`, say.
pub fn panicking() -> Waker {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("the waker");
        }
    }
    Waker::from(Arc::new(Panics))
}

/// Counts how often it was woken.
#[derive(Clone, Default)]
pub struct Woken(Arc<AtomicUsize>);

impl Woken {
    pub fn times(&self) -> usize {
        self.0.load(SeqCst)
    }

    pub fn waker(&self) -> Waker {
        struct Counts(Woken);
        impl Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.0.fetch_add(1, SeqCst);
            }
        }
        Waker::from(Arc::new(Counts(self.clone())))
    }
}

type OnClone = Arc<dyn Fn() + Send + Sync>;

/// Does this whenever it is cloned, and nothing when it is woken.
pub fn on_clone(act: impl Fn() + Send + Sync + 'static) -> Waker {
    let act: OnClone = Arc::new(act);
    // SAFETY: the functions of the table keep the contract of a waker: each has a box of its own, made in `raw`, which
    // `wake` and `drop` take back; what is in it is `Send + Sync`.
    unsafe { Waker::from_raw(raw(act)) }
}

fn raw(act: OnClone) -> RawWaker {
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, discard, |_| {}, discard);

    unsafe fn clone(data: *const ()) -> RawWaker {
        // SAFETY: a box of `raw`, which is not dropped while its waker is borrowed.
        let act = unsafe { &*data.cast::<OnClone>() };
        act();
        raw(Arc::clone(act))
    }

    unsafe fn discard(data: *const ()) {
        // SAFETY: a box of `raw`, and the last use of its waker.
        drop(unsafe { Box::from_raw(data.cast::<OnClone>().cast_mut()) });
    }

    RawWaker::new(Box::into_raw(Box::new(act)).cast(), &TABLE)
}

/// One poll with this waker.
pub fn poll_by<F: Future + Unpin>(waker: &Waker, future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Runs `work` on a thread of its own, where a deadlock would hold up nobody else.
pub fn without_deadlock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, outcome) = channel();
    let worker = thread::spawn(move || done.send(work()));
    let outcome = outcome.recv_timeout(Duration::from_secs(60));
    assert!(
        outcome.is_ok() || worker.is_finished(),
        "neither done nor failed after a minute: a deadlock"
    );
    outcome.expect("it did not panic")
}
