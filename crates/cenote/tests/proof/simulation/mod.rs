//! The real pool on virtual time, with users and a backend that do what a seed says.
//!
//! *Safety*: faults at any time; whatever happens, the duties hold. *Liveness*: the faults end, and from then
//! on everyone is served within a stated bound. The same seed gives the same run; a failure names its seed:
//!
//! ```sh
//! CENOTE_SEED=17 cargo test -p cenote --test proof simulation      # that run again
//! CENOTE_SEEDS=10000 cargo test -p cenote --test proof simulation  # many more of them
//! ```
//!
//! The other files hold the pool against what is known: the theory of queues, and herds and imbalances that
//! others have measured.

mod backend;
mod faults;
mod herds;
mod links;
mod queueing;
mod users;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cenote::Pool;
use cenote::settings::{Backoff, IdleOrder};
use fastrand::Rng;
use tokio::task::JoinSet;
use tokio::time::sleep;

use backend::Backend;
use faults::Schedule;
use users::{Crowd, Trace};

const USERS: u64 = 30;
const SIZE: usize = 8;
/// Faults begin within this time, and then end.
const STORM: Duration = Duration::from_secs(15);

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const CHECK_TIMEOUT: Duration = Duration::from_millis(300);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// How soon after the faults everyone has been served: a back-off step, the time-outs of a dial and of a
/// check that were under way, and a second to serve all.
const RECOVERY: Duration = Duration::from_millis(500 + 300 + 1_000 + 1_000);

fn pool(backend: &Backend, rng: &mut Rng) -> Pool<Backend> {
    let orders = [
        IdleOrder::Local,
        IdleOrder::MostRecent,
        IdleOrder::LeastRecent,
    ];
    Pool::builder(backend.clone())
        .seed(rng.u64(..))
        .max_size(SIZE)
        .min_idle(rng.usize(..=2))
        .idle_order(orders[rng.usize(..3)])
        .max_connecting(rng.usize(1..=3))
        .idle_timeout(Duration::from_secs(2))
        .max_lifetime(Duration::from_secs(5))
        .check_after_idle(Duration::from_millis(200))
        .keepalive(Duration::from_secs(1))
        .connect_timeout(CONNECT_TIMEOUT)
        .check_timeout(CHECK_TIMEOUT)
        .reset_timeout(CHECK_TIMEOUT)
        .close_timeout(CHECK_TIMEOUT)
        .backoff(Backoff::new(Duration::from_millis(50), LONGEST_BACKOFF))
        .build()
        .unwrap()
}

/// A storm of faults over a crowd of users, and what is left of it.
struct Run {
    seed: u64,
    pool: Pool<Backend>,
    backend: Backend,
    crowd: Crowd,
    trace: Arc<Trace>,
}

impl Run {
    /// Until the last fault has ended; the users go on.
    async fn storm(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let trace = Arc::new(Trace::default());
        let backend = Backend::new(rng.fork());
        let pool = pool(&backend, &mut rng);
        let crowd = Crowd::start(USERS, &pool, &trace, &mut rng);
        let schedule = Schedule::new(&mut rng, STORM);
        schedule.play(&pool, &backend, &trace).await;
        Self {
            seed,
            pool,
            backend,
            crowd,
            trace,
        }
    }

    /// Every connection is idle, and the backend has no others.
    fn is_quiet(&self) -> bool {
        let status = self.pool.status();
        let busy = status.leased + status.waiters + status.opening + status.upkeep;
        busy == 0 && status.idle == self.backend.open()
    }

    /// The users leave; nothing may be lost.
    async fn end(mut self) -> u64 {
        self.crowd.end().await;
        // Whatever was under way in the background ends, and so does a keepalive check that then begins.
        sleep(Duration::from_secs(3)).await;
        for _ in 0..100 {
            if self.is_quiet() {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(
            self.is_quiet(),
            "seed {}: {}, and {} at the backend",
            self.seed,
            self.pool.status(),
            self.backend.open()
        );
        // Every place is good: as many as may be can be leased at once.
        let mut all = JoinSet::new();
        for _ in 0..SIZE {
            let pool = self.pool.clone();
            all.spawn(async move { pool.get_owned().await });
        }
        let all = all.join_all().await;
        assert!(all.iter().all(Result::is_ok), "seed {}: {all:?}", self.seed);
        assert_eq!(self.pool.status().leased, SIZE, "seed {}", self.seed);
        drop(all);
        assert_eq!(self.pool.close().await.abandoned, 0, "seed {}", self.seed);
        assert_eq!(self.backend.open(), 0, "seed {}", self.seed);
        self.trace.sum()
    }
}

/// The seeds to run: the one asked for, or the first so many.
fn seeds() -> impl Iterator<Item = u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    match number("CENOTE_SEED") {
        Some(seed) => {
            let seed = seed.expect("CENOTE_SEED is a number");
            seed..seed + 1
        }
        None => {
            let count = number("CENOTE_SEEDS").unwrap_or(Ok(30));
            0..count.expect("CENOTE_SEEDS is a number")
        }
    }
}

/// Runs `simulated` on one thread and a clock that jumps to the next thing to happen.
fn on_virtual_time<T>(simulated: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(simulated)
}

/// Says which seed it was when a run fails, wherever it does.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat this run: CENOTE_SEED={}", self.0);
        }
    }
}

#[test]
fn safety_whatever_faults_come_the_duties_hold() {
    for seed in seeds() {
        let _named = Named(seed);
        on_virtual_time(async { Run::storm(seed).await.end().await });
    }
}

#[test]
fn liveness_once_the_faults_end_everyone_is_served_within_the_bound() {
    for seed in seeds() {
        let _named = Named(seed);
        on_virtual_time(async {
            let run = Run::storm(seed).await;
            let slowest = run.crowd.everyone_served().await;
            assert!(slowest <= RECOVERY, "seed {seed}: {slowest:?}");
            run.end().await;
        });
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in seeds().take(3) {
        let _named = Named(seed);
        let run = || on_virtual_time(async { Run::storm(seed).await.end().await });
        assert_eq!(run(), run());
    }
}

#[test]
fn another_seed_gives_another_run() {
    let run = |seed| on_virtual_time(async { Run::storm(seed).await.end().await });
    assert_ne!(run(1), run(2));
}
