//! `waiters_flat`: what one hand-off costs with 10, 1,000 or 100,000 getters in the queue.
//!
//! The getters are polled by hand, without a scheduler: the lease is dropped, the oldest getter is polled and must
//! have it, and a fresh getter is queued in its place, so that the queue stays as long as it was.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::task::unconstrained;

use super::on_one_thread;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample, median};
use crate::subjects::{Subject, refused};

const HAND_OFFS_PER_CHUNK: usize = 10_000;
/// Together the chunks go round the longest queue once.
const CHUNKS: usize = 10;

pub fn run<S: Subject>() -> Outcome<Sample> {
    Ok(vec![
        ("ns_10", ns_per_hand_off::<S>(10)?),
        ("ns_1000", ns_per_hand_off::<S>(1_000)?),
        ("ns_100000", ns_per_hand_off::<S>(100_000)?),
    ])
}

fn ns_per_hand_off<S: Subject>(waiters: usize) -> Outcome<f64> {
    // Unconstrained: tokio's budget would make its semaphores pretend to wait, as no scheduler runs in between.
    on_one_thread(unconstrained(hand_offs::<S>(waiters)))
}

async fn hand_offs<S: Subject>(waiters: usize) -> Outcome<f64> {
    let subject = S::open(&Setup::of_size(1).unbounded_queue()).await;
    let mut lease = Some(subject.get().await.map_err(refused)?);
    let mut context = Context::from_waker(Waker::noop());
    let mut queue: Vec<Pin<Box<_>>> = (0..waiters).map(|_| Box::pin(subject.get())).collect();
    for getter in &mut queue {
        must_wait(getter.as_mut().poll(&mut context))?;
    }
    let mut took = Vec::with_capacity(CHUNKS);
    let mut oldest = 0;
    for _ in 0..CHUNKS {
        let begun = Instant::now();
        for _ in 0..HAND_OFFS_PER_CHUNK {
            drop(lease.take());
            let getter = &mut queue[oldest];
            lease = match getter.as_mut().poll(&mut context) {
                Poll::Ready(granted) => Some(granted.map_err(refused)?),
                Poll::Pending => return Err(Failure::new("the oldest waiter was not served")),
            };
            getter.set(subject.get());
            must_wait(getter.as_mut().poll(&mut context))?;
            oldest = if oldest + 1 == waiters { 0 } else { oldest + 1 };
        }
        took.push(begun.elapsed().as_nanos() as f64 / HAND_OFFS_PER_CHUNK as f64);
    }
    drop(queue);
    Ok(median(&took))
}

fn must_wait<T>(polled: Poll<T>) -> Outcome<()> {
    match polled {
        Poll::Pending => Ok(()),
        Poll::Ready(_) => Err(Failure::new(
            "a getter did not wait for the only connection",
        )),
    }
}
