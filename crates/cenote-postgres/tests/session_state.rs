//! What one user leaves in a session never reaches the next one, though the session itself does.

mod fixture;

use cenote::Pool;
use cenote_postgres::{PgConnection, PostgresConnector, ResetMode};
use fixture::{backend, connector, single, single_of, text};

/// Lets one user act, and returns what the next user of the same session then reads.
async fn next_user_reads(
    pool: &Pool<PostgresConnector>,
    act: impl AsyncFnOnce(&mut PgConnection),
    sql: &str,
) -> String {
    let mut first = pool.get().await.expect("a first lease");
    let session = backend(&first).await;
    act(&mut first).await;
    drop(first);
    let second = pool.get().await.expect("a second lease");
    assert_eq!(
        backend(&second).await,
        session,
        "the session is kept, only reset"
    );
    text(&second, sql).await
}

async fn run(conn: &mut PgConnection, sql: &str) {
    conn.execute(sql, &[])
        .await
        .expect("the statement succeeds");
}

#[tokio::test]
async fn settings_are_as_at_first() {
    let left = async |conn: &mut PgConnection| run(conn, "SET work_mem = '123MB'").await;
    let seen = next_user_reads(&single(), left, "SHOW work_mem").await;
    assert_ne!(seen, "123MB");
}

#[tokio::test]
async fn settings_made_by_a_function_call_are_as_at_first() {
    let left = async |conn: &mut PgConnection| {
        run(conn, "SELECT set_config('search_path', 'elsewhere', false)").await;
    };
    let seen = next_user_reads(&single(), left, "SHOW search_path").await;
    assert_eq!(seen, "\"$user\", public");
}

#[tokio::test]
async fn settings_made_by_a_batch_are_as_at_first() {
    let left = async |conn: &mut PgConnection| {
        conn.batch_execute("SELECT 1; SET work_mem = '123MB'")
            .await
            .expect("it runs");
    };
    let seen = next_user_reads(&single(), left, "SHOW work_mem").await;
    assert_ne!(seen, "123MB");
}

#[tokio::test]
async fn settings_made_by_the_drivers_own_client_are_as_at_first() {
    let left = async |conn: &mut PgConnection| {
        let client: &tokio_postgres::Client = conn;
        client
            .execute("SET work_mem = '123MB'", &[])
            .await
            .expect("it runs");
    };
    let seen = next_user_reads(&single(), left, "SHOW work_mem").await;
    assert_ne!(seen, "123MB");
}

#[tokio::test]
async fn settings_made_in_a_committed_transaction_are_as_at_first() {
    let left = async |conn: &mut PgConnection| {
        let transaction = conn.transaction().await.expect("it begins");
        transaction
            .execute("SET work_mem = '123MB'", &[])
            .await
            .expect("it runs");
        transaction.commit().await.expect("it commits");
    };
    let seen = next_user_reads(&single(), left, "SHOW work_mem").await;
    assert_ne!(seen, "123MB");
}

#[tokio::test]
async fn a_read_only_session_is_writable_again() {
    let left = async |conn: &mut PgConnection| {
        run(conn, "SET default_transaction_read_only = on").await;
    };
    let seen = next_user_reads(&single(), left, "SHOW transaction_read_only").await;
    assert_eq!(seen, "off");
}

#[tokio::test]
async fn a_short_statement_timeout_does_not_outlive_its_user() {
    let left = async |conn: &mut PgConnection| run(conn, "SET statement_timeout = '1s'").await;
    let seen = next_user_reads(&single(), left, "SHOW statement_timeout").await;
    assert_eq!(seen, "0");
}

#[tokio::test]
async fn temporary_tables_are_gone() {
    for sql in [
        "CREATE TEMP TABLE kept (a int)",
        "CREATE TEMP TABLE kept AS SELECT 1 AS a",
        "SELECT 1 AS a INTO TEMP kept",
    ] {
        let left = async |conn: &mut PgConnection| run(conn, sql).await;
        let seen = next_user_reads(&single(), left, "SELECT to_regclass('kept')::text").await;
        assert_eq!(seen, "", "{sql}");
    }
}

#[tokio::test]
async fn session_advisory_locks_are_released() {
    for sql in [
        "SELECT pg_advisory_lock(42)",
        "SELECT pg_try_advisory_lock_shared(42)",
    ] {
        let left = async |conn: &mut PgConnection| run(conn, sql).await;
        let held = "SELECT count(*)::text FROM pg_locks \
                    WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
        assert_eq!(next_user_reads(&single(), left, held).await, "0", "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_listened_to() {
    let left = async |conn: &mut PgConnection| run(conn, "LISTEN news").await;
    let channels = "SELECT count(*)::text FROM pg_listening_channels()";
    assert_eq!(next_user_reads(&single(), left, channels).await, "0");
}

#[tokio::test]
async fn cursors_that_outlive_their_transaction_are_closed() {
    let left = async |conn: &mut PgConnection| {
        run(conn, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1").await;
    };
    let cursors = "SELECT count(*)::text FROM pg_cursors WHERE name = 'kept'";
    assert_eq!(next_user_reads(&single(), left, cursors).await, "0");
}

#[tokio::test]
async fn statements_prepared_by_sql_are_deallocated() {
    let left = async |conn: &mut PgConnection| {
        run(conn, "PREPARE kept AS SELECT 1").await;
        run(conn, "PREPARE \"with \"\"quotes\" AS SELECT 2").await;
    };
    let prepared = "SELECT count(*)::text FROM pg_prepared_statements WHERE from_sql";
    assert_eq!(next_user_reads(&single(), left, prepared).await, "0");
}

#[tokio::test]
async fn roles_taken_on_are_given_back() {
    for sql in [
        "SET ROLE pg_monitor",
        "SET SESSION AUTHORIZATION pg_monitor",
    ] {
        let left = async |conn: &mut PgConnection| run(conn, sql).await;
        let roles = "SELECT session_user || '/' || current_user";
        assert_eq!(
            next_user_reads(&single(), left, roles).await,
            "postgres/postgres",
            "{sql}"
        );
    }
}

#[tokio::test]
async fn what_setup_made_is_there_again_after_a_reset() {
    let pool = single_of(connector().setup("SET work_mem = '77MB'; SET TimeZone = 'UTC' -- done"));
    let left = async |conn: &mut PgConnection| {
        assert_eq!(text(conn, "SHOW work_mem").await, "77MB");
        run(conn, "SET work_mem = '123MB'").await;
    };
    assert_eq!(next_user_reads(&pool, left, "SHOW work_mem").await, "77MB");
}

#[tokio::test]
async fn full_mode_undoes_what_a_functions_body_did() {
    let pool = single_of(connector().reset_mode(ResetMode::Full));
    let left = async |conn: &mut PgConnection| {
        let function = "CREATE OR REPLACE FUNCTION changes_settings() RETURNS text LANGUAGE sql \
                        AS $$ SELECT set_config('work_mem', '123MB', false) $$";
        run(conn, function).await;
    };
    next_user_reads(&pool, left, "SELECT ''").await;
    let left = async |conn: &mut PgConnection| run(conn, "SELECT changes_settings()").await;
    assert_ne!(next_user_reads(&pool, left, "SHOW work_mem").await, "123MB");
}

#[tokio::test]
async fn full_mode_forgets_sequence_values() {
    let pool = single_of(connector().reset_mode(ResetMode::Full));
    let left = async |conn: &mut PgConnection| {
        run(conn, "CREATE SEQUENCE IF NOT EXISTS numbers").await;
        run(conn, "SELECT nextval('numbers')").await;
    };
    next_user_reads(&pool, left, "SELECT ''").await;
    let conn = pool.get().await.expect("a lease");
    let error = conn
        .query_one("SELECT lastval()", &[])
        .await
        .expect_err("no value in this session");
    assert_eq!(error.code().map(|code| code.code()), Some("55000"));
}
