//! `COPY` left half done never reaches the next user.

mod fixture;

use std::time::Duration;

use bytes::Bytes;
use cenote_postgres::PgConnection;
use fixture::{connector, eventually, patient, single, text};
use futures_util::{SinkExt, StreamExt};
use tokio_postgres::CopyInSink;

async fn rows(conn: &PgConnection, table: &str) -> String {
    text(conn, &format!("SELECT count(*)::text FROM {table}")).await
}

async fn create(conn: &PgConnection, table: &str) {
    conn.execute(&format!("CREATE TABLE {table} (a int)"), &[])
        .await
        .expect("it runs");
}

#[tokio::test]
async fn a_copy_into_a_table_dropped_halfway_is_undone() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    create(&conn, "halfway").await;
    let sink: CopyInSink<Bytes> = conn
        .copy_in("COPY halfway FROM STDIN")
        .await
        .expect("it begins");
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from_static(b"1\n2\n"))
        .await
        .expect("rows are sent");
    sink.flush().await.expect("rows are sent");
    drop(sink);
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_eq!(rows(&next, "halfway").await, "0");
}

#[tokio::test]
async fn a_copy_still_held_after_the_return_never_meets_the_next_user() {
    let pool = patient(connector())
        .max_size(1)
        .reset_timeout(Duration::from_millis(100))
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a lease");
    create(&conn, "held").await;
    let sink: CopyInSink<Bytes> = conn
        .copy_in("COPY held FROM STDIN")
        .await
        .expect("it begins");
    let mut sink = Box::pin(sink);
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    // The sink is of no use any more: its connection is going or gone.
    let _ = sink.send(Bytes::from_static(b"1\n")).await;
    let _ = sink.close().await;
    eventually("the copy is undone", async || {
        rows(&next, "held").await == "0"
    })
    .await;
}

#[tokio::test]
async fn a_copy_out_of_a_table_dropped_halfway_is_drained() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let sql = "COPY (SELECT generate_series(1, 100000)) TO STDOUT";
    let mut stream = Box::pin(conn.copy_out(sql).await.expect("it begins"));
    stream
        .next()
        .await
        .expect("a first row")
        .expect("a first row");
    drop(stream);
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_eq!(text(&next, "SELECT 'mine'").await, "mine");
    assert_eq!(pool.counters().opened, 1, "the connection is kept");
}

/// When `COPY ... FROM STDIN` fails before it asks for data, the driver sends one more `Sync` than the
/// server answers as part of that request, and replies run one ahead of requests from there on.
#[tokio::test]
async fn a_session_whose_replies_are_out_of_step_is_never_handed_on() {
    let pool = single();
    for _ in 0..20 {
        let conn = pool.get().await.expect("a lease");
        // It parses, and fails when it is run.
        let sql = "COPY no_such_table FROM STDIN";
        let failed = conn.copy_in::<_, Bytes>(sql).await;
        assert!(failed.is_err());
        let view = "COPY pg_catalog.pg_roles FROM STDIN";
        let failed = conn.copy_in::<_, Bytes>(view).await;
        assert!(failed.is_err());
        drop(conn);
        let next = pool.get().await.expect("the next lease");
        for number in ["1", "2", "3"] {
            assert_eq!(text(&next, &format!("SELECT '{number}'")).await, number);
        }
    }
}

#[tokio::test]
async fn a_copy_asked_for_by_a_batch_does_not_block_the_pool() {
    let pool = patient(connector())
        .max_size(1)
        .reset_timeout(Duration::from_millis(100))
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a lease");
    create(&conn, "batched").await;
    let failed = conn.batch_execute("COPY batched FROM STDIN").await;
    assert!(failed.is_err(), "the driver cannot copy here");
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_eq!(text(&next, "SELECT 'mine'").await, "mine");
}
