//! `open`: what opening one more connection costs on the way to 1,000 and on the way to 80,000, in ns.
//!
//! Leases are taken and kept until all connections are leased; each has its connection opened.

use std::time::Instant;

use super::on_one_thread;
use crate::connector::Setup;
use crate::measure::{Outcome, Sample};
use crate::subjects::{Subject, refused};

pub fn run<S: Subject>() -> Outcome<Sample> {
    Ok(vec![
        ("ns_1000", on_one_thread(ns_per_open::<S>(1_000))?),
        ("ns_80000", on_one_thread(ns_per_open::<S>(80_000))?),
    ])
}

async fn ns_per_open<S: Subject>(connections: usize) -> Outcome<f64> {
    let subject = S::open(&Setup::of_size(connections)).await;
    let mut leases = Vec::with_capacity(connections);
    let begun = Instant::now();
    for _ in 0..connections {
        leases.push(subject.get().await.map_err(refused)?);
    }
    let took = begun.elapsed();
    drop(leases);
    Ok(took.as_nanos() as f64 / connections as f64)
}
