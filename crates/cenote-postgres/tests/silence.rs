//! A server that hangs above TCP under one who holds a lease: it acknowledges and says nothing. Calls given up in a row
//! end the connection; what is only slow, quiet or not read lives.

mod fixture;

use std::time::Duration;

use bytes::Bytes;
use cenote::{Connect, Dial};
use cenote_postgres::{PgConnection, PostgresConnector};
use cenote_testkit::{Fault, FaultProxy, PostgresServer};
use fixture::{DEADLINE, backend, connector, connector_to, eventually, single, single_of};
use futures_util::{SinkExt, TryStreamExt};
use tokio::time::{sleep, timeout};
use tokio_postgres::{CopyInSink, Error};

/// Half of the silence that is borne in these tests.
const SOON: Duration = Duration::from_millis(20);
/// Longer than the silence that is borne, with the last look.
const LONG: Duration = Duration::from_secs(1);

fn impatient(connector: PostgresConnector) -> PostgresConnector {
    connector.ping_after(SOON).ping_timeout(SOON)
}

/// A connection through a proxy that can swallow everything.
async fn through_proxy() -> (FaultProxy, PgConnection) {
    let proxy = FaultProxy::start(fixture::server().addr())
        .await
        .expect("it runs");
    let url = format!("postgres://postgres@{}/postgres", proxy.addr());
    let connector = PostgresConnector::new(&url).expect("the URL is valid");
    let conn = impatient(connector).connect(&Dial::new()).await;
    (proxy, conn.expect("it connects"))
}

/// A holder that puts a time-out around each call, and makes one after the other until it is told something.
async fn told<T>(mut call: impl AsyncFnMut() -> Result<T, Error>) -> Error {
    let calls = async {
        loop {
            match timeout(SOON, call()).await {
                Ok(Ok(_)) => panic!("it was answered"),
                Ok(Err(error)) => return error,
                Err(_) => {}
            }
        }
    };
    timeout(DEADLINE, calls).await.expect("the holder is told")
}

/// Calls until so many in a row were given up.
async fn give_up(conn: &PgConnection, calls: usize) {
    for _ in 0..calls {
        let answer = timeout(SOON, conn.query_one("SELECT 1", &[])).await;
        assert!(answer.is_err(), "{answer:?}");
    }
}

#[track_caller]
fn ended_in_silence(conn: &PgConnection, told: &Error) {
    assert!(told.is_closed(), "{told}");
    assert!(conn.is_closed());
    let reason = conn.end_reason().expect("it is known");
    assert!(reason.contains("not a byte"), "{reason}");
    assert!(reason.contains("calls in a row were given up"), "{reason}");
}

/// redis-rs #2277: a user who keeps a lease and puts a time-out around each call had one after the other.
#[tokio::test]
async fn calls_given_up_one_after_the_other_into_a_black_hole_end_the_connection() {
    let (proxy, conn) = through_proxy().await;
    conn.query_one_cached("SELECT 1", &[])
        .await
        .expect("it runs");
    proxy.set(Fault::BlackHole).expect("the network goes");
    let told = told(async || conn.query_one_cached("SELECT 1", &[]).await).await;
    ended_in_silence(&conn, &told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_given_up_one_after_the_other_on_a_stopped_server_end_the_lease() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = single_of(impatient(connector_to(&server)));
    let conn = pool.get().await.expect("a lease");
    tokio::task::block_in_place(|| server.stop()).expect("the server is frozen");
    let told = told(async || conn.batch_execute("SELECT 1").await).await;
    ended_in_silence(&conn, &told);
    drop(conn);
    assert_eq!(pool.status().size, 0, "nobody else gets it");
    tokio::task::block_in_place(|| server.cont()).expect("the server goes on");
}

#[tokio::test]
async fn calls_of_a_transaction_given_up_one_after_the_other_end_the_connection() {
    let (proxy, mut conn) = through_proxy().await;
    let transaction = conn.transaction().await.expect("it begins");
    proxy.set(Fault::BlackHole).expect("the network goes");
    let told = told(async || transaction.execute("SELECT 1", &[]).await).await;
    drop(transaction);
    ended_in_silence(&conn, &told);
}

#[tokio::test]
async fn nested_transactions_given_up_one_after_the_other_end_the_connection() {
    let (proxy, mut conn) = through_proxy().await;
    let mut transaction = conn.transaction().await.expect("it begins");
    proxy.set(Fault::BlackHole).expect("the network goes");
    let told = told(async || transaction.transaction().await.map(drop)).await;
    drop(transaction);
    ended_in_silence(&conn, &told);
}

/// With it, the callers that wait without a time-out behind those that were given up.
#[tokio::test]
async fn a_call_behind_those_that_were_given_up_is_told() {
    let (proxy, conn) = through_proxy().await;
    proxy.set(Fault::BlackHole).expect("the network goes");
    give_up(&conn, 3).await;
    let last = timeout(DEADLINE, conn.query("SELECT 1", &[])).await;
    let told = last.expect("it is told").expect_err("it was swallowed");
    ended_in_silence(&conn, &told);
}

/// What was given up runs to its end for nobody.
#[tokio::test]
async fn the_server_is_asked_to_cancel_what_was_given_up() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    let slow = conn.query("SELECT 'given up' FROM pg_sleep(3600)", &[]);
    assert!(timeout(SOON, slow).await.is_err());
    told(async || conn.query_one("SELECT 1", &[]).await).await;
    let observer = single();
    let observer = observer.get().await.expect("a lease");
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' \
                   AND query LIKE '%given up%' AND pid <> pg_backend_pid()";
    let cancelled = async || {
        let row = observer.query_one(running, &[]).await.expect("it runs");
        row.get::<_, i64>(0) == 0
    };
    eventually("the statement is cancelled", cancelled).await;
}

#[tokio::test]
async fn a_slow_statement_that_is_awaited_lives() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    let slow = conn.query_one("SELECT 1 FROM pg_sleep(1)", &[]).await;
    assert_eq!(slow.expect("it lives").get::<_, i32>(0), 1);
}

#[tokio::test]
async fn a_statement_that_is_awaited_behind_two_that_were_given_up_lives() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    let first = backend(&conn).await;
    let slow = conn.query_one("SELECT 1 FROM pg_sleep(1)", &[]);
    assert!(timeout(SOON, slow).await.is_err());
    give_up(&conn, 1).await;
    assert_eq!(backend(&conn).await, first);
}

/// It was there first, and may be what takes long.
#[tokio::test]
async fn a_slow_statement_that_is_awaited_lives_though_others_are_given_up_behind_it() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    let report = conn.query_one("SELECT 1 FROM pg_sleep(1)", &[]);
    let (report, ()) = tokio::join!(report, give_up(&conn, 20));
    assert_eq!(report.expect("it lives").get::<_, i32>(0), 1);
    assert!(!conn.is_closed());
}

/// As long as the server says something, be it a notice, it is there.
#[tokio::test]
async fn a_server_that_says_anything_at_all_is_not_silent() {
    let limit = Duration::from_secs(1);
    let connector = connector().ping_after(limit).ping_timeout(limit);
    let pool = single_of(connector);
    let conn = pool.get().await.expect("a lease");
    let first = backend(&conn).await;
    let slow = "DO $$ BEGIN FOR n IN 1..100 LOOP \
                RAISE NOTICE '%', n; PERFORM pg_sleep(0.05); END LOOP; END $$";
    assert!(timeout(SOON, conn.batch_execute(slow)).await.is_err());
    let others = async {
        loop {
            if let Ok(answer) = timeout(SOON, backend(&conn)).await {
                return answer;
            }
        }
    };
    let answer = timeout(DEADLINE, others).await.expect("it ends");
    assert_eq!(answer, first);
}

/// The driver reads no further than its user takes: that nothing comes is the user's own doing.
#[tokio::test]
async fn a_lease_whose_holder_leaves_its_own_rows_unread_lives() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    let rows = "SELECT repeat('x', 100) FROM generate_series(1, 100000)";
    let rows = conn.query_raw(rows, std::iter::empty::<i32>()).await;
    let rows = rows.expect("it runs");
    give_up(&conn, 20).await;
    let rows: Vec<_> = rows.try_collect().await.expect("it lives");
    assert_eq!(rows.len(), 100_000);
}

#[tokio::test]
async fn a_copy_that_pauses_lives() {
    let pool = single_of(impatient(connector()));
    let conn = pool.get().await.expect("a lease");
    conn.batch_execute("CREATE TEMPORARY TABLE slow (n int)")
        .await
        .expect("it runs");
    let sink: CopyInSink<Bytes> = conn
        .copy_in("COPY slow FROM STDIN")
        .await
        .expect("it begins");
    let mut sink = Box::pin(sink);
    for row in ["1\n", "2\n"] {
        sink.send(Bytes::from_static(row.as_bytes()))
            .await
            .expect("it lives");
        sink.flush().await.expect("it lives");
        sleep(LONG).await;
    }
    assert_eq!(sink.as_mut().finish().await.expect("it lives"), 2);
}
