//! A transaction never reaches the next user, however its own user left it.

mod fixture;

use cenote::Pool;
use cenote_postgres::{PgConnection, PostgresConnector};
use fixture::{backend, connector, cut_short, single, single_of};

/// Lets one user act on an empty table, and returns how many rows the next user of the same session
/// finds there, outside any transaction.
async fn rows_after(table: &str, act: impl AsyncFnOnce(&mut PgConnection, String)) -> i64 {
    let pool: Pool<PostgresConnector> = single();
    let mut conn = pool.get().await.expect("a first lease");
    conn.execute(&format!("CREATE TABLE {table} (a int)"), &[])
        .await
        .expect("it runs");
    let session = backend(&conn).await;
    act(&mut conn, format!("INSERT INTO {table} VALUES (1)")).await;
    drop(conn);

    let next = pool.get().await.expect("a second lease");
    assert_eq!(
        backend(&next).await,
        session,
        "the session is kept, only reset"
    );
    let error = next
        .execute("SAVEPOINT here", &[])
        .await
        .expect_err("not in a transaction");
    assert_eq!(error.code().map(|code| code.code()), Some("25P01"));
    let rows = next
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await;
    rows.expect("the table is there").get(0)
}

async fn run(conn: &PgConnection, sql: &str) {
    conn.execute(sql, &[])
        .await
        .expect("the statement succeeds");
}

#[tokio::test]
async fn a_committed_transaction_stays() {
    let rows = rows_after(
        "committed",
        async |conn: &mut PgConnection, insert: String| {
            let transaction = conn.transaction().await.expect("it begins");
            transaction.execute(&insert, &[]).await.expect("it inserts");
            transaction.commit().await.expect("it commits");
        },
    );
    assert_eq!(rows.await, 1);
}

#[tokio::test]
async fn a_dropped_transaction_is_rolled_back() {
    let rows = rows_after(
        "dropped",
        async |conn: &mut PgConnection, insert: String| {
            let transaction = conn.transaction().await.expect("it begins");
            transaction.execute(&insert, &[]).await.expect("it inserts");
        },
    );
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_forgotten_transaction_is_rolled_back() {
    let rows = rows_after(
        "forgotten",
        async |conn: &mut PgConnection, insert: String| {
            let transaction = conn.transaction().await.expect("it begins");
            transaction.execute(&insert, &[]).await.expect("it inserts");
            std::mem::forget(transaction);
        },
    );
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_transaction_begun_by_a_statement_is_rolled_back() {
    let rows = rows_after("begun", async |conn: &mut PgConnection, insert: String| {
        run(conn, "BEGIN").await;
        run(conn, &insert).await;
    });
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_transaction_begun_in_a_batch_is_rolled_back() {
    let rows = rows_after(
        "batched",
        async |conn: &mut PgConnection, insert: String| {
            conn.batch_execute(&format!("SELECT 1; BEGIN; {insert}"))
                .await
                .expect("it runs");
        },
    );
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_transaction_begun_by_the_drivers_client_is_rolled_back() {
    let rows = rows_after("raw", async |conn: &mut PgConnection, insert: String| {
        let transaction = conn.client_mut().transaction().await.expect("it begins");
        transaction.execute(&insert, &[]).await.expect("it inserts");
        std::mem::forget(transaction);
    });
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_failed_transaction_is_rolled_back() {
    let rows = rows_after("failed", async |conn: &mut PgConnection, insert: String| {
        run(conn, "BEGIN").await;
        run(conn, &insert).await;
        conn.execute("SELECT 1 / 0", &[])
            .await
            .expect_err("it fails");
    });
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn a_dropped_nested_transaction_takes_only_its_own_changes() {
    let rows = rows_after("nested", async |conn: &mut PgConnection, insert: String| {
        let mut outer = conn.transaction().await.expect("it begins");
        outer.execute(&insert, &[]).await.expect("it inserts");
        let nested = outer.transaction().await.expect("it begins");
        nested.execute(&insert, &[]).await.expect("it inserts");
        drop(nested);
        outer.commit().await.expect("it commits");
    });
    assert_eq!(rows.await, 1);
}

#[tokio::test]
async fn an_open_portal_goes_with_its_transaction() {
    let rows = rows_after("portal", async |conn: &mut PgConnection, insert: String| {
        let transaction = conn.transaction().await.expect("it begins");
        transaction.execute(&insert, &[]).await.expect("it inserts");
        let portal = transaction
            .bind("SELECT generate_series(1, 100)", &[])
            .await;
        let portal = portal.expect("the portal opens");
        let rows = transaction
            .query_portal(&portal, 10)
            .await
            .expect("ten rows");
        assert_eq!(rows.len(), 10);
        std::mem::forget(portal);
    });
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn beginning_and_committing_may_be_dropped_at_any_poll() {
    let pool = single_of(connector());
    for polls in 0.. {
        let mut conn = pool.get().await.expect("a lease");
        let whole = async {
            let transaction = conn.transaction().await.expect("it begins");
            transaction
                .execute_cached("SELECT 1", &[])
                .await
                .expect("it runs");
            transaction.commit().await.expect("it commits");
        };
        let finished = cut_short(whole, polls).await.is_some();
        drop(conn);
        let next = pool.get().await.expect("the next lease");
        let error = next
            .execute("SAVEPOINT here", &[])
            .await
            .expect_err("not in a transaction");
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("25P01"),
            "poll {polls}"
        );
        if finished {
            break;
        }
    }
    assert_eq!(
        pool.counters().opened,
        1,
        "no connection had to be replaced"
    );
}
