//! The queue against theory: Poisson arrivals, exponential service, `c` servers (Erlang C).

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::{Connect, Dial, Pool, Verdict};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::on_virtual_time;

struct Nothing;

impl Connect for Nothing {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
        Ok(())
    }

    fn verdict(&self, _: &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

/// Long against the millisecond of tokio's timer.
const SERVICE: Duration = Duration::from_secs(1);

fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    mean.mul_f64(-(1.0 - rng.f64()).ln())
}

/// The share of users who waited, and the mean wait of all in service times.
async fn measure(servers: usize, load: f64, users: usize) -> (f64, f64) {
    let mut rng = Rng::with_seed(7);
    let pool = Pool::builder(Nothing)
        .seed(7)
        .max_size(servers)
        .max_connecting(servers)
        .acquire_timeout(None)
        .max_lifetime(None)
        .idle_timeout(None)
        .build()
        .unwrap();
    let mut open = Vec::new();
    for _ in 0..servers {
        open.push(pool.get().await.unwrap());
    }
    drop(open);
    let between = SERVICE.div_f64(servers as f64 * load);
    let waits = Arc::new(Mutex::new(Vec::with_capacity(users)));
    let mut crowd = JoinSet::new();
    let mut at = Instant::now();
    for _ in 0..users {
        at += exponential(&mut rng, between);
        sleep_until(at).await;
        let (pool, waits) = (pool.clone(), waits.clone());
        let service = exponential(&mut rng, SERVICE);
        crowd.spawn(async move {
            let asked = Instant::now();
            let _lease = pool.get().await.unwrap();
            waits.lock().unwrap().push(asked.elapsed());
            sleep(service).await;
        });
        while crowd.try_join_next().is_some() {}
    }
    crowd.join_all().await;
    let waits = waits.lock().unwrap();
    let waited = waits.iter().filter(|wait| !wait.is_zero()).count();
    let total: Duration = waits.iter().sum();
    (
        waited as f64 / users as f64,
        total.as_secs_f64() / users as f64 / SERVICE.as_secs_f64(),
    )
}

/// Within `tolerance` of what Erlang's formula says.
#[track_caller]
fn check(servers: usize, load: f64, expected: (f64, f64), tolerance: f64) {
    let (waited, wait) = on_virtual_time(measure(servers, load, 60_000));
    let off = |measured: f64, expected: f64| (measured / expected - 1.0).abs();
    assert!(
        off(waited, expected.0) < tolerance && off(wait, expected.1) < tolerance,
        "{servers} servers at {load}: {waited:.4} waited, {wait:.4} in the mean; expected {expected:?}"
    );
}

#[test]
fn erlang_c_ten_connections_at_80_percent() {
    check(10, 0.8, (0.4092, 0.2046), 0.05);
}

#[test]
fn erlang_c_ten_connections_at_90_percent() {
    check(10, 0.9, (0.6687, 0.6687), 0.10);
}

#[test]
fn erlang_c_twenty_connections_at_90_percent() {
    check(20, 0.9, (0.5508, 0.2754), 0.10);
}
