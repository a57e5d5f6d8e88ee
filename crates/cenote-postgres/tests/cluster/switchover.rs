use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cenote::{Connect, Dial, Lease, Pool};
use cenote_postgres::PostgresConnector;
use cenote_testkit::PostgresServer;
use tokio::task::JoinSet;

use crate::fixture::{connector_to, eventually, text};
use crate::servers::{Servers, is_unsuitable, patient, status_of};

const WRITERS: usize = 200;
const READERS: usize = 20;

/// From one use to the next, so that there is time for the servers.
const PAUSE: Duration = Duration::from_millis(10);

/// What came of the writes and reads.
#[derive(Default)]
struct Journal {
    is_over: AtomicBool,
    /// Writes that were acknowledged.
    written: AtomicU64,
    read: AtomicU64,
    /// How many writes failed on each connection, for whatever reason.
    failed: Mutex<BTreeMap<u64, usize>>,
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

/// Writers and readers, each with a lease for a moment, time and again. A get that fails, or a read, ends the test.
struct Load {
    primary: Pool<PostgresConnector>,
    replicas: Pool<PostgresConnector>,
    journal: Arc<Journal>,
    users: JoinSet<()>,
}

impl Load {
    fn on(servers: &Servers, readers: usize) -> Self {
        let cluster = servers.cluster();
        let mut load = Self {
            primary: patient(cluster.primary().max_per_endpoint(20)),
            replicas: patient(cluster.replica().max_per_endpoint(5)),
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

    async fn end(mut self) -> Arc<Journal> {
        self.journal.is_over.store(true, SeqCst);
        while let Some(ended) = self.users.join_next().await {
            ended.expect("no user was turned away");
        }
        self.journal
    }

    /// Waits until every writer has written, from now on.
    async fn serves_all(&self) {
        self.journal.begin();
        eventually("every writer is served", async || {
            self.journal.all_are_served()
        })
        .await;
    }
}

async fn write(pool: Pool<PostgresConnector>, journal: Arc<Journal>, writer: usize) {
    let (mut id, name) = (0_i64, writer as i32);
    while !journal.is_over.load(SeqCst) {
        id += 1;
        let conn = pool.get().await.expect("a writer waits a switchover out");
        let insert = "INSERT INTO orders VALUES ($1, $2)";
        match conn.execute_cached(insert, &[&id, &name]).await {
            Ok(_) => journal.wrote(writer),
            // Its server took none, or ended the session as it shut down.
            Err(_) => {
                let mut failed = journal.failed.lock().expect("nobody panicked");
                *failed.entry(Lease::info(&conn).id).or_default() += 1;
            }
        }
        drop(conn);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn read(pool: Pool<PostgresConnector>, journal: Arc<Journal>) {
    while !journal.is_over.load(SeqCst) {
        let conn = pool.get().await.expect("a reader is served");
        let count = conn.query_one("SELECT count(*) FROM orders", &[]).await;
        count.expect("reads go on");
        journal.read.fetch_add(1, SeqCst);
        drop(conn);
        tokio::time::sleep(PAUSE).await;
    }
}

/// How long after the promotion the first write was acknowledged, and the last writer of all had one.
struct Times {
    first: Duration,
    all: Duration,
}

/// The primary is shut down and started as a standby; for a while there is none; then the other is promoted.
async fn switch(load: &Load, old: &PostgresServer, new: &PostgresServer) -> Times {
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

/// gpustack #6105 and its like: after a switchover every write failed until somebody restarted the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_wait_a_switchover_out_and_readers_see_nothing_of_it() {
    let servers = Servers::replicating(2).await;
    let load = Load::on(&servers, READERS);
    load.serves_all().await;
    let [old, new, _] = &*servers.0 else {
        unreachable!("there are three")
    };
    let read = load.journal.read.load(SeqCst);
    switch(&load, old, new).await;
    load.serves_all().await;
    eventually("reads went on", async || {
        load.journal.read.load(SeqCst) > read
    })
    .await;
    // The old primary is one of those that are read.
    eventually("it has connections of readers", async || {
        status_of(&load.replicas, old).connections > 0
    })
    .await;
    assert_eq!(status_of(&load.replicas, new).connections, 0);
    assert_eq!(status_of(&load.primary, old).connections, 0);
    let journal = load.end().await;
    let failed = std::mem::take(&mut *journal.failed.lock().expect("nobody panicked"));
    assert!(failed.values().all(|times| *times == 1), "{failed:?}");
    // Shut down in order, the old one had sent all that it had acknowledged.
    let observer = connector_to(new).connect(&Dial::new()).await;
    let observer = observer.expect("it takes connections");
    let kept = text(&observer, "SELECT count(*)::text FROM orders").await;
    let kept: u64 = kept.parse().expect("a number");
    assert!(kept >= journal.written.load(SeqCst), "nothing is lost");
}

/// Its sockets are open, and nothing comes: a caller that waits for it gives up, and is not sent there again for ever.
#[tokio::test]
async fn a_primary_that_hangs_is_left_for_the_one_that_is_promoted() {
    let servers = Servers::replicating(1).await;
    let [old, new] = &*servers.0 else {
        unreachable!("there are two")
    };
    let pool = patient(servers.cluster().primary().max_per_endpoint(4));
    drop(pool.get().await.expect("a lease"));
    old.stop().expect("it runs");
    new.promote().expect("it is a standby");
    let write = async || {
        let conn = pool.get().await.expect("a lease");
        let insert = conn.execute("INSERT INTO orders VALUES (1, 1)", &[]).await;
        insert.is_ok()
    };
    eventually("writes are taken", async || {
        let write = tokio::time::timeout(Duration::from_millis(200), write()).await;
        write.is_ok_and(|is_written| is_written)
    })
    .await;
    assert!(status_of(&pool, new).connections > 0);
}

/// The median of several, for a machine may be busy with something else. Beside readers, whose connections tell of the
/// promotion, and without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures time: `cargo xtask verify` runs it"]
async fn service_is_back_within_a_second_of_the_promotion() {
    let switchovers = std::env::var("CENOTE_SWITCHOVERS").ok();
    let switchovers = switchovers.map_or(5, |text| text.parse().expect("a number of switchovers"));
    let servers = Servers::replicating(2).await;
    let (mut old, mut new) = (&servers.0[0], &servers.0[1]);
    for readers in [READERS, 0] {
        let load = Load::on(&servers, readers);
        load.serves_all().await;
        let (mut firsts, mut alls) = (Vec::new(), Vec::new());
        for round in 0..switchovers {
            let Times { first, all } = switch(&load, old, new).await;
            println!(
                "{readers} readers, {round}: first write {first:.0?} after the promotion, all writers {all:.0?}"
            );
            (old, new) = (new, old);
            firsts.push(first);
            alls.push(all);
        }
        let journal = load.end().await;
        let failed = std::mem::take(&mut *journal.failed.lock().expect("nobody panicked"));
        firsts.sort_unstable();
        alls.sort_unstable();
        let (first, all) = (firsts[switchovers / 2], alls[switchovers / 2]);
        println!(
            "{readers} readers, median: first write {first:.0?} after the promotion, all writers {all:.0?}; {} writes failed",
            failed.len()
        );
        assert!(
            all < Duration::from_secs(1),
            "all writers are back after {all:?}"
        );
    }
}
