//! `wakes_only`: what the runtime allows. One task wakes the callers that wait, some hundreds at a time; there is no
//! connection.
//!
//! Nothing is encoded, sent or looked up: what is measured is waking tasks, moving them between threads and polling
//! them, which every client pays whose callers are tasks. Callers register in the list of their thread, so that no lock
//! is the limit.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::callers::{CallError, Caller};
use crate::measure::Outcome;

/// Woken at once: as many as the replies that one read brings.
const AT_ONCE: usize = 200;
/// Lists of callers; threads take turns in choosing one.
const LISTS: usize = 2;

#[derive(Clone, Default)]
pub struct WakesOnly(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    callers: [List; LISTS],
    /// Whether the waking task is woken, and has not looked at the lists since. Cleared before it looks.
    is_asked: AtomicBool,
    waking: Mutex<Option<Waker>>,
}

/// In cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct List(Mutex<Vec<Waker>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The list of this thread.
fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % LISTS);
    OWN.with(|own| *own)
}

impl WakesOnly {
    pub async fn open() -> Outcome<Self> {
        let this = Self::default();
        tokio::spawn(this.clone().wake());
        Ok(this)
    }

    async fn wake(self) {
        let mut callers = VecDeque::new();
        loop {
            poll_fn(|cx| self.0.take(&mut callers, cx)).await;
            while !callers.is_empty() {
                let some = callers.len().min(AT_ONCE);
                callers.drain(..some).for_each(Waker::wake);
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Waiting {
    fn take(&self, into: &mut VecDeque<Waker>, cx: &Context<'_>) -> Poll<()> {
        *lock(&self.waking) = Some(cx.waker().clone());
        self.is_asked.store(false, Ordering::SeqCst);
        for List(callers) in &self.callers {
            into.extend(lock(callers).drain(..));
        }
        if into.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn add(&self, caller: Waker) {
        lock(&self.callers[own()].0).push(caller);
        if !self.is_asked.load(Ordering::SeqCst) && !self.is_asked.swap(true, Ordering::SeqCst) {
            let waking = lock(&self.waking).clone();
            waking.into_iter().for_each(Waker::wake);
        }
    }
}

impl Caller for WakesOnly {
    async fn call(&mut self, _: u64) -> Result<(), CallError> {
        let mut waits = false;
        poll_fn(|cx| {
            if waits {
                return Poll::Ready(Ok(()));
            }
            waits = true;
            self.0.add(cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}
