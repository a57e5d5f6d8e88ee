//! PostgreSQL's own functions, asked of a real server: those taken for harmless are, as far as it says.

mod fixture;

use cenote::{Pool, SharedPool};
use cenote_postgres::{PipelinedConnector, PipelinedError};
use fixture::{DEADLINE, connector, single};

/// Volatile functions of PostgreSQL's own whose effect ends with the transaction or is the database's.
const TRANSIENT: [&str; 43] = [
    "bernoulli",
    "clock_timestamp",
    "current_query",
    "gen_random_uuid",
    "nextval",
    "pg_advisory_xact_lock",
    "pg_advisory_xact_lock_shared",
    "pg_blocking_pids",
    "pg_cancel_backend",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_last_committed_xact",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_notification_queue_usage",
    "pg_notify",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_sequence_last_value",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_terminate_backend",
    "pg_total_relation_size",
    "pg_try_advisory_xact_lock",
    "pg_try_advisory_xact_lock_shared",
    "pg_xact_commit_timestamp",
    "pg_xact_status",
    "random",
    "setval",
    "system",
    "timeofday",
    "txid_status",
];

/// Every name of a function in a schema of PostgreSQL's own, if the server says that it is volatile.
async fn functions(volatile: bool) -> Vec<String> {
    let pool: Pool<_> = single();
    let conn = pool.get().await.expect("a lease");
    let sql = "SELECT proname::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace \
               GROUP BY 1 HAVING bool_or(provolatile = 'v') = $1";
    let rows = conn.query(sql, &[&volatile]).await.expect("it runs");
    rows.iter().map(|row| row.get(0)).collect()
}

/// A volatile function may change the session: only those known better are sent to a shared one.
#[tokio::test]
async fn no_volatile_function_is_sent_to_a_shared_session_unless_its_effect_ends_with_the_transaction()
 {
    let pool = SharedPool::builder(PipelinedConnector::from(connector()))
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("a place");
    let all = functions(true).await;
    assert!(all.len() > 100, "{all:?}");
    for name in all
        .iter()
        .filter(|name| !TRANSIENT.contains(&name.as_str()))
    {
        // With what no function takes: none is called, whatever becomes of the statement.
        let sent = conn
            .query(&format!("SELECT \"{name}\"(1, '', 1, '', 1, '', 1)"), &[])
            .await;
        assert!(
            matches!(sent, Err(PipelinedError::UntrustedFunction { .. })),
            "{name}: {sent:?}"
        );
    }
}

/// The functions that programs call day by day cost no reset.
#[tokio::test]
async fn usual_functions_cost_no_reset() {
    let pool: Pool<_> = single();
    let conn = pool.get().await.expect("a lease");
    for sql in [
        "SELECT lower('A'), count(*), now(), coalesce(NULL, 1), nullif(1, 2), greatest(1, 2), gen_random_uuid()",
        "SELECT jsonb_build_object('a', 1), array_agg(1), string_agg('a', ','), to_char(now(), 'YYYY')",
        "SELECT extract(year FROM now()), date_trunc('day', now()), substring('abc' FROM 2), trim('a'), cast(1 AS text)",
        "SELECT row_number() OVER (ORDER BY x), left('a', 1), round(1.5), md5('a'), random() FROM generate_series(1, 2) x",
        "SELECT pg_backend_pid(), current_setting('work_mem'), version(), pg_size_pretty(1::bigint)",
    ] {
        conn.query(sql, &[]).await.expect("it runs");
    }
    drop(conn);
    drop(pool.get().await.expect("the next lease"));
    assert_eq!(pool.counters().resets, 0);
}
