//! A plain statement that changes the session by what it calls or updates never changes the next user's.

mod fixture;

use cenote::{Pool, SharedPool};
use cenote_postgres::{PipelinedConnector, PipelinedError, PostgresConnector};
use fixture::{DEADLINE, backend, connector, single, single_of, text};

/// The ways of a plain statement to change a setting or to take a lock, all of which ran unseen.
const CHANGES: [&str; 9] = [
    "UPDATE pg_settings SET setting = '77000' WHERE name = 'statement_timeout'",
    "update Pg_Catalog . PG_SETTINGS /* a */ as s SET setting = '77000' WHERE name = 'statement_timeout'",
    "WITH a AS (SELECT 1) UPDATE \"pg_settings\" SET setting = '77000' WHERE name = 'statement_timeout'",
    "SELECT set_config('statement_timeout', '77s', false)",
    "SELECT pg_catalog/**/.--\nset_config('statement_timeout', '77s', false)",
    "SELECT \"set_config\"('statement_timeout', '77s', false)",
    "SELECT U&\"set\\005fconfig\"('statement_timeout', '77s', false)",
    "SELECT query_to_xml('select set_' || 'config(''statement_timeout'', ''77s'', false)', true, true, '')",
    "SELECT own_change()",
];

/// A function whose body changes the session, and one whose does not.
async fn make_functions(pool: &Pool<PostgresConnector>) {
    let conn = pool.get().await.expect("a lease");
    let sql = "CREATE OR REPLACE FUNCTION own_change() RETURNS text LANGUAGE sql AS \
               $$ SELECT set_config('statement_timeout', '77s', false) $$; \
               CREATE OR REPLACE FUNCTION own_answer() RETURNS int LANGUAGE sql AS $$ SELECT 42 $$";
    // Two tests that replace a function at once are told so by the server.
    let created = conn
        .batch_execute(&format!("SELECT pg_advisory_xact_lock(1); {sql}"))
        .await;
    created.expect("they are made");
}

#[tokio::test]
async fn a_plain_statement_that_changes_a_setting_does_not_change_the_next_users() {
    for cached in [false, true] {
        let pool = single();
        make_functions(&pool).await;
        for sql in CHANGES {
            let conn = pool.get().await.expect("a lease");
            let session = backend(&conn).await;
            let changed = if cached {
                conn.execute_cached(sql, &[]).await
            } else {
                conn.execute(sql, &[]).await
            };
            changed.expect("the statement succeeds");
            drop(conn);
            let conn = pool.get().await.expect("the next lease");
            assert_eq!(
                backend(&conn).await,
                session,
                "the session is kept, only reset"
            );
            assert_eq!(text(&conn, "SHOW statement_timeout").await, "0", "{sql}");
        }
    }
}

#[tokio::test]
async fn a_lock_taken_under_a_name_in_escapes_is_released() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    conn.execute("SELECT U&\"pg_advisory\\005flock\"(7)", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    let held = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    assert_eq!(text(&conn, held).await, "0");
}

/// `DISCARD ALL` leaves the seed of `random()` as it is.
#[tokio::test]
async fn what_no_reset_undoes_closes_the_connection() {
    for (sql, in_batch) in [
        ("SELECT setseed(0.5)", false),
        ("LOAD 'auto_explain'", false),
        ("SET seed = 0.5", false),
        ("set Seed to 0.5", true),
        ("SELECT set_config('seed', '0.5', false)", false),
        (
            "UPDATE pg_settings SET setting = '0.5' WHERE name = 'seed'",
            false,
        ),
        ("SELECT 1; SELECT setseed(0.5)", true),
        ("DO $$ BEGIN PERFORM setseed(0.5); END $$", false),
        ("EXPLAIN ANALYZE SELECT setseed(0.5)", false),
    ] {
        let pool = single();
        let conn = pool.get().await.expect("a lease");
        let session = backend(&conn).await;
        if in_batch {
            conn.batch_execute(sql).await.expect("it runs");
        } else {
            conn.execute(sql, &[]).await.expect("it runs");
        }
        drop(conn);
        let conn = pool.get().await.expect("the next lease");
        assert_ne!(backend(&conn).await, session, "{sql}");
    }
}

#[tokio::test]
async fn a_call_of_a_function_means_a_reset_unless_it_is_trusted() {
    for (connector, resets) in [
        (connector(), 1),
        (connector().trust_function("own_answer"), 0),
    ] {
        let pool = single_of(connector);
        make_functions(&pool).await;
        let conn = pool.get().await.expect("a lease");
        let before = pool.counters().resets;
        conn.query("SELECT own_answer()", &[])
            .await
            .expect("it runs");
        drop(conn);
        drop(pool.get().await.expect("the next lease"));
        assert_eq!(pool.counters().resets - before, resets);
    }
}

fn shared(connector: PostgresConnector) -> SharedPool<PipelinedConnector> {
    SharedPool::builder(PipelinedConnector::from(connector))
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

#[tokio::test]
async fn a_shared_session_is_changed_by_no_plain_statement() {
    make_functions(&single()).await;
    let pool = shared(connector());
    let conn = pool.get().await.expect("a place");
    for sql in CHANGES {
        match conn.execute(sql, &[]).await {
            Err(
                PipelinedError::NeedsExclusive { .. }
                | PipelinedError::UntrustedFunction { .. }
                | PipelinedError::Ambiguous,
            ) => {}
            other => panic!("{sql}: {other:?}"),
        }
    }
    let row = conn.query_one("SHOW statement_timeout", &[]).await;
    assert_eq!(row.expect("it runs").get::<_, String>(0), "0");
}

#[tokio::test]
async fn a_shared_session_calls_a_function_that_is_trusted() {
    make_functions(&single()).await;
    let pool = shared(connector().trust_function("own_answer"));
    let conn = pool.get().await.expect("a place");
    let row = conn.query_one("SELECT public.own_answer()", &[]).await;
    assert_eq!(row.expect("it runs").get::<_, i32>(0), 42);
    let refused = conn
        .query_one("SELECT own_change()", &[])
        .await
        .expect_err("refused");
    assert!(refused.to_string().contains("`own_change`"), "{refused}");
}

/// `RESET ALL` leaves a setting with a name of the user's own empty, where it was unset: said at `ResetMode`.
#[tokio::test]
async fn a_setting_with_a_name_of_its_own_is_empty_after_a_reset() {
    let pool = single();
    let conn = pool.get().await.expect("a lease");
    let read = "SELECT coalesce(current_setting('myapp.tenant', true), 'unset')";
    assert_eq!(text(&conn, read).await, "unset");
    conn.execute("SET myapp.tenant = '42'", &[])
        .await
        .expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    assert_eq!(text(&conn, read).await, "");
}
