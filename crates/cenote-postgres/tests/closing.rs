//! Nothing stays behind a connection: no task, no socket, no session on the server.

mod fixture;

use cenote::{Connect, ConnectionInfo, Dial, Lease};
use cenote_postgres::PgConnection;
use cenote_testkit::PostgresServer;
use fixture::{
    DEADLINE, connector, connector_to, eventually, named, patient, server, sessions, single,
};
use tokio::runtime::Handle;

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test]
async fn closing_waits_until_the_task_has_ended() {
    let before = tasks();
    let connector = connector();
    let conn = connector.connect(&Dial::new()).await.expect("it connects");
    assert_eq!(tasks(), before + 1, "one task per connection");
    connector.close(conn, &ConnectionInfo::default()).await;
    assert_eq!(tasks(), before);
}

/// Another connection may be opened at once, where the server permits no more than there are.
#[tokio::test]
async fn closing_waits_until_the_server_has_ended_the_session() {
    let (watching, application) = (single(), "closed");
    let observer = watching.get().await.expect("a lease for the observer");
    let connector = named(server(), application);
    for _ in 0..50 {
        let conn = connector.connect(&Dial::new()).await.expect("it connects");
        connector.close(conn, &ConnectionInfo::default()).await;
        assert_eq!(sessions(&observer, application).await, 0);
    }
}

/// A goodbye that is not heard holds nobody up for longer than a moment.
#[tokio::test]
async fn closing_ends_though_the_server_is_stopped() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let connector = connector_to(&server);
    let conn = connector.connect(&Dial::new()).await.expect("it connects");
    server.stop().expect("it stops");
    let info = ConnectionInfo::default();
    let close = connector.close(conn, &info);
    tokio::time::timeout(DEADLINE, close)
        .await
        .expect("it ends");
}

#[tokio::test]
async fn dropping_ends_the_task_and_the_session() {
    let (watching, application) = (single(), "dropped");
    let observer = watching.get().await.expect("a lease for the observer");
    let connector = named(server(), application);
    let before = tasks();
    let conns = [
        connector.connect(&Dial::new()).await,
        connector.connect(&Dial::new()).await,
    ];
    assert_eq!(sessions(&observer, application).await, 2);
    drop(conns);
    eventually("the tasks ended", async || tasks() == before).await;
    eventually("the sessions ended", async || {
        sessions(&observer, application).await == 0
    })
    .await;
}

#[tokio::test]
async fn dropping_with_a_call_under_way_ends_the_task_and_the_session() {
    let (watching, application) = (single(), "interrupted");
    let observer = watching.get().await.expect("a lease for the observer");
    let before = tasks();
    let conn = named(server(), application)
        .connect(&Dial::new())
        .await
        .expect("it connects");
    {
        let mut call = Box::pin(conn.query("SELECT pg_sleep(600)", &[]));
        assert!(futures_util::poll!(&mut call).is_pending());
    }
    drop(conn);
    eventually("the task ended", async || tasks() == before).await;
    eventually("the session ended", async || {
        sessions(&observer, application).await == 0
    })
    .await;
}

#[tokio::test]
async fn closing_the_pool_ends_tasks_and_sessions() {
    let (watching, application) = (single(), "pooled");
    let observer = watching.get().await.expect("a lease for the observer");
    let pool = patient(named(server(), application))
        .max_size(4)
        .min_idle(4)
        .build();
    let pool = pool.expect("settings are valid");
    eventually("the pool is full", async || pool.status().idle == 4).await;
    pool.close().await;
    eventually("the sessions ended", async || {
        sessions(&observer, application).await == 0
    })
    .await;
}

/// Prior art: sqlx #1389, tokio #3963, mysql_async #88: a `Drop` that spawns panics without a runtime.
#[test]
fn a_connection_may_be_dropped_after_its_runtime() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let conn: PgConnection = runtime
        .block_on(connector().connect(&Dial::new()))
        .expect("it connects");
    drop(runtime);
    drop(conn);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_be_dropped_outside_a_runtime() {
    let conn = connector()
        .connect(&Dial::new())
        .await
        .expect("it connects");
    let before = tasks();
    std::thread::spawn(move || drop(conn))
        .join()
        .expect("no panic");
    eventually("the task ended", async || tasks() < before).await;
}

#[tokio::test]
async fn a_detached_connection_goes_on_without_the_pool() {
    let pool = single();
    let conn = Lease::detach(pool.get().await.expect("a lease"));
    pool.close().await;
    let row = conn.query_one("SELECT 1", &[]).await.expect("it runs");
    assert_eq!(row.get::<_, i32>(0), 1);
    conn.close().await;
}
