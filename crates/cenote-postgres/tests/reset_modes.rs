//! When a reset happens: as often as the mode promises, and not more often.

mod fixture;

use cenote::Pool;
use cenote_postgres::{PgConnection, PostgresConnector, ResetMode};
use fixture::{connector, single_of};

/// How many resets follow a lease in which this was done.
async fn resets_after(mode: ResetMode, act: impl AsyncFnOnce(&mut PgConnection)) -> u64 {
    let pool: Pool<PostgresConnector> = single_of(connector().reset_mode(mode));
    let mut lease = pool.get().await.expect("a lease");
    act(&mut lease).await;
    drop(lease);
    // The reset is over when the only connection can be had again.
    drop(pool.get().await.expect("a second lease"));
    let counters = pool.counters();
    assert_eq!(counters.opened, 1, "the connection is kept");
    counters.resets
}

async fn plain_statements(conn: &mut PgConnection) {
    conn.query("SELECT 1", &[]).await.expect("it runs");
    conn.query_cached("SELECT 2", &[]).await.expect("it runs");
    conn.query_typed("SELECT 3", &[]).await.expect("it runs");
    let statement = conn.prepare("SELECT 4").await.expect("it is prepared");
    conn.query_opt(&statement, &[]).await.expect("it runs");
}

async fn finished_transactions(conn: &mut PgConnection) {
    let mut transaction = conn.transaction().await.expect("it begins");
    let nested = transaction.transaction().await.expect("it begins");
    nested.query_cached("SELECT 1", &[]).await.expect("it runs");
    drop(nested);
    transaction.commit().await.expect("it commits");
    let transaction = conn
        .build_transaction()
        .read_only(true)
        .start()
        .await
        .expect("it begins");
    transaction.rollback().await.expect("it is rolled back");
}

async fn failed_statements(conn: &mut PgConnection) {
    conn.query("SELECT 1 / 0", &[])
        .await
        .expect_err("division by zero");
    conn.query("SELECT no_such_column", &[])
        .await
        .expect_err("no such column");
}

async fn driver_access(conn: &mut PgConnection) {
    let client: &tokio_postgres::Client = conn;
    let _ = client;
}

#[tokio::test]
async fn fast_mode_does_not_reset_after_plain_statements() {
    assert_eq!(resets_after(ResetMode::Fast, plain_statements).await, 0);
}

#[tokio::test]
async fn fast_mode_does_not_reset_after_finished_transactions() {
    assert_eq!(
        resets_after(ResetMode::Fast, finished_transactions).await,
        0
    );
}

#[tokio::test]
async fn fast_mode_does_not_reset_after_statements_that_the_server_refused() {
    assert_eq!(resets_after(ResetMode::Fast, failed_statements).await, 0);
}

#[tokio::test]
async fn fast_mode_resets_after_access_to_the_drivers_client() {
    assert_eq!(resets_after(ResetMode::Fast, driver_access).await, 1);
}

#[tokio::test]
async fn full_mode_resets_after_plain_statements() {
    assert_eq!(resets_after(ResetMode::Full, plain_statements).await, 1);
}

#[tokio::test]
async fn full_mode_does_not_reset_an_unused_session() {
    assert_eq!(
        resets_after(ResetMode::Full, async |_: &mut PgConnection| ()).await,
        0
    );
}
