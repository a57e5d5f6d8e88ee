//! `hand_over`: leases a second while 1,000 users wait for 10 connections, and for 1,000, each to an endpoint of its own.
//!
//! Each user leases, yields to the scheduler once and gives back, without end. All on one thread: its scheduler runs them
//! in turn. One of several workers runs those it has itself before others, and then nobody waits for 1,000 connections.

use crate::connector::Setup;
use crate::measure::{Outcome, Sample};
use crate::scenarios::full::rate;
use crate::scenarios::on_one_thread;
use crate::subjects::Subject;

const WAITERS: usize = 1_000;

pub fn run<S: Subject>() -> Outcome<Sample> {
    Ok(vec![
        ("per_s_10", on_one_thread(per_s::<S>(10))?),
        ("per_s_1000", on_one_thread(per_s::<S>(1_000))?),
    ])
}

async fn per_s<S: Subject>(connections: usize) -> Outcome<f64> {
    let subject = S::open(&Setup::of_size(connections).over(connections)).await;
    subject.fill(connections).await?;
    rate(&subject, connections + WAITERS).await
}
