//! Behind a PgBouncer that gives each transaction another session: all calls work, and no program meets another's
//! statements.

mod fixture;

use std::collections::BTreeMap;
use std::process::Stdio;

use cenote::{Connect, Dial, Pool, SharedPool};
use cenote_postgres::{PgConnection, PipelinedConnector, PostgresConnector};
use cenote_testkit::{PgBouncerBuilder, PgBouncerServer, PostgresServer, ServerError};
use fixture::{backend, patient, server, single_of, text};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Few sessions for many clients, so that each client's transactions run in any of them.
fn pooler() -> PgBouncerBuilder {
    PgBouncerServer::builder().setting("default_pool_size", "3")
}

fn connector(url: &str) -> PostgresConnector {
    let connector = PostgresConnector::new(url).expect("the URL is valid");
    connector.behind_transaction_pooler()
}

fn pool_of(connector: PostgresConnector) -> Pool<PostgresConnector> {
    let pool = patient(connector).max_size(6).build();
    pool.expect("settings are valid")
}

/// What a call came to: `right`, `wrong`, or the error's text.
fn outcome<E: std::error::Error>(result: Result<(i32, i32), E>, expected: (i32, i32)) -> String {
    match result {
        Ok(numbers) if numbers == expected => "right".into(),
        Ok(_) => "wrong".into(),
        Err(error) => cenote::error::with_causes(&error),
    }
}

fn numbers(row: &tokio_postgres::Row) -> (i32, i32) {
    (row.get(0), row.get(1))
}

const KINDS: [&str; 5] = ["cached", "text", "typed", "transaction", "shared"];

/// The statements of one program: each answers who asked, and for what.
async fn ask(
    kind: &str,
    program: i32,
    user: i32,
    pool: &Pool<PostgresConnector>,
    shared: &SharedPool<PipelinedConnector>,
) -> String {
    // Each program counts its statements from zero, and has other texts behind its numbers.
    let sql = format!("SELECT $1::int4, {program} + {}", user % 3 * 1_000);
    let expected = (user, program + user % 3 * 1_000);
    if kind == "shared" {
        let conn = shared.get().await.expect("a place");
        let row = conn.query_one(&sql, &[&user]).await;
        return outcome(row.as_ref().map(numbers), expected);
    }
    let mut conn = pool.get().await.expect("a lease");
    let result = match kind {
        "cached" => conn.query_one_cached(&sql, &[&user]).await,
        "text" => conn.query_one(&sql, &[&user]).await,
        "typed" => {
            let params: &[(&(dyn tokio_postgres::types::ToSql + Sync), _)] =
                &[(&user, tokio_postgres::types::Type::INT4)];
            conn.query_typed(&sql, params)
                .await
                .map(|mut rows| rows.remove(0))
        }
        _ => {
            async {
                let transaction = conn.transaction().await?;
                let statement = transaction.prepare_cached(&sql).await?;
                let row = transaction.query_one(&statement, &[&user]).await?;
                transaction.commit().await?;
                Ok(row)
            }
            .await
        }
    };
    outcome(result.as_ref().map(numbers), expected)
}

const PROGRAM: &str = "CENOTE_POOLER_PROGRAM";

/// Not a test of its own: one of the programs that the tests below run beside each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_behind_the_pooler() {
    let Ok(told) = std::env::var(PROGRAM) else {
        return;
    };
    let (program, url) = told.split_once(' ').expect("a number and a URL");
    let program: i32 = program.parse().expect("a number");
    let connector = connector(url);
    let pool = pool_of(connector.clone());
    let shared = SharedPool::builder(PipelinedConnector::from(connector))
        .max_size(2)
        .acquire_timeout(fixture::DEADLINE)
        .connect_timeout(fixture::DEADLINE)
        .build()
        .expect("settings are valid");
    let mut outcomes = BTreeMap::<String, u32>::new();
    for kind in KINDS {
        let mut users = JoinSet::new();
        for user in 0..20 {
            let (pool, shared) = (pool.clone(), shared.clone());
            users.spawn(async move {
                let mut seen = Vec::new();
                for _ in 0..20 {
                    seen.push(ask(kind, program, user, &pool, &shared).await);
                }
                seen
            });
        }
        for seen in users.join_all().await.concat() {
            *outcomes.entry(format!("{kind}: {seen}")).or_default() += 1;
        }
    }
    println!("outcomes {outcomes:?}");
    pool.close().await;
    shared.close().await;
}

async fn three_programs_are_answered(pooler: &PgBouncerServer) {
    let run = |program: i32| {
        let this = std::env::current_exe().expect("the test's own program");
        Command::new(this)
            .args(["--exact", "the_program_behind_the_pooler", "--nocapture"])
            .env(PROGRAM, format!("{program} {}", pooler.url()))
            .stdin(Stdio::null())
            .output()
    };
    let (one, two, three) = tokio::join!(run(1), run(2), run(3));
    let all_right: BTreeMap<_, _> = KINDS.map(|kind| (format!("{kind}: right"), 400_u32)).into();
    for output in [one, two, three] {
        let output = output.expect("the program ran");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let expected = format!("outcomes {all_right:?}");
        assert!(
            said.contains(&expected),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Named statements repeat in every process: PgBouncer 1.18 passes names on as they are, and the sessions behind it
/// then hold another program's statement by that name.
#[tokio::test]
async fn three_programs_behind_one_pooler_get_their_own_rows_and_no_error() {
    let pooler = pooler().start(server().addr()).expect("PgBouncer starts");
    three_programs_are_answered(&pooler).await;
}

/// The same where PgBouncer is told to keep prepared statements itself, which it can from version 1.21 on; an older
/// one refuses the setting, and there is nothing to test.
#[tokio::test]
async fn three_programs_are_answered_where_the_pooler_keeps_prepared_statements() {
    let pooler = pooler().setting("max_prepared_statements", "100");
    match pooler.start(server().addr()) {
        Err(ServerError::Exited { log, .. }) if log.contains("unknown parameter") => {}
        pooler => three_programs_are_answered(&pooler.expect("PgBouncer starts")).await,
    }
}

/// One session for two clients, so that each runs in what the other left.
fn single_session() -> PgBouncerServer {
    let pooler = PgBouncerServer::builder().setting("default_pool_size", "1");
    pooler.start(server().addr()).expect("PgBouncer starts")
}

/// Without the mode: an error at worst, never the rows of another's statement.
#[tokio::test]
async fn names_of_two_connections_never_meet_in_a_session_they_share() {
    let pooler = single_session();
    let connect = async || {
        let connector = PostgresConnector::new(&pooler.url()).expect("the URL is valid");
        connector.connect(&Dial::new()).await.expect("it connects")
    };
    let (one, other) = (connect().await, connect().await);
    let first = one.prepare("SELECT 1").await.expect("it is prepared");
    let second = other.prepare("SELECT 2").await.expect("it is prepared");
    let number = async |conn: &PgConnection, statement| -> i32 {
        conn.query_one(statement, &[])
            .await
            .expect("it runs")
            .get(0)
    };
    assert_eq!(
        (number(&one, &first).await, number(&other, &second).await),
        (1, 2)
    );
    let names = "SELECT count(DISTINCT name)::text FROM pg_prepared_statements";
    assert_eq!(text(&one, names).await, "2");
}

/// A name on the wire would stay in the pooler's session.
#[tokio::test]
async fn behind_a_pooler_no_statement_has_a_name() {
    let pooler = single_session();
    let pool = single_of(connector(&pooler.url()));
    let mut conn = pool.get().await.expect("a lease");
    let named = "SELECT count(*)::text FROM pg_prepared_statements";
    let kept = conn
        .prepare("SELECT $1::int4")
        .await
        .expect("it is prepared");
    conn.query(&kept, &[&1]).await.expect("it runs");
    conn.query_cached("SELECT $1::text", &[&"a"])
        .await
        .expect("it runs");
    let transaction = conn.transaction().await.expect("it begins");
    assert_eq!(
        transaction
            .query_one(named, &[])
            .await
            .expect("it runs")
            .get::<_, String>(0),
        "0"
    );
    transaction.commit().await.expect("it commits");
    assert_eq!(text(&conn, named).await, "0");
}

/// The driver asks for the types that it does not know by statements of its own.
#[tokio::test]
async fn types_of_the_databases_own_are_looked_up_behind_a_pooler() {
    let pooler = pooler().start(server().addr()).expect("PgBouncer starts");
    let pool = pool_of(connector(&pooler.url()));
    let conn = pool.get().await.expect("a lease");
    conn.batch_execute(
        "CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE TYPE pair AS (a int, c colour)",
    )
    .await
    .expect("it runs");
    let mut users = JoinSet::new();
    for _ in 0..12 {
        let pool = pool.clone();
        users.spawn(async move {
            let conn = pool.get().await.expect("a lease");
            let row =
                conn.query_one_cached("SELECT (1, 'red')::pair, $1::colour::text", &[&"blue"]);
            // The parameter is of the enum's type, which text does not fit.
            row.await.expect_err("not a text");
            let row = conn
                .query_one("SELECT ROW(1, 'red')::pair, 'blue'::colour", &[])
                .await;
            row.expect("it runs").columns()[0].type_().name().to_owned()
        });
    }
    assert!(users.join_all().await.iter().all(|name| name == "pair"));
}

/// The driver's own client works as well: its statements are parsed where they are run.
#[tokio::test]
async fn the_drivers_own_client_and_a_copy_work_behind_a_pooler() {
    use futures_util::SinkExt;
    let pooler = pooler().start(server().addr()).expect("PgBouncer starts");
    let pool = pool_of(connector(&pooler.url()));
    let mut conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE copied (a int)", &[])
        .await
        .expect("it runs");
    let client = conn.client_mut();
    let statement = client
        .prepare("INSERT INTO copied VALUES ($1)")
        .await
        .expect("it is prepared");
    for number in 0..10 {
        client
            .execute(&statement, &[&number])
            .await
            .expect("it runs");
    }
    // The pooler takes a copy's end for the end of what was asked, and gives the session away too soon: not within a
    // transaction.
    let transaction = client.transaction().await.expect("it begins");
    let sink = transaction
        .copy_in("COPY copied FROM STDIN")
        .await
        .expect("it begins");
    let mut sink = std::pin::pin!(sink);
    sink.send(bytes::Bytes::from_static(b"10\n11\n"))
        .await
        .expect("it is taken");
    assert_eq!(sink.finish().await.expect("it ends"), 2);
    transaction.commit().await.expect("it is committed");
    let row = client
        .query_one("SELECT count(*) FROM copied WHERE a < $1", &[&100])
        .await;
    assert_eq!(row.expect("it runs").get::<_, i64>(0), 12);
}

/// A cached statement keeps the types of its parameters only: its columns are told at each run.
#[tokio::test]
async fn a_cached_statement_whose_table_changed_answers_with_the_new_columns() {
    let pooler = pooler().start(server().addr()).expect("PgBouncer starts");
    let pool = single_of(connector(&pooler.url()));
    let conn = pool.get().await.expect("a lease");
    conn.execute("CREATE TABLE widened AS SELECT 1 AS a", &[])
        .await
        .expect("it runs");
    let sql = "SELECT * FROM widened WHERE a < $1";
    assert_eq!(
        conn.query_one_cached(sql, &[&2])
            .await
            .expect("it runs")
            .get::<_, i32>(0),
        1
    );
    conn.execute("ALTER TABLE widened ALTER a TYPE int8", &[])
        .await
        .expect("it runs");
    assert_eq!(
        conn.query_one_cached(sql, &[&2])
            .await
            .expect("it runs")
            .get::<_, i64>(0),
        1
    );
}

/// `DISCARD` or `RESET` would hit the others who share the pooler.
#[tokio::test]
async fn a_return_behind_a_pooler_ends_a_transaction_and_leaves_the_session_alone() {
    let pooler = single_session();
    let pool = single_of(connector(&pooler.url()));
    let conn = pool.get().await.expect("a lease");
    let session = backend(&conn).await;
    let observer = fixture::single();
    let observer = observer.get().await.expect("a lease");
    conn.execute("SET work_mem = '123MB'", &[])
        .await
        .expect("it runs");
    conn.execute("BEGIN", &[]).await.expect("it runs");
    drop(conn);
    let conn = pool.get().await.expect("the next lease");
    assert_eq!(backend(&conn).await, session);
    assert_eq!(text(&conn, "SHOW work_mem").await, "123MB");
    assert_eq!(pool.counters().resets, 1);
    drop(conn);
    // Whatever was done unseen, and nothing.
    let mut conn = pool.get().await.expect("the next lease");
    let _ = conn.client_mut();
    drop(conn);
    drop(pool.get().await.expect("the next lease"));
    assert_eq!((pool.counters().resets, pool.counters().opened), (2, 1));
    let idle = "SELECT state FROM pg_stat_activity WHERE pid = $1";
    fixture::eventually("the transaction ended", async || {
        let row = observer.query_one(idle, &[&session]).await;
        row.expect("it runs").get::<_, String>(0) == "idle"
    })
    .await;
}

#[tokio::test]
async fn settings_for_each_session_are_refused_behind_a_pooler() {
    let connector = connector(&server().url()).setup("SET work_mem = '1MB'");
    let error = connector
        .connect(&Dial::new())
        .await
        .map(drop)
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("`setup` cannot be used with `behind_transaction_pooler`"),
        "{error}"
    );
}

/// PgBouncer is often reached by a socket of the file system.
#[tokio::test]
async fn statements_have_no_names_by_a_local_socket_either() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let folder = server.folder().display();
    let url = format!("host={folder} port={} user=postgres", server.port());
    let conn = connector(&url)
        .connect(&Dial::new())
        .await
        .expect("it connects");
    conn.query_cached("SELECT $1::int4", &[&1])
        .await
        .expect("it runs");
    assert_eq!(
        text(&conn, "SELECT count(*)::text FROM pg_prepared_statements").await,
        "0"
    );
    let token = conn.cancel_token();
    let (slept, ()) = tokio::join!(conn.query("SELECT pg_sleep(600)", &[]), async {
        let watching = PostgresConnector::new(&server.url()).expect("valid");
        let watching = watching.connect(&Dial::new()).await.expect("it connects");
        let asleep = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        fixture::eventually("it sleeps", async || text(&watching, asleep).await == "1").await;
        token.cancel_query().await.expect("it is sent");
    });
    assert_eq!(
        slept.expect_err("cancelled").code().map(|code| code.code()),
        Some("57014")
    );
}
