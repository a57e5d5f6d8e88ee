//! Writers and readers that use pools over a cluster time and again, and what comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cenote::{Connect, Dial, Lease, Pool, SharedLease, SharedPool};
use cenote_postgres::{PipelinedConnector, PostgresConnector};
use cenote_testkit::PostgresServer;
use tokio::task::JoinSet;

use crate::fixture::{connector_to, eventually, text};
use crate::servers::{OverSet, Servers, is_unsuitable, patient, patient_shared};

pub const WRITERS: usize = 200;
pub const READERS: usize = 20;

/// From one use to the next, so that there is time for the servers.
const PAUSE: Duration = Duration::from_millis(10);

/// A pool that users write through, and read. A get that fails ends the test.
pub trait Serve: OverSet + Clone + Send + Sync + 'static {
    /// Writes a row. `Err`: the number of the connection on which that failed.
    fn write(&self, id: i64, writer: i32) -> impl Future<Output = Result<(), u64>> + Send;

    /// Reads, which is not to fail.
    fn read(&self) -> impl Future<Output = ()> + Send;
}

const INSERT: &str = "INSERT INTO orders VALUES ($1, $2)";
const COUNT: &str = "SELECT count(*) FROM orders";

impl Serve for Pool<PostgresConnector> {
    async fn write(&self, id: i64, writer: i32) -> Result<(), u64> {
        let conn = self.get().await.expect("a writer waits a switchover out");
        let written = conn.execute_cached(INSERT, &[&id, &writer]).await;
        written.map(drop).map_err(|_| Lease::info(&conn).id)
    }

    async fn read(&self) {
        let conn = self.get().await.expect("a reader is served");
        let count = conn.query_one(COUNT, &[]).await;
        count.expect("reads go on");
    }
}

impl Serve for SharedPool<PipelinedConnector> {
    async fn write(&self, id: i64, writer: i32) -> Result<(), u64> {
        let conn = self.get().await.expect("a writer waits a switchover out");
        let written = conn.execute(INSERT, &[&id, &writer]).await;
        written.map(drop).map_err(|_| SharedLease::info(&conn).id)
    }

    async fn read(&self) {
        let conn = self.get().await.expect("a reader is served");
        let count = conn.query_one(COUNT, &[]).await;
        count.expect("reads go on");
    }
}

/// What came of the writes and reads.
#[derive(Default)]
pub struct Journal {
    is_over: AtomicBool,
    /// Writes that were acknowledged.
    pub written: AtomicU64,
    pub read: AtomicU64,
    /// How many writes failed on each connection, by writer, for whatever reason.
    pub failed: Mutex<BTreeMap<u64, BTreeMap<usize, usize>>>,
    /// Since when and to whom service is given, as of the last call of [`begin`](Self::begin).
    service: Mutex<Service>,
}

#[derive(Default)]
struct Service {
    first_at: Option<Instant>,
    served: BTreeSet<usize>,
    all_at: Option<Instant>,
}

impl Journal {
    fn begin(&self) {
        *self.service.lock().expect("nobody panicked") = Service::default();
    }

    fn failed_on(&self, connection: u64, writer: usize) {
        let mut failed = self.failed.lock().expect("nobody panicked");
        let of_connection = failed.entry(connection).or_default();
        *of_connection.entry(writer).or_default() += 1;
    }

    fn wrote(&self, writer: usize) {
        self.written.fetch_add(1, SeqCst);
        let now = Instant::now();
        let mut service = self.service.lock().expect("nobody panicked");
        service.first_at.get_or_insert(now);
        service.served.insert(writer);
        if service.served.len() == WRITERS {
            service.all_at.get_or_insert(now);
        }
    }

    fn all_are_served(&self) -> bool {
        self.service
            .lock()
            .expect("nobody panicked")
            .all_at
            .is_some()
    }
}

/// Writers and readers, each with a lease for a moment, time and again.
pub struct Load<P: Serve> {
    pub primary: P,
    pub replicas: P,
    pub journal: Arc<Journal>,
    users: JoinSet<()>,
}

impl Load<Pool<PostgresConnector>> {
    pub fn on(servers: &Servers, readers: usize) -> Self {
        let cluster = servers.cluster();
        Self::begin(
            patient(cluster.primary().max_per_endpoint(20)),
            patient(cluster.replica().max_per_endpoint(5)),
            readers,
        )
    }
}

impl Load<SharedPool<PipelinedConnector>> {
    /// On connections that they share.
    pub fn pipelined_on(servers: &Servers) -> Self {
        let cluster = servers.cluster();
        let few = |at| PipelinedConnector::from(at).capacity(WRITERS / 2);
        Self::begin(
            patient_shared(cluster.pipelined_primary(few)),
            patient_shared(cluster.pipelined_replica(PipelinedConnector::from)),
            READERS,
        )
    }
}

impl<P: Serve> Load<P> {
    fn begin(primary: P, replicas: P, readers: usize) -> Self {
        let mut load = Self {
            primary,
            replicas,
            journal: Arc::default(),
            users: JoinSet::new(),
        };
        for writer in 0..WRITERS {
            let (pool, journal) = (load.primary.clone(), load.journal.clone());
            load.users.spawn(write(pool, journal, writer));
        }
        for _ in 0..readers {
            let (pool, journal) = (load.replicas.clone(), load.journal.clone());
            load.users.spawn(read(pool, journal));
        }
        load
    }

    pub async fn end(mut self) -> Arc<Journal> {
        self.journal.is_over.store(true, SeqCst);
        while let Some(ended) = self.users.join_next().await {
            ended.expect("no user was turned away");
        }
        self.journal
    }

    /// Waits until every writer has written, from now on.
    pub async fn serves_all(&self) {
        self.journal.begin();
        eventually("every writer is served", async || {
            self.journal.all_are_served()
        })
        .await;
    }

    /// Waits until so many reads more were answered.
    pub async fn reads_go_on(&self) {
        let read = self.journal.read.load(SeqCst);
        eventually("reads go on", async || {
            self.journal.read.load(SeqCst) > read
        })
        .await;
    }
}

async fn write(pool: impl Serve, journal: Arc<Journal>, writer: usize) {
    let (mut id, name) = (0_i64, writer as i32);
    while !journal.is_over.load(SeqCst) {
        id += 1;
        match pool.write(id, name).await {
            Ok(()) => journal.wrote(writer),
            // Its server took none, or ended the session as it shut down.
            Err(connection) => journal.failed_on(connection, writer),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(pool: impl Serve, journal: Arc<Journal>) {
    while !journal.is_over.load(SeqCst) {
        pool.read().await;
        journal.read.fetch_add(1, SeqCst);
        tokio::time::sleep(PAUSE).await;
    }
}

/// How long after the promotion the first write was acknowledged, and the last writer of all had one.
pub struct Times {
    pub first: Duration,
    pub all: Duration,
}

/// The primary is shut down and started as a standby; for a while there is none; then the other is promoted.
pub async fn switch(load: &Load<impl Serve>, old: &PostgresServer, new: &PostgresServer) -> Times {
    old.shut_down().expect("it ends");
    old.follow(new).expect("it starts");
    eventually("none is the primary, and writers know", async || {
        is_unsuitable(&load.primary, old) && is_unsuitable(&load.primary, new)
    })
    .await;
    load.journal.begin();
    let observer = connector_to(new).connect(&Dial::new()).await;
    let observer = observer.expect("it takes connections");
    new.promote().expect("it is a standby");
    eventually("it takes writes", async || {
        text(&observer, "SELECT pg_is_in_recovery()::text").await == "false"
    })
    .await;
    let promoted_at = Instant::now();
    eventually("every writer is served", async || {
        load.journal.all_are_served()
    })
    .await;
    let service = load.journal.service.lock().expect("nobody panicked");
    let after = |at: Option<Instant>| {
        let at = at.expect("all are served");
        at.saturating_duration_since(promoted_at)
    };
    Times {
        first: after(service.first_at),
        all: after(service.all_at),
    }
}
