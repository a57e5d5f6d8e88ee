//! `slots_flat`: what get and drop cost in a pool of 10, 1,000 or 10,000 open connections, half of them leased.
//!
//! Which half is scattered over the pool, so that no pool finds the idle ones side by side.

use std::hint::black_box;
use std::time::Instant;

use super::on_two_workers;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample, median};
use crate::subjects::{Subject, refused};

const CHUNKS: usize = 20;
const OPS_PER_CHUNK: u32 = 2_000;
const WARM_UP: usize = 4;

pub fn run<S: Subject>() -> Outcome<Sample> {
    Ok(vec![
        ("ns_10", ns_per_op::<S>(10)?),
        ("ns_1000", ns_per_op::<S>(1_000)?),
        ("ns_10000", ns_per_op::<S>(10_000)?),
    ])
}

fn ns_per_op<S: Subject>(max_size: usize) -> Outcome<f64> {
    on_two_workers(async move {
        tokio::spawn(half_leased::<S>(max_size))
            .await
            .map_err(|error| Failure::new(format!("a task panicked: {error}")))?
    })
}

async fn half_leased<S: Subject>(max_size: usize) -> Outcome<f64> {
    let subject = S::open(&Setup::of_size(max_size)).await;
    let mut leases = Vec::with_capacity(max_size);
    for _ in 0..max_size {
        leases.push(subject.get().await.map_err(refused)?);
    }
    let mut position = 0;
    leases.retain(|_| {
        position += 1;
        stays_leased(position)
    });
    let mut took = Vec::with_capacity(CHUNKS);
    for _ in 0..WARM_UP + CHUNKS {
        let begun = Instant::now();
        for _ in 0..OPS_PER_CHUNK {
            let lease = black_box(&subject).get().await.map_err(refused)?;
            drop(black_box(lease));
        }
        took.push(begun.elapsed().as_nanos() as f64 / f64::from(OPS_PER_CHUNK));
    }
    drop(leases);
    Ok(median(&took[WARM_UP..]))
}

/// One of every two neighbours, chosen by a multiplicative hash: exactly half, without a pattern.
fn stays_leased(position: u64) -> bool {
    let coin = (position / 2).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63;
    position % 2 == coin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_half_stays_leased() {
        assert_eq!(
            (0..1_000)
                .filter(|&position| stays_leased(position))
                .count(),
            500
        );
    }
}
