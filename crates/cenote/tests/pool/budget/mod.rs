//! Several pools under one budget of connections: the bound over all of them, whose connection is closed for whom, that
//! every pool is served, and that no permit is lost.

/// How many connections there may be over all pools: the bound, what is reserved of it, and its changes.
mod bound;
/// Whose connection is closed for whom, and that every pool is served.
mod changing_hands;
/// Pools of different kinds, runtimes and threads under one budget.
mod faces;
/// Gets, dials and pools that end: no permit is lost.
mod leaving;
/// Shared pools under one budget.
mod shared;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::error::AddError;
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::settings::Backoff;
use cenote::{
    Budget, Connect, ConnectionInfo, Dial, Lease, Multiplex, Pool, SharedPool, Verdict, blocking,
};
use fastrand::Rng;
use futures::future::join_all;
use futures::poll;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// A server of many databases: counts connections, and dials under way, over all of them.
#[derive(Clone, Default)]
struct Server {
    open: Arc<AtomicUsize>,
    /// What there may be; a dial beyond it is remembered.
    max: Arc<AtomicUsize>,
    exceeded: Arc<AtomicBool>,
    dials: Arc<AtomicUsize>,
    /// How many may use a connection at once.
    capacity: Arc<AtomicUsize>,
    dial_time: Arc<Mutex<Duration>>,
    /// How long a goodbye takes.
    goodbye_time: Arc<Mutex<Duration>>,
    panics: Arc<AtomicBool>,
}

struct Session {
    server: Server,
    /// How many may use it at once.
    capacity: usize,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.server.open.fetch_sub(1, SeqCst);
    }
}

impl Server {
    fn of(max: usize) -> Self {
        let server = Self::default();
        server.max.store(max, SeqCst);
        server.capacity.store(1, SeqCst);
        server.dials_take(ms(20));
        server
    }

    fn dials_take(&self, time: Duration) {
        *self.dial_time.lock().unwrap() = time;
    }

    fn open(&self) -> usize {
        self.open.load(SeqCst)
    }

    fn dials(&self) -> usize {
        self.dials.load(SeqCst)
    }

    fn enter(&self) -> Session {
        let now = self.open.fetch_add(1, SeqCst) + 1;
        if now > self.max.load(SeqCst) {
            self.exceeded.store(true, SeqCst);
        }
        Session {
            server: self.clone(),
            capacity: self.capacity.load(SeqCst),
        }
    }
}

impl Connect for Server {
    type Connection = Session;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Session, Infallible> {
        self.dials.fetch_add(1, SeqCst);
        let session = self.enter();
        let time = *self.dial_time.lock().unwrap();
        sleep(time).await;
        assert!(!self.panics.load(SeqCst), "told to");
        Ok(session)
    }

    fn verdict(&self, _: &mut Session) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, session: Session, _: &ConnectionInfo) {
        let time = *self.goodbye_time.lock().unwrap();
        if !time.is_zero() {
            sleep(time).await;
        }
        drop(session);
    }
}

impl Multiplex for Server {
    fn capacity(&self, session: &Session) -> usize {
        session.capacity
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Against hanging: virtual time, far beyond anything that is waited for.
const NEVER: Duration = Duration::from_secs(3_600);

fn builder(server: &Server, budget: &Budget) -> PoolBuilder<Server> {
    Pool::builder(server.clone())
        .max_size(100)
        .seed(1)
        .acquire_timeout(None)
        .idle_timeout(None)
        .max_lifetime(None)
        .budget(budget)
}

fn pool(server: &Server, budget: &Budget) -> Pool<Server> {
    builder(server, budget).build().unwrap()
}

fn pools<const N: usize>(server: &Server, budget: &Budget) -> [Pool<Server>; N] {
    std::array::from_fn(|_| pool(server, budget))
}

async fn get(pool: &Pool<Server>) -> Lease<'_, Server> {
    let lease = timeout(NEVER, pool.get()).await;
    lease.expect("nobody waits for ever").unwrap()
}

fn closed_for_budget(pool: &Pool<Server>) -> u64 {
    pool.counters().closed_by(CloseReason::Budget)
}

/// Nothing is leased or opening, and every permit that is not an open connection's is free.
async fn assert_whole<'a>(
    server: &Server,
    budget: &Budget,
    pools: impl IntoIterator<Item = &'a Pool<Server>> + Clone,
) {
    for _ in 0..1_000 {
        let status = budget.status();
        let idle: usize = pools
            .clone()
            .into_iter()
            .map(|pool| pool.status().idle)
            .sum();
        if status.connections == idle && status.waiting == 0 {
            break;
        }
        sleep(ms(10)).await;
    }
    let idle: usize = pools
        .clone()
        .into_iter()
        .map(|pool| pool.status().idle)
        .sum();
    let status = budget.status();
    assert_eq!((status.connections, status.waiting), (idle, 0), "{status}");
    assert_eq!(server.open(), idle);
    assert!(!server.exceeded.load(SeqCst), "more were open than may be");
}
