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

/// What a table holds, asked on another session.
async fn rows_of(table: &str) -> i64 {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let row = conn
        .query_one(&format!("SELECT count(*) FROM {table}"), &[])
        .await;
    row.expect("the table is there").get(0)
}

fn code(result: Result<(), tokio_postgres::Error>) -> String {
    let error = result.expect_err("nothing was done");
    error
        .code()
        .expect("an error of the server")
        .code()
        .to_owned()
}

/// The server answers a COMMIT of a failed transaction with ROLLBACK, and without an error.
#[tokio::test]
async fn committing_a_failed_transaction_is_an_error() {
    let rows = rows_after(
        "hopeless",
        async |conn: &mut PgConnection, insert: String| {
            let transaction = conn.transaction().await.expect("it begins");
            transaction.execute(&insert, &[]).await.expect("it inserts");
            transaction
                .query("SELECT 1 / 0", &[])
                .await
                .expect_err("it fails");
            assert_eq!(code(transaction.commit().await), "25P02");
            // The connection goes on, outside the transaction.
            run(conn, "SELECT 1").await;
        },
    );
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn committing_what_failed_in_the_drivers_own_client_or_a_batch_is_an_error() {
    let rows = rows_after("unseen", async |conn: &mut PgConnection, insert: String| {
        let transaction = conn.transaction().await.expect("it begins");
        transaction.execute(&insert, &[]).await.expect("it inserts");
        let driver: &tokio_postgres::Transaction<'_> = &transaction;
        driver
            .batch_execute("SELECT 1; SELECT 1 / 0")
            .await
            .expect_err("it fails");
        assert_eq!(code(transaction.commit().await), "25P02");
    });
    assert_eq!(rows.await, 0);
}

#[tokio::test]
async fn committing_a_transaction_that_failed_and_went_back_to_a_savepoint_is_none() {
    let rows = rows_after("mended", async |conn: &mut PgConnection, insert: String| {
        let transaction = conn.transaction().await.expect("it begins");
        transaction.execute(&insert, &[]).await.expect("it inserts");
        transaction
            .execute("SAVEPOINT mine", &[])
            .await
            .expect("it runs");
        transaction
            .query("SELECT 1 / 0", &[])
            .await
            .expect_err("it fails");
        transaction
            .execute("ROLLBACK TO mine", &[])
            .await
            .expect("it runs");
        transaction.commit().await.expect("it commits");
    });
    assert_eq!(rows.await, 1);
}

#[tokio::test]
async fn committing_a_failed_nested_transaction_is_an_error() {
    let rows = rows_after("within", async |conn: &mut PgConnection, insert: String| {
        let mut outer = conn.transaction().await.expect("it begins");
        let nested = outer.transaction().await.expect("it begins");
        nested.execute(&insert, &[]).await.expect("it inserts");
        nested
            .query("SELECT 1 / 0", &[])
            .await
            .expect_err("it fails");
        assert_eq!(code(nested.commit().await), "25P02");
        assert_eq!(code(outer.commit().await), "25P02");
    });
    assert_eq!(rows.await, 0);
}

/// A constraint that is checked at the end only.
#[tokio::test]
async fn a_commit_that_fails_by_itself_is_an_error_and_the_connection_goes_on() {
    let pool = single();
    let mut conn = pool.get().await.expect("a lease");
    let table = "CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)";
    run(&conn, table).await;
    let transaction = conn.transaction().await.expect("it begins");
    transaction
        .execute("INSERT INTO late VALUES (1), (1)", &[])
        .await
        .expect("not yet");
    assert_eq!(code(transaction.commit().await), "23505");
    run(&conn, "INSERT INTO late VALUES (1)").await;
    drop(conn);
    assert_eq!(rows_of("late").await, 1);
}

#[tokio::test]
async fn the_end_of_a_transaction_that_a_statement_has_ended_is_an_error() {
    for end in ["COMMIT", "ROLLBACK", "PREPARE TRANSACTION 'nowhere'"] {
        for commits in [true, false] {
            let pool = single();
            let mut conn = pool.get().await.expect("a lease");
            let transaction = conn.transaction().await.expect("it begins");
            // Two-phase commits are not enabled here: the error of PREPARE ends the transaction as well.
            let _ = transaction.batch_execute(end).await;
            let ended = if commits {
                transaction.commit().await
            } else {
                transaction.rollback().await
            };
            assert_eq!(code(ended), "25P01", "{end}");
        }
    }
}

#[tokio::test]
async fn rolling_back_a_failed_transaction_succeeds() {
    for sql in ["SELECT 1 / 0", "BEGIN; SELECT 1 / 0"] {
        let pool = single();
        let mut conn = pool.get().await.expect("a lease");
        let transaction = conn.transaction().await.expect("it begins");
        transaction.batch_execute(sql).await.expect_err("it fails");
        transaction.rollback().await.expect("it is rolled back");
    }
}

/// A ROLLBACK outside a transaction fills the server's log with warnings.
#[tokio::test]
async fn no_rollback_is_sent_where_no_transaction_is_open() {
    let server = cenote_testkit::PostgresServer::start().expect("PostgreSQL starts");
    let pool = single_of(fixture::connector_to(&server));
    let mut resets = 0;
    for way in 0..7 {
        let mut conn = pool.get().await.expect("a lease");
        match way {
            0 => run(&conn, "SET work_mem = '1MB'").await,
            1 => conn
                .batch_execute("BEGIN; SELECT 1; COMMIT")
                .await
                .expect("it runs"),
            2 => drop(
                conn.client_mut()
                    .query("SELECT 1", &[])
                    .await
                    .expect("it runs"),
            ),
            3 => drop(cut_short(conn.query("SELECT 1", &[]), 1).await),
            4 => drop(conn.transaction().await.expect("it begins")),
            5 => {
                run(&conn, "BEGIN").await;
                run(&conn, "SELECT 1").await;
            }
            _ => {
                let transaction = conn.transaction().await.expect("it begins");
                transaction
                    .query("SELECT 1 / 0", &[])
                    .await
                    .expect_err("it fails");
                transaction.commit().await.expect_err("nothing to commit");
                run(&conn, "SET work_mem = '1MB'").await;
            }
        }
        drop(conn);
        drop(pool.get().await.expect("the next lease"));
        resets += 1;
        assert_eq!(pool.counters().resets, resets, "way {way}");
        assert!(
            !server.log().contains("no transaction in progress"),
            "way {way}: {}",
            server.log()
        );
    }
    assert_eq!(pool.counters().opened, 1);
}
