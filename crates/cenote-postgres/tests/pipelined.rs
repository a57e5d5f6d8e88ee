//! Many users on one connection: what they may do there, and that they are alone with their answers.

mod fixture;

use cenote::{Connect, ConnectionInfo, Dial, SharedPool};
use cenote_postgres::{PipelinedConnection, PipelinedConnector, PipelinedError};
use fixture::{DEADLINE, connector, eventually};
use tokio::task::JoinSet;

fn pool() -> SharedPool<PipelinedConnector> {
    pool_of(connector().into())
}

/// One connection, for as many as come.
fn pool_of(connector: PipelinedConnector) -> SharedPool<PipelinedConnector> {
    SharedPool::builder(connector)
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

async fn number(conn: &PipelinedConnection, sql: &str) -> i64 {
    let row = conn.query_one(sql, &[]).await;
    row.expect("the query succeeds").get(0)
}

#[tokio::test]
async fn users_of_one_connection_get_their_own_answers() {
    let pool = pool();
    let mut users = JoinSet::new();
    for user in 0..200_i64 {
        let pool = pool.clone();
        users.spawn(async move {
            let conn = pool.get().await.expect("a place");
            let row = conn.query_one("SELECT $1::int8", &[&user]).await;
            assert_eq!(row.expect("it runs").get::<_, i64>(0), user);
        });
    }
    while let Some(user) = users.join_next().await {
        user.expect("no user read another's answer");
    }
    assert_eq!(pool.counters().opened, 1);
}

/// None waits for another's reply: all are sent before the first is answered.
#[tokio::test]
async fn statements_are_sent_while_earlier_ones_run() {
    let (pool, other) = (pool(), pool());
    let conn = pool.get().await.expect("a place");
    let gate = fixture::single();
    let gate = gate.get().await.expect("a lease");
    gate.execute("SELECT pg_advisory_lock(77)", &[])
        .await
        .expect("the gate is closed");
    let slow = "SELECT 1::int8 FROM pg_advisory_xact_lock(77)";
    let blocked = number(&conn, slow);
    let behind = async {
        let observer = other.get().await.expect("a place");
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        eventually("the first is held up", async || {
            number(&observer, waiting).await == 1
        })
        .await;
        let mut second = std::pin::pin!(number(&conn, "SELECT 2::int8"));
        let early = futures_util::poll!(&mut second);
        assert!(early.is_pending(), "it overtook the first");
        gate.execute("SELECT pg_advisory_unlock(77)", &[])
            .await
            .expect("the gate is opened");
        second.await
    };
    assert_eq!(tokio::join!(blocked, behind), (1, 2));
}

/// On a session with many users, one's transaction would be everybody's.
#[tokio::test]
async fn statements_that_need_a_session_of_their_own_are_refused_and_not_sent() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    for (sql, word) in [
        ("BEGIN", "BEGIN"),
        ("start transaction", "start"),
        ("COMMIT", "COMMIT"),
        ("SET search_path = elsewhere", "SET"),
        ("RESET ALL", "RESET"),
        ("LISTEN news", "LISTEN"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE"),
        ("PREPARE mine AS SELECT 1", "PREPARE"),
        ("DEALLOCATE ALL", "DEALLOCATE"),
        ("DISCARD ALL", "DISCARD"),
        ("LOCK TABLE pg_class", "LOCK"),
        ("CREATE TEMP TABLE mine (a int)", "CREATE"),
        ("SELECT 1 AS a INTO TEMP mine", "TEMP"),
        ("COPY pg_class TO STDOUT", "COPY"),
        ("DO $$ BEGIN END $$", "DO"),
        ("do $$ BEGIN END $$", "do"),
        ("CALL procedure()", "CALL"),
        ("UPDATE pg_settings SET setting = '1'", "pg_settings"),
    ] {
        for refused in [
            conn.execute(sql, &[]).await.map(drop),
            conn.query_typed(sql, &[]).await.map(drop),
        ] {
            match refused {
                Err(PipelinedError::NeedsExclusive { word: said, .. }) => assert_eq!(&*said, word),
                other => panic!("{sql}: {other:?}"),
            }
        }
    }
    assert_eq!(conn.cached_statements(), 0, "something was prepared");
}

#[tokio::test]
async fn a_refused_statement_says_where_to_run_it() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let refused = conn.execute("BEGIN", &[]).await.expect_err("refused");
    assert_eq!(
        refused.to_string(),
        "a shared PostgreSQL session runs no statement with `BEGIN`; take a lease of an exclusive pool \
         (`cenote::Pool` on a `PostgresConnector`) for it"
    );
}

/// Each statement ends with a Sync of its own: the server skips nothing of what follows.
#[tokio::test]
async fn a_statement_that_fails_leaves_those_around_it_alone() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let (before, failed, after) = tokio::join!(
        number(&conn, "SELECT 1::int8"),
        conn.query("SELECT 1 / 0", &[]),
        number(&conn, "SELECT 2::int8"),
    );
    assert_eq!((before, after), (1, 2));
    let failed = failed.expect_err("nothing can be divided by zero");
    assert!(failed.to_string().contains("division by zero"), "{failed}");
    assert_eq!(number(&conn, "SELECT 3::int8").await, 3);
}

#[tokio::test]
async fn a_text_is_prepared_once_for_all_users() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let sql = "SELECT count(*) FROM pg_prepared_statements";
    let asked = (0..50).map(|_| number(&conn, sql));
    for prepared in futures_util::future::join_all(asked).await {
        assert_eq!(prepared, 1);
    }
}

/// The server's "cached plan must not change result type", told to all who run the statement.
#[tokio::test]
async fn users_whose_table_changed_are_answered_all_the_same() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    let exclusive = fixture::single();
    let owner = exclusive.get().await.expect("a lease");
    let alter = async |sql: &str| owner.batch_execute(sql).await.expect("it runs");
    alter("CREATE TABLE growing (a int8); INSERT INTO growing VALUES (1)").await;
    let sql = "SELECT * FROM growing";
    conn.query(sql, &[]).await.expect("it runs");
    alter("ALTER TABLE growing ADD b int8").await;
    let asked = (0..20).map(|_| conn.query_one(sql, &[]));
    for row in futures_util::future::join_all(asked).await {
        assert_eq!(row.expect("it runs").len(), 2);
    }
}

#[tokio::test]
async fn more_users_than_a_connection_carries_get_another() {
    let connector = PipelinedConnector::from(connector()).capacity(2);
    let pool = SharedPool::builder(connector)
        .max_size(2)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .build()
        .expect("settings are valid");
    let mut backends = Vec::new();
    let mut places = Vec::new();
    for _ in 0..4 {
        let conn = pool.get().await.expect("a place");
        let row = conn.query_one("SELECT pg_backend_pid()", &[]).await;
        backends.push(row.expect("it runs").get::<_, i32>(0));
        places.push(conn);
    }
    backends.sort_unstable();
    backends.dedup();
    assert_eq!(backends.len(), 2);
}

#[tokio::test]
async fn a_connection_that_rests_after_a_cancelled_call_is_in_step() {
    let pool = pool();
    let conn = pool.get().await.expect("a place");
    assert!(
        fixture::cut_short(conn.query("SELECT 'not mine'", &[]), 1)
            .await
            .is_none()
    );
    drop(conn);
    let connector = pool.connector().expect("there is one");
    let mut conn = connector.connect(&Dial::new()).await.expect("it connects");
    drop(fixture::cut_short(conn.query("SELECT 'not mine'", &[]), 1).await);
    connector
        .check(&mut conn, &ConnectionInfo::default())
        .await
        .expect("it is alive");
    connector
        .reset(&mut conn, &ConnectionInfo::default())
        .await
        .expect("it is in step");
    assert_eq!(number(&conn, "SELECT 1::int8").await, 1);
    connector.close(conn, &ConnectionInfo::default()).await;
}
