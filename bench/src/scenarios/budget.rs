//! `budget`: what opening a connection costs while a budget has none left, so that another pool's is closed for it, with
//! 10 pools and with 10,000, in ns.
//!
//! There are half as many connections as pools, and the pools take turns: each get finds its pool without one, has the
//! one that has been idle for longest closed, and opens its own.

use std::time::Instant;

use super::on_one_thread;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample};
use crate::subjects::{Cenote, Subject, refused};

/// Measured in all, however many pools there are.
const OPENED: usize = 40_000;

pub fn run() -> Outcome<Sample> {
    Ok(vec![
        ("ns_10", on_one_thread(ns_per_open_and_close(10))?),
        ("ns_10000", on_one_thread(ns_per_open_and_close(10_000))?),
    ])
}

async fn ns_per_open_and_close(pools: usize) -> Outcome<f64> {
    let budget = cenote::Budget::new(pools / 2);
    let setup = Setup::of_size(1);
    let pools: Vec<_> = (0..pools).map(|_| Cenote::under(&budget, &setup)).collect();
    turns(&pools, pools.len()).await?;
    let dialled = setup.connector.tally.dialled();
    let begun = Instant::now();
    turns(&pools, OPENED).await?;
    let took = begun.elapsed();
    match setup.connector.tally.dialled() - dialled {
        OPENED => Ok(took.as_nanos() as f64 / OPENED as f64),
        opened => Err(Failure::new(format!("{opened} connections were opened"))),
    }
}

async fn turns(pools: &[Cenote], count: usize) -> Outcome<()> {
    for pool in pools.iter().cycle().take(count) {
        drop(pool.get().await.map_err(refused)?);
    }
    Ok(())
}
