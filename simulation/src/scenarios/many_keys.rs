//! More keys than connections: a bound on all of them moves connections to where callers wait, and no key starves.
//!
//! Times are 12.5 times those of the model, for tokio's timer knows no less than a millisecond, and a pool keeps a
//! connection that others wait for no longer than 2 s: 8 of these dials. Figures are in the model's times.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::{Connect, Dial, Keyed, Pool, Verdict};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::figure::{Figure, Must, Unit};
use crate::format;
use crate::load::{exponential, on_virtual_time};
use crate::page::chart::{Axis, Chart, Series, Shape, Width};
use crate::page::scale::Scale;
use crate::scenario::{Length, Outcome, Plot};

const SLOWER: f64 = 12.5;
/// In the model, 2 ms in the mean.
const LEASE: Duration = Duration::from_millis(25);
/// In the model, 20 ms.
const DIAL: Duration = Duration::from_millis(250);

/// A load, and what is known of it.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    class: &'static str,
    keys: usize,
    max_total: usize,
    users: usize,
    asks: Asks,
    rate: Published,
    longest: Published,
}

/// For what a user asks, who asks again as soon as it is served.
#[derive(Clone, Copy)]
enum Asks {
    /// Another key each time, all alike.
    ForAny,
    /// The same key each time; how many users a key has falls with the square root of its rank (Zipf).
    ForItsOwn,
}

/// A figure of the model, where a connection stays for 100 ms at least, and what ours must be: it stays for 160 ms here.
#[derive(Clone, Copy)]
struct Published {
    value: f64,
    must: Must,
}

const ROWS: [Row; 2] = [
    Row {
        name: "500 keys alike, 100 connections, 1,000 users",
        class: "least-loaded",
        keys: 500,
        max_total: 100,
        users: 1_000,
        asks: Asks::ForAny,
        rate: Published {
            value: 9_755.0,
            must: Must::BeAtLeast(0.85 * 9_755.0),
        },
        longest: Published {
            value: 0.107,
            must: Must::BeAtMost(3.0 * 0.107),
        },
    },
    Row {
        name: "30 keys by Zipf's law, 20 connections, 2,000 users",
        class: "power-of-two",
        keys: 30,
        max_total: 20,
        users: 2_000,
        asks: Asks::ForItsOwn,
        rate: Published {
            value: 8_631.0,
            must: Must::BeAtLeast(0.85 * 8_631.0),
        },
        longest: Published {
            value: 0.505,
            must: Must::BeAtMost(2.0 * 0.505),
        },
    },
];

pub fn play(seed: u64, length: Length) -> Outcome {
    let time = DIAL * length.of(40, 400);
    let (mut figures, mut series) = (Vec::new(), Vec::new());
    for row in ROWS {
        let found = on_virtual_time(seed, run(&row, Some(row.max_total), time, seed));
        // It has many times as many leases.
        let unbound = on_virtual_time(seed, run(&row, None, time / 4, seed));
        figures.extend(judged(&row, &found, &unbound));
        series.push(Series {
            name: row.name.into(),
            class: row.class,
            points: found.by_rank(),
        });
    }
    Outcome {
        figures,
        plots: vec![longest_waits(series)],
    }
}

fn judged(row: &Row, found: &Found, unbound: &Found) -> [Figure; 4] {
    let Row { name, .. } = row;
    let of_model = |what, Published { value, must }, simulated, unit| Figure {
        what: format!("{name}: {what}"),
        published: Some(value),
        simulated,
        unit,
        must,
    };
    let never = found.longest.iter().filter(|longest| longest.is_none());
    [
        of_model("leases a second", row.rate, found.rate, Unit::Number),
        of_model(
            "longest wait",
            row.longest,
            found.longest.iter().flatten().copied().fold(0.0, f64::max),
            Unit::Seconds,
        ),
        Figure::unpublished(
            format!("{name}: keys that were never served, or not in time"),
            never.count() as f64,
            Unit::Number,
            Must::BE_NONE,
        ),
        Figure::unpublished(
            format!("{name}: leases a second without a bound on all"),
            unbound.rate,
            Unit::Number,
            Must::BeShown,
        ),
    ]
}

/// In the times of the model.
struct Found {
    /// Leases a second, once all has begun.
    rate: f64,
    /// Of each key, in seconds. `None`: a caller was not served, or nobody was.
    longest: Vec<Option<f64>>,
}

impl Found {
    fn by_rank(&self) -> Vec<(f64, f64)> {
        let ranks = (1..).map(f64::from);
        let served = ranks.zip(&self.longest);
        served
            .filter_map(|(rank, longest)| Some((rank, (*longest)?)))
            .collect()
    }
}

/// What it takes to open a connection is time.
struct Server;

impl Connect for Server {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
        sleep(DIAL).await;
        Ok(())
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

/// What is counted while it runs.
struct Tally {
    leases: u32,
    longest: Vec<Option<Duration>>,
    has_failed: Vec<bool>,
}

async fn run(row: &Row, max_total: Option<usize>, time: Duration, seed: u64) -> Found {
    let per_key = row.max_total;
    let pools = Keyed::builder(move |_: &usize| {
        Pool::builder(Server)
            .max_size(per_key)
            .connect_timeout(2 * DIAL)
            .acquire_timeout(time)
            .max_lifetime(None)
            .seed(seed)
    });
    let pools = match max_total {
        Some(max) => pools.max_total(max),
        None => pools,
    };
    let pools = pools.build().expect("the settings can work");
    let tally = Arc::new(Mutex::new(Tally {
        leases: 0,
        longest: vec![None; row.keys],
        has_failed: vec![false; row.keys],
    }));
    let counts_from = time / 4;
    let began = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let own_keys = shares(row.keys);
    let mut users = JoinSet::new();
    for _ in 0..row.users {
        let (pools, tally) = (pools.clone(), Arc::clone(&tally));
        let own = match row.asks {
            Asks::ForAny => None,
            Asks::ForItsOwn => Some(drawn(&own_keys, rng.f64())),
        };
        let (mut rng, keys) = (rng.fork(), row.keys);
        users.spawn(async move {
            while began.elapsed() < time {
                let key = own.unwrap_or_else(|| rng.usize(..keys));
                let asked = Instant::now();
                let lease = pools.get(&key).await;
                let (now, waited) = (began.elapsed(), asked.elapsed());
                {
                    let mut tally = tally.lock().expect("nothing panics under it");
                    tally.leases += u32::from(lease.is_ok() && (counts_from..time).contains(&now));
                    tally.has_failed[key] |= lease.is_err();
                    let longest = &mut tally.longest[key];
                    *longest = (*longest).max(Some(waited));
                }
                sleep(LEASE.mul_f64(exponential(&mut rng))).await;
            }
        });
    }
    users.join_all().await;
    let tally = tally.lock().expect("nothing panics under it");
    let longest = tally.longest.iter().zip(&tally.has_failed);
    Found {
        rate: f64::from(tally.leases) / (time - counts_from).as_secs_f64() * SLOWER,
        longest: longest
            .map(|(longest, has_failed)| {
                let longest = longest.filter(|_| !has_failed)?;
                Some(longest.as_secs_f64() / SLOWER)
            })
            .collect(),
    }
}

/// How large a part of the users the keys up to each have.
fn shares(keys: usize) -> Vec<f64> {
    let weights = (1..=keys).map(|rank| (rank as f64).powf(-0.5));
    let all: f64 = weights.clone().sum();
    let mut sum = 0.0;
    let shares = weights.map(|weight| {
        sum += weight / all;
        sum
    });
    shares.collect()
}

fn drawn(shares: &[f64], draw: f64) -> usize {
    let key = shares.partition_point(|share| *share <= draw);
    key.min(shares.len() - 1)
}

fn longest_waits(series: Vec<Series>) -> Plot {
    let all = series.iter().flat_map(|series| &series.points);
    let (keys, longest) = all.fold((1.0_f64, 0.0_f64), |(keys, longest), (rank, wait)| {
        (keys.max(*rank), longest.max(*wait))
    });
    Plot {
        title: "The longest wait of each key".into(),
        chart: Chart {
            description: "The longest wait for a connection of each key, by its rank".into(),
            width: Width::Full,
            x: Axis {
                scale: Scale::decades(1.0, keys),
                name: "rank of the key",
                write: format::amount,
            },
            y: Axis {
                scale: Scale::up_to(longest),
                name: "longest wait",
                write: format::seconds,
            },
            shape: Shape::Lines,
            series,
            marks: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_has_twice_the_users_of_the_fourth() {
        let shares = shares(30);
        let of = |key: usize| shares[key] - if key == 0 { 0.0 } else { shares[key - 1] };
        assert!((of(0) / of(3) - 2.0).abs() < 1e-9);
        assert!((shares[29] - 1.0).abs() < 1e-9);
        assert_eq!([0.0, 0.999_999].map(|draw| drawn(&shares, draw)), [0, 29]);
    }
}
