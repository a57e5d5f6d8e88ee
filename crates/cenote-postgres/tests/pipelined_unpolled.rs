//! Callers of a shared connection that send a statement and then do something else: the others are served, and
//! what they left lying is bounded.

mod fixture;

use std::time::Duration;

use cenote::{SharedLease, SharedPool};
use cenote_postgres::{PipelinedConnector, PipelinedError};
use fixture::{DEADLINE, connector};
use futures_util::{StreamExt, poll, stream};
use tokio::time::timeout;

type Shared = SharedPool<PipelinedConnector>;

fn pool() -> Shared {
    pool_of(connector().into())
}

/// One connection, for as many as come.
fn pool_of(connector: PipelinedConnector) -> Shared {
    SharedPool::builder(connector)
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

/// So many rows of 100 bytes.
fn rows(count: u32) -> String {
    format!("SELECT repeat('x', 100) FROM generate_series(1, {count})")
}

/// More than the socket and the driver hold between them.
const MANY: u32 = 100_000;

async fn two(conn: &SharedLease<PipelinedConnector>) -> i64 {
    let row = conn.query_one("SELECT 2::int8", &[]);
    let row = timeout(DEADLINE, row).await.expect("it is answered");
    row.expect("it runs").get(0)
}

/// tokio-postgres reads on only as callers take their replies: one that did not stopped all the others.
#[tokio::test]
async fn a_caller_that_is_not_polled_holds_up_nobody_and_has_its_reply() {
    let pool = pool();
    let (one, other) = (
        pool.get().await.expect("a place"),
        pool.get().await.expect("a place"),
    );
    let mut unpolled = Box::pin(one.query(
        "SELECT x FROM generate_series(1, $1::int4) x",
        &[&100_000_i32],
    ));
    assert!(
        poll!(&mut unpolled).is_pending(),
        "it is only being prepared"
    );
    assert_eq!(two(&other).await, 2);
    assert!(poll!(&mut unpolled).is_pending(), "it is sent");
    assert_eq!(two(&other).await, 2);
    let reply = unpolled.await.expect("it runs");
    let last = reply.last().expect("there are rows").get::<_, i32>(0);
    assert_eq!((reply.len(), last), (100_000, 100_000));
}

/// `buffered` polls nothing while the body of `for_each` runs.
#[tokio::test]
async fn queries_in_both_halves_of_a_buffered_stream_are_answered() {
    let pool = pool();
    let conn = &*pool.get().await.expect("a place");
    let sql = &rows(20_000);
    let seen = stream::iter(0..20)
        .map(|_| conn.query(sql, &[]))
        .buffered(10)
        .then(async |outer| {
            let inner = conn.query(sql, &[]).await.expect("it runs");
            outer.expect("it runs").len() + inner.len()
        })
        .fold(0, async |sum, rows| sum + rows);
    let seen = timeout(DEADLINE, seen).await;
    assert_eq!(seen, Ok(20 * 40_000));
}

/// The one that prepares a text for all is not polled on.
#[tokio::test]
async fn a_text_whose_preparer_is_not_polled_is_prepared_for_the_others() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let mut unpolled = Box::pin(conn.query_one("SELECT 2::int8", &[]));
    assert!(
        poll!(&mut unpolled).is_pending(),
        "it is only being prepared"
    );
    assert_eq!(two(&conn).await, 2);
}

/// What is held for a caller that does not take it is bounded; the rest is read and dropped.
#[tokio::test]
async fn a_reply_at_the_bound_is_dropped_and_its_caller_told_while_others_are_served() {
    let pool = pool_of(PipelinedConnector::from(connector()).reply_bound(1 << 20));
    let (one, other) = (
        pool.get().await.expect("a place"),
        pool.get().await.expect("a place"),
    );
    let sql = rows(MANY);
    one.query(&rows(100), &[]).await.expect("a small one fits");
    let mut unpolled = Box::pin(one.query(&sql, &[]));
    while other.cached_statements() < 2 {
        assert!(poll!(&mut unpolled).is_pending());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(poll!(&mut unpolled).is_pending(), "it is sent");
    assert_eq!(two(&other).await, 2);
    let told = unpolled.await.expect_err("it does not fit");
    assert!(
        matches!(
            told,
            PipelinedError::TooLarge {
                bound: 1_048_576,
                ..
            }
        ),
        "{told}"
    );
    assert!(
        told.to_string().contains("`reply_bound`, 1048576 bytes"),
        "{told}"
    );
    one.query(&rows(100), &[])
        .await
        .expect("nothing is held any more");
}

/// One caller's large reply takes no room from the small ones of the others.
#[tokio::test]
async fn small_replies_find_room_beside_one_that_takes_all() {
    let pool = pool_of(PipelinedConnector::from(connector()).reply_bound(1 << 20));
    let conn = pool.get().await.expect("a place");
    // It is found out how many rows just fit.
    let (mut fits, mut too_many) = (0, 16_384);
    while too_many - fits > 1 {
        let some = fits + (too_many - fits) / 2;
        match conn.query(&rows(some), &[]).await {
            Ok(_) => fits = some,
            Err(_) => too_many = some,
        }
    }
    let sql = rows(fits);
    let mut unpolled = Box::pin(conn.query(&sql, &[]));
    assert!(poll!(&mut unpolled).is_pending(), "it is sent");
    assert_eq!(two(&conn).await, 2);
    let told = conn.query(&rows(100), &[]).await.expect_err("no room");
    assert!(matches!(told, PipelinedError::TooLarge { .. }), "{told}");
    assert_eq!(unpolled.await.expect("it runs").len(), fits as usize);
    conn.query(&rows(100), &[]).await.expect("there is room");
}

/// A reply that nobody waits for any more is held for nobody.
#[tokio::test]
async fn a_reply_whose_caller_left_takes_no_room() {
    let pool = pool_of(PipelinedConnector::from(connector()).reply_bound(1 << 20));
    let conn = pool.get().await.expect("a place");
    let sql = rows(4_000);
    conn.query(&sql, &[]).await.expect("it fits");
    for _ in 0..20 {
        let left = fixture::cut_short(conn.query(&sql, &[]), 1).await;
        assert!(left.is_none(), "it was there at once");
    }
    conn.query(&sql, &[]).await.expect("nothing is held");
}

/// The tasks that read replies run in any order; requests keep that of their caller.
#[tokio::test]
async fn statements_go_out_in_the_order_in_which_they_were_first_polled() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let exclusive = fixture::single();
    let owner = exclusive.get().await.expect("a lease");
    let create = "CREATE TABLE numbers (n int8 GENERATED ALWAYS AS IDENTITY, said int8)";
    owner.batch_execute(create).await.expect("it runs");
    let sql = "INSERT INTO numbers (said) VALUES ($1) RETURNING n";
    conn.query_one(sql, &[&0_i64]).await.expect("it runs");
    let mut calls: Vec<_> = (1..200_i64)
        .map(|said| {
            let conn = &conn;
            Box::pin(async move {
                let row = conn.query_one(sql, &[&said]).await;
                (said, row.expect("it runs").get::<_, i64>(0) - 1)
            })
        })
        .collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    for (said, came) in futures_util::future::join_all(calls).await {
        assert_eq!(said, came);
    }
}

#[tokio::test]
async fn other_numbers_of_rows_than_asked_for_are_told() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let asked = [
        (
            conn.query_one(&rows(0), &[]).await.map(drop),
            "returned 0 rows instead of one",
        ),
        (
            conn.query_one(&rows(3), &[]).await.map(drop),
            "returned 3 rows instead of one",
        ),
        (
            conn.query_opt(&rows(2), &[]).await.map(drop),
            "returned 2 rows instead of at most one",
        ),
    ];
    for (told, text) in asked {
        let told = told.expect_err("it is another number");
        assert!(matches!(told, PipelinedError::RowCount { .. }), "{told}");
        assert!(told.to_string().ends_with(text), "{told}");
    }
    assert!(
        conn.query_opt(&rows(0), &[])
            .await
            .expect("it runs")
            .is_none()
    );
    let affected = conn.execute(&rows(7), &[]).await;
    assert_eq!(affected.expect("it runs"), 7);
}

/// Its reason is the driver's, as where it encodes them itself.
#[tokio::test]
async fn a_parameter_of_another_type_is_told_and_not_sent() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    for told in [
        conn.query("SELECT $1::int4", &[&"two"]).await,
        conn.query_typed(
            "SELECT $1::int4",
            &[(&"two", tokio_postgres::types::Type::INT4)],
        )
        .await,
        conn.query("SELECT $1::int4", &[]).await,
        conn.query("SELECT $1::int4", &[&1_i32, &2_i32]).await,
    ] {
        let told = told.expect_err("it does not fit");
        assert!(matches!(told, PipelinedError::Failed { .. }), "{told}");
    }
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] = [&7_i32, &None::<String>, &"x"];
    let row = conn
        .query_one("SELECT $1::int4, $2::text, $3::text", &params)
        .await;
    let row = row.expect("it runs");
    let read = (
        row.get::<_, i32>(0),
        row.get::<_, Option<&str>>(1),
        row.get::<_, &str>(2),
    );
    assert_eq!(read, (7, None, "x"));
}
