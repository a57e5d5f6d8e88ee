//! How a thread waits for what a task would await.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::connect::Connect;
use crate::error::GetError;
use crate::pool::{Get, Lease};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// The outcome of `get`, within `limit`. What is ready at once costs no waker.
#[inline]
pub(super) fn get<'a, C: Connect>(
    get: Get<'a, C>,
    limit: Option<Duration>,
) -> Result<Lease<'a, C>, GetError> {
    let mut get = pin!(get);
    match get.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => {
            // A limit beyond the clock's range is none.
            let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
            park_until(get.as_mut(), deadline).unwrap_or_else(|| get.time_out())
        }
    }
}

/// Polls `work` as it is woken; `None` once `deadline` has passed.
#[cold]
fn park_until<F: Future>(mut work: Pin<&mut F>, deadline: Option<Instant>) -> Option<F::Output> {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut cx) {
            return Some(outcome);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                None | Some(Duration::ZERO) => return None,
                Some(left) => thread::park_timeout(left),
            },
        }
    }
}

/// The outcome of `work`, which is most often ready at once.
#[inline]
pub(super) fn outcome<F: Future>(work: F) -> F::Output {
    let mut work = pin!(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => park_until(work, None).expect(UNLIMITED),
    }
}

const UNLIMITED: &str = "without a deadline it waits for the outcome";

/// The outcome of `work`, polled within the context that `admit` gives.
pub(super) fn until_ready<F: Future, G>(work: F, admit: impl Fn() -> G) -> F::Output {
    let mut work = pin!(work);
    let entered = std::future::poll_fn(|cx| {
        let _context = admit();
        work.as_mut().poll(cx)
    });
    park_until(pin!(entered), None).expect(UNLIMITED)
}
