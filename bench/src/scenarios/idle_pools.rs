//! `idle_pools`: what 10,000 pools cost that nobody uses, with no connection and with one idle connection each.
//!
//! `bytes_empty` and `bytes_with_one`: heap bytes a pool, less the connection's own size. `cpu_percent` and
//! `wakeups_per_s`: what all of them together use of one core, and how often a thread of the process wakes up, while all
//! have a connection and nothing is due. Both are the process's, as Linux counts them: this waits, and does nothing else.

use std::fs;
use std::time::{Duration, Instant};

use super::current_thread;
use crate::allocations::Count;
use crate::connector::{Connection, Setup};
use crate::measure::{Failure, Outcome, Sample};
use crate::processor;
use crate::subjects::{Subject, refused};

const POOLS: usize = 10_000;

/// What the pools still have to do after their connections were used: longer than any of them waits by default before it
/// rests.
pub(super) const SETTLE: Duration = Duration::from_secs(5);

/// For how long nothing happens.
const IDLE: Duration = Duration::from_secs(60);

pub fn run<S: Subject>() -> Outcome<Sample> {
    current_thread(false)?.block_on(measure::<S>())
}

async fn measure<S: Subject>() -> Outcome<Sample> {
    // As many connections as pools by default have; all else by default as well.
    let setup = Setup::of_size(10);
    let count = Count::start();
    let mut pools = Vec::with_capacity(POOLS);
    let before = count.live_bytes();
    for _ in 0..POOLS {
        pools.push(S::open(&setup).await);
    }
    let empty = count.live_bytes() - before;
    for pool in &pools {
        drop(pool.get().await.map_err(refused)?);
    }
    tokio::time::sleep(SETTLE).await;
    let with_one = count.live_bytes() - before;
    drop(count);
    let open = setup.connector.tally.open();
    if open != POOLS {
        return Err(Failure::new(format!("{open} connections are open")));
    }
    let use_at_rest = use_during(IDLE).await?;
    drop(pools);
    let each = |bytes: isize| bytes as f64 / POOLS as f64;
    let mut sample = vec![
        ("bytes_empty", each(empty)),
        (
            "bytes_with_one",
            each(with_one) - size_of::<Connection>() as f64,
        ),
    ];
    sample.extend(use_at_rest);
    Ok(sample)
}

/// What the process uses while nothing happens for so long.
pub(super) async fn use_during(rest: Duration) -> Outcome<Sample> {
    let (cpu, wakeups, began) = (processor::used(), wakeups()?, Instant::now());
    tokio::time::sleep(rest).await;
    let seconds = began.elapsed().as_secs_f64();
    let (cpu, wakeups) = (processor::used() - cpu, self::wakeups()? - wakeups);
    Ok(vec![
        ("cpu_percent", cpu.as_secs_f64() / seconds * 100.0),
        ("wakeups_per_s", wakeups / seconds),
    ])
}

/// How often the threads of this process went to sleep, and so woke up.
fn wakeups() -> Outcome<f64> {
    let failed = |why: String| Failure::new(format!("/proc/self/task: {why}"));
    let threads = fs::read_dir("/proc/self/task").map_err(|error| failed(error.to_string()))?;
    let mut sum = 0.0;
    for thread in threads {
        let thread = thread.map_err(|error| failed(error.to_string()))?;
        let status = fs::read_to_string(thread.path().join("status"));
        let status = status.map_err(|error| failed(error.to_string()))?;
        let switches = voluntary_switches(&status);
        sum += switches.ok_or_else(|| failed("status is not as expected".to_owned()))?;
    }
    Ok(sum)
}

fn voluntary_switches(status: &str) -> Option<f64> {
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    count.trim().parse().ok()
}
