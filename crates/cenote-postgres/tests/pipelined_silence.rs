//! A server that says nothing to those who share a connection: one that is dead is replaced, one that works for
//! long is left in peace.

mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote::shared::SharedPoolBuilder;
use cenote::{OwnedLease, SharedPool};
use cenote_postgres::{PipelinedConnection, PipelinedConnector, PipelinedError, PostgresConnector};
use cenote_testkit::{Fault, FaultProxy, PgBouncerServer, PostgresServer};
use fixture::{DEADLINE, eventually, server};
use futures_util::poll;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Silence that is borne in these tests, as short as a busy machine allows.
const LIMIT: Duration = Duration::from_millis(400);
/// For a server that must answer within it, or within half of it, however busy the machine.
const LONG_LIMIT: Duration = Duration::from_secs(2);
/// How long a caller waits that gives up.
const IMPATIENCE: Duration = Duration::from_millis(100);

fn through(proxy: &FaultProxy) -> PipelinedConnector {
    connector(&format!("postgres://postgres@{}/postgres", proxy.addr()))
}

fn connector(url: &str) -> PipelinedConnector {
    let connector = PipelinedConnector::new(url).expect("the URL is valid");
    connector.silence_limit(LIMIT)
}

fn pool(connector: PipelinedConnector) -> SharedPoolBuilder<PipelinedConnector> {
    SharedPool::builder(connector)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .close_timeout(DEADLINE)
        // At rest a connection would be checked instead.
        .check_after_idle(DEADLINE)
}

async fn number(conn: &PipelinedConnection, sql: &str) -> Result<i64, PipelinedError> {
    conn.query_one(sql, &[]).await.map(|row| row.get(0))
}

async fn backend(conn: &PipelinedConnection) -> i64 {
    let backend = number(conn, "SELECT pg_backend_pid()::int8").await;
    backend.expect("it runs")
}

/// Calls until so many in a row were given up.
async fn give_up(conn: &PipelinedConnection, calls: usize) {
    for _ in 0..calls {
        let answer = timeout(IMPATIENCE, number(conn, "SELECT 1::int8")).await;
        assert!(answer.is_err(), "{answer:?}");
    }
}

/// A statement that takes this lock waits until the gate is opened.
async fn closed_gate(lock: i64) -> OwnedLease<PostgresConnector> {
    let gate = fixture::single().get_owned().await.expect("a lease");
    let closed = gate.execute("SELECT pg_advisory_lock($1)", &[&lock]).await;
    closed.expect("the gate is closed");
    gate
}

async fn is_waited_for(gate: &OwnedLease<PostgresConnector>, lock: i64) {
    let waiting = "SELECT count(*) FROM pg_locks \
                   WHERE locktype = 'advisory' AND objid::int8 = $1 AND NOT granted";
    let waits = async || {
        let row = gate.query_one(waiting, &[&lock]).await;
        row.expect("it runs").get::<_, i64>(0) == 1
    };
    eventually("the slow statement runs", waits).await;
}

async fn open_gate(gate: &OwnedLease<PostgresConnector>, lock: i64) {
    let opened = gate
        .execute("SELECT pg_advisory_unlock($1)", &[&lock])
        .await;
    opened.expect("the gate is opened");
}

/// Users who ask one after the other, each with a time-out, and how many answers they got.
struct Crowd {
    answers: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    users: JoinSet<()>,
}

impl Crowd {
    fn of(pool: &SharedPool<PipelinedConnector>) -> Self {
        let (answers, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let mut users = JoinSet::new();
        for tag in 0..20_i64 {
            let (pool, answers, over) = (pool.clone(), answers.clone(), over.clone());
            users.spawn(async move {
                while !over.load(Relaxed) {
                    let asked = timeout(IMPATIENCE, async {
                        let conn = pool.get().await.ok()?;
                        conn.query_one("SELECT $1::int8", &[&tag]).await.ok()
                    });
                    if let Ok(Some(row)) = asked.await {
                        assert_eq!(row.get::<_, i64>(0), tag, "the answer of another");
                        answers.fetch_add(1, Relaxed);
                    } else {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            });
        }
        Self {
            answers,
            over,
            users,
        }
    }

    async fn are_served(&self) {
        let before = self.answers.load(Relaxed);
        let served = async || self.answers.load(Relaxed) > before + 200;
        eventually("users are served", served).await;
    }

    async fn are_not_served(&self) {
        let served = async || {
            let before = self.answers.load(Relaxed);
            tokio::time::sleep(IMPATIENCE * 5).await;
            self.answers.load(Relaxed) == before
        };
        eventually("users are not served", served).await;
    }

    async fn end(mut self) {
        self.over.store(true, Relaxed);
        while let Some(user) = self.users.join_next().await {
            user.expect("no user read another's answer");
        }
    }
}

/// A connection that never rests was never checked: dead, it was kept until `max_lifetime`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_network_was_gone_under_users_with_time_outs() {
    let proxy = FaultProxy::start(server().addr()).await.expect("it runs");
    for max_size in [1, 4] {
        let pool = pool(through(&proxy)).max_size(max_size);
        // A dial into the hole ends.
        let pool = pool
            .connect_timeout(LIMIT)
            .build()
            .expect("settings are valid");
        let users = Crowd::of(&pool);
        users.are_served().await;
        proxy.set(Fault::BlackHole).expect("the network goes");
        users.are_not_served().await;
        proxy.clear().expect("the network comes back");
        users.are_served().await;
        users.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_server_was_frozen_under_users_with_time_outs() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = pool(connector(&server.url()))
        .max_size(2)
        .connect_timeout(LIMIT);
    let pool = pool.build().expect("settings are valid");
    let users = Crowd::of(&pool);
    users.are_served().await;
    tokio::task::block_in_place(|| server.stop()).expect("the server is frozen");
    users.are_not_served().await;
    let replaced = async || pool.counters().opened > pool.status().size as u64;
    eventually("the dead connection is given up", replaced).await;
    tokio::task::block_in_place(|| server.cont()).expect("the server goes on");
    users.are_served().await;
    users.end().await;
}

/// Nothing tells it from a lost one but the server itself.
#[tokio::test]
async fn a_statement_that_is_only_slow_lives_though_others_time_out_behind_it() {
    let connector = connector(&server().url()).silence_limit(LONG_LIMIT);
    let pool = pool(connector).max_size(2);
    let pool = pool.build().expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let first = backend(&conn).await;
    let gate = closed_gate(78).await;
    let slow = number(&conn, "SELECT 1::int8 FROM pg_advisory_xact_lock(78)");
    let others = async {
        is_waited_for(&gate, 78).await;
        give_up(&conn, 5).await;
        let elsewhere = async || {
            let another = pool.get().await.expect("a place");
            let backend = timeout(IMPATIENCE, backend(&another)).await;
            backend.is_ok_and(|backend| backend != first)
        };
        eventually("newcomers are served elsewhere", elsewhere).await;
        // Beyond the limit, and for as long as the server is asked again.
        tokio::time::sleep(LONG_LIMIT * 3).await;
        assert!(!conn.is_closed(), "it was given up");
        open_gate(&gate, 78).await;
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.expect("it lives"), 1);
    assert_eq!(backend(&conn).await, first);
}

/// No message of it is whole before all of it is there, and the server has long had nothing to do.
#[tokio::test]
async fn one_huge_row_that_trickles_through_a_slow_network_lives() {
    let bytes_per_second = 20_000;
    let proxy = FaultProxy::start(server().addr()).await.expect("it runs");
    let connector = through(&proxy).silence_limit(Duration::from_secs(1));
    let pool = pool(connector).build().expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let first = backend(&conn).await;
    // Four times as long as a server may be silent.
    let huge = async || conn.query_one("SELECT repeat('x', 80000)", &[]).await;
    // Once it is prepared, nobody overtakes it.
    huge().await.expect("it runs");
    let slow = Fault::Bandwidth { bytes_per_second };
    proxy.set(slow).expect("the network slows down");
    let (row, ()) = tokio::join!(huge(), give_up(&conn, 5));
    let row = row.expect("it lives");
    assert_eq!(row.get::<_, String>(0).len(), 80_000);
    proxy.clear().expect("the network is fast again");
    assert_eq!(backend(&conn).await, first);
}

/// Behind a pooler nobody can say which session runs it.
#[tokio::test]
async fn a_statement_that_is_only_slow_lives_behind_a_transaction_pooler() {
    let pooler = PgBouncerServer::start(server().addr()).expect("PgBouncer starts");
    let connector = PostgresConnector::new(&pooler.url()).expect("the URL is valid");
    let connector = PipelinedConnector::from(connector.behind_transaction_pooler());
    let pool = pool(connector.silence_limit(LIMIT))
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let gate = closed_gate(79).await;
    let slow = number(&conn, "SELECT 1::int8 FROM pg_advisory_xact_lock(79)");
    let others = async {
        is_waited_for(&gate, 79).await;
        give_up(&conn, 5).await;
        tokio::time::sleep(LIMIT * 6).await;
        assert!(!conn.is_closed(), "it was given up");
        open_gate(&gate, 79).await;
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.expect("it lives"), 1);
    // A quiet one is not asked for a sign of life that waits for a session.
    tokio::time::sleep(LIMIT * 3).await;
    assert!(!conn.is_closed(), "it was given up");
}

/// One caller who waits as long as it takes: the server is asked what became of the session.
#[tokio::test]
async fn a_caller_without_a_time_out_is_told_that_its_session_is_lost() {
    let proxy = FaultProxy::start(server().addr()).await.expect("it runs");
    let pool = pool(through(&proxy))
        .max_size(1)
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    backend(&conn).await;
    proxy.set(Fault::BlackHole).expect("the network goes");
    let mut lost = Box::pin(number(&conn, "SELECT 1::int8"));
    assert!(poll!(&mut lost).is_pending());
    // What was sent is swallowed before the network is back.
    tokio::time::sleep(LIMIT / 4).await;
    proxy.clear().expect("the network comes back");
    let told = timeout(DEADLINE, lost).await.expect("it is told");
    let told = told.expect_err("it is lost");
    assert!(matches!(told, PipelinedError::Closed { .. }), "{told}");
    assert!(told.to_string().contains("has nothing to do"), "{told}");
    drop(conn);
    let conn = pool.get().await.expect("a place");
    assert_eq!(number(&conn, "SELECT 1::int8").await.expect("it runs"), 1);
}

/// Users hold their places and ask nothing.
#[tokio::test]
async fn a_quiet_connection_that_is_dead_is_found_out_before_anybody_asks() {
    let proxy = FaultProxy::start(server().addr()).await.expect("it runs");
    let pool = pool(through(&proxy)).build().expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    backend(&conn).await;
    proxy.set(Fault::BlackHole).expect("the network goes");
    eventually("it is given up", async || conn.is_closed()).await;
    let told = number(&conn, "SELECT 1::int8")
        .await
        .expect_err("it is over");
    assert!(told.to_string().contains("a ping had no answer"), "{told}");
}

#[tokio::test]
async fn a_quiet_connection_that_answers_lives() {
    let connector = connector(&server().url()).silence_limit(LONG_LIMIT);
    let pool = pool(connector).build().expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let first = backend(&conn).await;
    tokio::time::sleep(LONG_LIMIT * 2).await;
    assert_eq!(backend(&conn).await, first);
}

/// All who waited left: what they asked for is not run to its end for nobody.
#[tokio::test]
async fn a_statement_that_all_gave_up_is_cancelled_and_its_connection_replaced() {
    let pool = pool(connector(&server().url())).max_size(1);
    let pool = pool.build().expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let first = backend(&conn).await;
    let slow = conn.query("SELECT 'deserted' FROM pg_sleep(3600)", &[]);
    assert!(timeout(IMPATIENCE, slow).await.is_err());
    give_up(&conn, 3).await;
    drop(conn);
    let conn = pool.get().await.expect("a place");
    assert_ne!(backend(&conn).await, first);
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%deserted%' \
                   AND pid <> pg_backend_pid()";
    let cancelled = async || number(&conn, running).await.expect("it runs") == 0;
    eventually("the statement is cancelled", cancelled).await;
}

/// A runtime that lives and is not driven reads nothing, and nothing of it can tell.
#[test]
fn callers_elsewhere_are_told_that_the_runtime_of_their_connection_stands_still() {
    let own = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().expect("a runtime")
    };
    let (first, second): (Runtime, Runtime) = (own(), own());
    let pool = pool(connector(&server().url())).max_size(1);
    let pool = pool.build().expect("settings are valid");
    let (conn, backend_there) = first.block_on(async {
        let conn = pool.get().await.expect("a place");
        let backend = backend(&conn).await;
        (conn, backend)
    });
    // From here on nobody drives the first.
    second.block_on(async {
        let mut patient = Box::pin(number(&conn, "SELECT 1::int8"));
        assert!(poll!(&mut patient).is_pending());
        let given_up = async || {
            let answer = timeout(IMPATIENCE, number(&conn, "SELECT 2::int8")).await;
            matches!(answer, Ok(Err(PipelinedError::Closed { .. })))
        };
        eventually("callers are told", given_up).await;
        let told = patient.await.expect_err("nobody reads it");
        assert!(
            told.to_string().contains("its runtime does not run"),
            "{told}"
        );
        drop(conn);
        let conn = pool.get().await.expect("a place");
        assert_ne!(backend(&conn).await, backend_there);
    });
    drop(first);
}
