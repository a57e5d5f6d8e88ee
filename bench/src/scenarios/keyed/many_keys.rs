//! `distinct_keys` and `idle_keys`: what keys leave behind that were used once, and what those cost that nobody uses.
//!
//! Of the million keys every other one's connection is discarded, and the rest idles out. `percent_left`: by how much
//! the heap is larger after than before them, of what the 1,000 keys take that stay.

use std::time::{Duration, Instant};

use cenote::{Keyed, OwnedLease, Pool};

use crate::allocations::Count;
use crate::connector::{Connection, Connector};
use crate::measure::{Failure, Outcome, Sample};
use crate::scenarios::current_thread;
use crate::scenarios::idle_pools::{SETTLE, use_during};
use crate::subjects::{Dialler, refused};

const DISTINCT: usize = 1_000_000;
const STAY: usize = 1_000;
const IDLE: usize = 100_000;

/// After which connections of keys that do not stay are closed.
const IDLE_TIMEOUT: Duration = Duration::from_millis(100);

/// For how long nothing happens.
const REST: Duration = Duration::from_secs(5);

type Pools = Keyed<usize, Pool<Dialler>>;

fn pools(connector: &Connector) -> Pools {
    let connector = connector.clone();
    let pools = Keyed::builder(move |key: &usize| {
        let pool = Pool::builder(Dialler(connector.clone()));
        match *key < STAY {
            true => pool.min_idle(1),
            false => pool.idle_timeout(IDLE_TIMEOUT),
        }
    });
    pools.build().expect("the settings are possible")
}

pub fn distinct() -> Outcome<Sample> {
    current_thread(false)?.block_on(use_once())
}

async fn use_once() -> Outcome<Sample> {
    let connector = Connector::default();
    let count = Count::start();
    let pools = pools(&connector);
    for key in 0..STAY {
        drop(pools.get(&key).await.map_err(refused)?);
    }
    tokio::time::sleep(SETTLE).await;
    let before = count.live_bytes();
    let began = Instant::now();
    for key in STAY..STAY + DISTINCT {
        let lease = pools.get(&key).await.map_err(refused)?;
        match key % 2 {
            0 => drop(lease),
            _ => OwnedLease::discard(lease),
        }
    }
    let took = began.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = count.live_bytes();
    drop(count);
    let (keys, open) = (pools.len(), connector.tally.open());
    if (keys, open) != (STAY, STAY) {
        return Err(Failure::new(format!(
            "{keys} keys are left, with {open} connections"
        )));
    }
    Ok(vec![
        (
            "percent_left",
            (after - before) as f64 / before as f64 * 100.0,
        ),
        ("us_each", took.as_secs_f64() * 1e6 / DISTINCT as f64),
    ])
}

pub fn idle() -> Outcome<Sample> {
    current_thread(false)?.block_on(rest())
}

async fn rest() -> Outcome<Sample> {
    let connector = Connector::default();
    let count = Count::start();
    let pools = {
        let connector = connector.clone();
        Keyed::builder(move |_: &usize| Dialler(connector.clone()))
            .build()
            .expect("the settings are possible")
    };
    for key in 0..IDLE {
        drop(pools.get(&key).await.map_err(refused)?);
    }
    tokio::time::sleep(SETTLE).await;
    let live = count.live_bytes();
    drop(count);
    let open = connector.tally.open();
    if open != IDLE {
        return Err(Failure::new(format!("{open} connections are open")));
    }
    let mut sample = vec![(
        "bytes_per_key",
        live as f64 / IDLE as f64 - size_of::<Connection>() as f64,
    )];
    sample.extend(use_during(REST).await?);
    drop(pools);
    Ok(sample)
}
