//! Prepared statements are prepared once per connection, kept within bounds, and replaced when stale.

mod fixture;

use cenote_postgres::PgConnection;
use fixture::{backend, connector, single, single_of, text};

/// How many statements the server holds for this session, beside the one that asks.
async fn prepared(conn: &PgConnection) -> i64 {
    let sql =
        "SELECT count(*) FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%'";
    conn.query_one(sql, &[])
        .await
        .expect("the query succeeds")
        .get(0)
}

#[tokio::test]
async fn a_statement_is_prepared_once_and_kept_across_leases() {
    let pool = single();
    for _ in 0..5 {
        let conn = pool.get().await.expect("a lease");
        for _ in 0..5 {
            let row = conn.query_one_cached("SELECT $1::int8", &[&7_i64]).await;
            assert_eq!(row.expect("the query succeeds").get::<_, i64>(0), 7);
        }
        assert_eq!(prepared(&conn).await, 1);
        assert_eq!(conn.cached_statements(), 1);
    }
}

#[tokio::test]
async fn a_statement_is_kept_across_a_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    conn.execute("SET work_mem = '123MB'", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 1);
    assert_eq!(pool.counters().resets, 1);
}

#[tokio::test]
async fn an_uncached_statement_is_not_kept() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.query("SELECT 1", &[]).await.expect("it runs");
    let mine = conn.prepare("SELECT 2").await.expect("it is prepared");
    conn.query(&mine, &[]).await.expect("it runs");
    drop(mine);
    assert_eq!(prepared(&conn).await, 0);
}

#[tokio::test]
async fn the_least_recently_used_statement_goes_first() {
    let pool = single_of(connector().statement_cache(3));
    let conn = pool.get().await.expect("a lease");
    for sql in ["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 1", "SELECT 4"] {
        conn.query_cached(sql, &[]).await.expect("it runs");
    }
    let sql = "SELECT string_agg(statement, ',' ORDER BY statement) FROM pg_prepared_statements \
               WHERE statement NOT LIKE '%pg_prepared%'";
    assert_eq!(text(&conn, sql).await, "SELECT 1,SELECT 3,SELECT 4");
}

#[tokio::test]
async fn a_cache_of_none_keeps_none() {
    let pool = single_of(connector().statement_cache(0));
    let conn = pool.get().await.expect("a lease");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 0);
}

#[tokio::test]
async fn transactions_share_the_cache() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    let transaction = conn.transaction().await.expect("it begins");
    transaction
        .query_cached("SELECT 1", &[])
        .await
        .expect("it runs");
    transaction.commit().await.expect("it commits");
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(prepared(&conn).await, 1);
}

#[tokio::test]
async fn a_statement_whose_result_changed_is_prepared_anew() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE changing AS SELECT 1 AS a", &[])
        .await
        .expect("it runs");
    let row = conn
        .query_one_cached("SELECT * FROM changing", &[])
        .await
        .expect("it runs");
    assert_eq!(row.len(), 1);
    conn.execute("ALTER TABLE changing ADD b int", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    let row = conn
        .query_one_cached("SELECT * FROM changing", &[])
        .await
        .expect("it runs again");
    assert_eq!(row.len(), 2);
}

#[tokio::test]
async fn in_a_transaction_a_stale_statement_fails_once_and_is_forgotten() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE shifting AS SELECT 1 AS a", &[])
        .await
        .expect("it runs");
    conn.query_one_cached("SELECT * FROM shifting", &[])
        .await
        .expect("it runs");
    conn.execute("ALTER TABLE shifting ADD b int", &[])
        .await
        .expect("it runs");
    drop(conn);
    conn = pool.get().await.expect("the next lease");
    let transaction = conn.transaction().await.expect("it begins");
    let error = transaction
        .query_one_cached("SELECT * FROM shifting", &[])
        .await;
    assert_eq!(
        error
            .expect_err("it is stale")
            .code()
            .map(|code| code.code()),
        Some("0A000")
    );
    transaction.rollback().await.expect("it is rolled back");
    let transaction = conn.transaction().await.expect("it begins");
    let row = transaction
        .query_one_cached("SELECT * FROM shifting", &[])
        .await;
    assert_eq!(row.expect("it runs").len(), 2);
}

#[tokio::test]
async fn a_session_that_lost_its_prepared_statements_is_replaced() {
    for sql in ["DISCARD ALL", "DEALLOCATE ALL"] {
        let pool = single();
        let conn = pool.get().await.expect("a lease");
        let session = backend(&conn).await;
        conn.query_cached("SELECT 1", &[]).await.expect("it runs");
        conn.execute(sql, &[]).await.expect("it runs");
        // Even now the cached statement works: it is prepared anew.
        conn.query_cached("SELECT 1", &[]).await.expect("it runs");
        drop(conn);
        let next = pool.get().await.expect("the next lease");
        assert_ne!(backend(&next).await, session, "{sql}");
    }
}

#[tokio::test]
async fn statements_lost_behind_the_connections_back_are_found_by_the_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    conn.query_cached("SELECT 1", &[]).await.expect("it runs");
    let client: &tokio_postgres::Client = &conn;
    client
        .batch_execute("DEALLOCATE ALL")
        .await
        .expect("it runs");
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_ne!(backend(&next).await, session);
}
