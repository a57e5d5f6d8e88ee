//! Who calls: requests that come at random, whatever became of those before; or users, each of whom calls again as soon as
//! it is answered.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::Outcome;
use cenote::{Lease, Pool};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::service::To;

/// What a call's length is drawn from.
#[derive(Clone, Copy, Debug)]
pub enum Law {
    /// Always 0: calls to one server all take the same.
    None,
    /// With mean 1.
    Exponential,
    /// With mean 0 and deviation 1.
    Normal,
}

impl Law {
    fn draw(self, rng: &mut Rng) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Exponential => exponential(rng),
            // Box and Muller.
            Self::Normal => {
                let radius = (2.0 * exponential(rng)).sqrt();
                radius * (std::f64::consts::TAU * rng.f64()).cos()
            }
        }
    }
}

/// With mean 1.
pub fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

/// What became of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Since the load began.
    pub began: Duration,
    pub took: Duration,
    /// None: there was no lease for it.
    pub server: Option<usize>,
    pub succeeded: bool,
}

impl Request {
    pub fn ended(&self) -> Duration {
        self.began + self.took
    }

    async fn make(pool: &Pool<To>, load_began: Instant, draw: f64) -> Self {
        let asked = Instant::now();
        let (server, outcome) = match pool.get().await {
            Ok(lease) => {
                let called = Instant::now();
                let outcome = lease.call(draw).await;
                Lease::timed_outcome(&lease, outcome, called.elapsed());
                (Some(lease.server), outcome)
            }
            Err(_) => (None, Outcome::Ignore),
        };
        Self {
            began: asked - load_began,
            took: asked.elapsed(),
            server,
            succeeded: outcome == Outcome::Ok,
        }
    }
}

/// Requests that come at random, so many a second in the mean (Poisson), for so long.
#[derive(Clone, Copy, Debug)]
pub struct AtRandom {
    pub rate: f64,
    pub time: Duration,
    pub law: Law,
}

impl AtRandom {
    /// Until all have ended. `record` is told of each as it ends.
    pub async fn play(
        self,
        pool: &Pool<To>,
        rng: &mut Rng,
        record: impl Fn(Request) + Clone + Send + 'static,
    ) {
        let began = Instant::now();
        let mut under_way = JoinSet::new();
        let mut at = began;
        loop {
            at += Duration::from_secs_f64(exponential(rng) / self.rate);
            if at - began > self.time {
                break;
            }
            sleep_until(at).await;
            let (pool, record, draw) = (pool.clone(), record.clone(), self.law.draw(rng));
            under_way.spawn(async move {
                let request = Request::make(&pool, began, draw).await;
                record(request);
            });
            while under_way.try_join_next().is_some() {}
        }
        under_way.join_all().await;
    }

    /// The same; all requests, in the order they ended.
    pub async fn requests(self, pool: &Pool<To>, rng: &mut Rng) -> Vec<Request> {
        let (log, record) = log();
        self.play(pool, rng, record).await;
        taken(&log)
    }
}

/// So many users, for so long; all requests, in the order they ended.
pub async fn users(pool: &Pool<To>, users: usize, time: Duration) -> Vec<Request> {
    let began = Instant::now();
    let (log, record) = log();
    let mut calling = JoinSet::new();
    for _ in 0..users {
        let (pool, record) = (pool.clone(), record.clone());
        calling.spawn(async move {
            while began.elapsed() < time {
                let request = Request::make(&pool, began, 0.0).await;
                record(request);
            }
        });
    }
    calling.join_all().await;
    taken(&log)
}

type Log = Arc<Mutex<Vec<Request>>>;

fn log() -> (Log, impl Fn(Request) + Clone + Send + 'static) {
    let log = Log::default();
    let record = {
        let log = Arc::clone(&log);
        move |request| log.lock().expect("nothing panics under it").push(request)
    };
    (log, record)
}

fn taken(log: &Log) -> Vec<Request> {
    std::mem::take(&mut log.lock().expect("nothing panics under it"))
}

/// Opens so many connections at once, which their endpoints share evenly, so that from then on no choice depends on where
/// there happen to be some.
pub async fn fill(pool: &Pool<To>, connections: usize) {
    let mut opening = JoinSet::new();
    for _ in 0..connections {
        let pool = pool.clone();
        opening.spawn(async move { pool.get_owned().await });
    }
    let held = opening.join_all().await;
    assert!(held.iter().all(Result::is_ok), "servers accept all");
}

/// Runs `simulated` on one thread and a clock that jumps to the next thing to happen; what takes random numbers without
/// being given a seed takes them from this one.
pub fn on_virtual_time<T>(seed: u64, simulated: impl Future<Output = T>) -> T {
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of one thread needs nothing of the system")
        .block_on(simulated)
}
