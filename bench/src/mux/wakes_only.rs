//! `wakes_only`: what the runtime allows. One task wakes the callers that wait, some hundreds at a time; there is no
//! connection.
//!
//! Nothing is encoded, sent or looked up: what is measured is waking tasks, moving them between threads and polling
//! them, which every client pays whose callers are tasks.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::callers::{CallError, Caller};
use crate::measure::Outcome;

/// Woken at once: as many as the replies that one read brings.
const AT_ONCE: usize = 200;

#[derive(Clone, Default)]
pub struct WakesOnly(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    callers: VecDeque<Waker>,
    /// The task that wakes them, while there are none.
    idle: Option<Waker>,
}

impl WakesOnly {
    pub async fn open() -> Outcome<Self> {
        let this = Self::default();
        tokio::spawn(this.clone().wake());
        Ok(this)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn wake(self) {
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            poll_fn(|cx| {
                let mut waiting = self.waiting();
                if waiting.callers.is_empty() {
                    waiting.idle = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                let some = waiting.callers.len().min(AT_ONCE);
                batch.extend(waiting.callers.drain(..some));
                Poll::Ready(())
            })
            .await;
            batch.drain(..).for_each(Waker::wake);
            tokio::task::yield_now().await;
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
            let mut waiting = self.waiting();
            waiting.callers.push_back(cx.waker().clone());
            let idle = waiting.idle.take();
            drop(waiting);
            idle.into_iter().for_each(Waker::wake);
            Poll::Pending
        })
        .await
    }
}
