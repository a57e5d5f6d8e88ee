//! tower's p2c balancer in `choose_p2c`: what choosing costs there, over services of which a call costs nothing.
//!
//! The balancer is one task's own, for a call of it needs `&mut`: there is no figure for two.

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::hint::black_box;
use std::task::{Context, Poll};

use tower_0_5::Service;
use tower_0_5::balance::p2c::Balance;
use tower_0_5::discover::ServiceList;
use tower_0_5::load::{CompleteOnResponse, PendingRequests};

use super::choose::SIZES;
use crate::measure::{Failure, Outcome, Sample};
use crate::scenarios::current_thread;
use crate::scenarios::stopwatch::{OPS_PER_CHUNK, Track, ns};

pub const NAME: &str = "tower_p2c";

/// A service that is always ready and answers at once.
struct Answers(Box<u64>);

impl Service<()> for Answers {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(*self.0))
    }
}

pub fn run() -> Outcome<Sample> {
    let runtime = current_thread(false)?;
    let mut sample = Sample::new();
    for (endpoints, name, _) in SIZES {
        let chunks = runtime.block_on(chunks(endpoints));
        let chunks = chunks.map_err(|error| Failure::new(format!("a call failed: {error}")))?;
        sample.push((name, ns(&chunks)?));
    }
    Ok(sample)
}

/// A call as `get_drop` has leases: until it may be made, to its answer, one after the other.
async fn chunks(endpoints: usize) -> Result<Vec<f64>, tower_0_5::BoxError> {
    let service = |number| {
        let answers = Answers(Box::new(number));
        PendingRequests::new(answers, CompleteOnResponse::default())
    };
    let services: Vec<_> = (0..endpoints as u64).map(service).collect();
    let mut balance = Balance::new(ServiceList::new::<()>(services));
    let track = Track::of(1);
    let mut stopwatch = track.start(0);
    while stopwatch.next_chunk() {
        for _ in 0..OPS_PER_CHUNK {
            poll_fn(|cx| black_box(&mut balance).poll_ready(cx)).await?;
            black_box(balance.call(()).await?);
        }
    }
    Ok(stopwatch.finish())
}
