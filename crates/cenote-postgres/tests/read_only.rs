//! A write that is refused (SQLSTATE 25006): on a session that is read-only on purpose it is an error like any other;
//! elsewhere it may mean that the server has been demoted, and the session is replaced.

mod fixture;

use std::sync::OnceLock;

use cenote::{Pool, SharedPool};
use cenote_postgres::{PgConnection, PipelinedConnection, PipelinedConnector, PostgresConnector};
use cenote_testkit::PostgresServer;
use fixture::{DEADLINE, backend, connector_to, eventually, single_of};
use tokio::sync::OnceCell;

/// What both kinds of connection do here.
trait Session {
    async fn process(&self) -> i32;
    /// Asks for a write that the server refuses while the session is read-only, and tells whether it did.
    async fn is_refused(&self) -> bool;
}

const WRITE: &str = "DELETE FROM orders";

impl Session for PgConnection {
    async fn process(&self) -> i32 {
        backend(self).await
    }

    async fn is_refused(&self) -> bool {
        let write = self.execute(WRITE, &[]).await;
        write.is_err_and(|error| error.code().is_some_and(|code| code.code() == "25006"))
    }
}

impl Session for PipelinedConnection {
    async fn process(&self) -> i32 {
        let row = self.query_one("SELECT pg_backend_pid()", &[]).await;
        row.expect("it runs").get(0)
    }

    async fn is_refused(&self) -> bool {
        let write = self.execute(WRITE, &[]).await;
        write.is_err_and(|error| error.to_string().contains("25006"))
    }
}

fn shared(connector: PostgresConnector) -> SharedPool<PipelinedConnector> {
    let pool = SharedPool::builder(PipelinedConnector::from(connector))
        .max_size(1)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .build();
    pool.expect("settings are valid")
}

async fn make_table(server: &PostgresServer) {
    let pool = single_of(connector_to(server));
    let conn = pool.get().await.expect("a lease");
    let made = conn.execute("CREATE TABLE orders (id int)", &[]).await;
    made.expect("it runs");
}

/// A server that takes writes, and has the table.
async fn primary() -> &'static PostgresServer {
    static TABLE: OnceCell<()> = OnceCell::const_new();
    let server = fixture::server();
    TABLE.get_or_init(|| make_table(server)).await;
    server
}

/// A server with the table whose sessions are read-only.
async fn read_only_server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    static TABLE: OnceCell<()> = OnceCell::const_new();
    let server = SERVER.get_or_init(|| {
        let builder = PostgresServer::builder().setting("default_transaction_read_only", "on");
        builder.start().expect("PostgreSQL starts")
    });
    let make = async || {
        let pool = single_of(connector_to(server).setup("SET default_transaction_read_only = off"));
        let conn = pool.get().await.expect("a lease");
        let made = conn.execute("CREATE TABLE orders (id int)", &[]).await;
        made.expect("it runs");
    };
    TABLE.get_or_init(make).await;
    server
}

/// The ways to have sessions that are read-only on purpose.
async fn read_only_connectors() -> Vec<(&'static str, PostgresConnector)> {
    let primary = primary().await;
    let with = |server: &PostgresServer, option: &str| {
        let url = format!("{}?{option}", server.url());
        PostgresConnector::new(&url).expect("the URL is valid")
    };
    let server = read_only_server().await;
    vec![
        (
            "options",
            with(primary, "options=-c%20default_transaction_read_only%3Don"),
        ),
        (
            "setup",
            connector_to(primary).setup("SET default_transaction_read_only = on"),
        ),
        ("server", connector_to(server)),
        ("role", with(server, "target_session_attrs=read-only")),
    ]
}

#[tokio::test]
async fn a_write_refused_by_a_session_that_began_read_only_costs_no_shared_connection() {
    for (how, connector) in read_only_connectors().await {
        let pool = shared(connector);
        let conn = pool.get().await.expect("a place");
        let process = conn.process().await;
        assert!(conn.is_refused().await, "{how}");
        drop(conn);
        let conn = pool.get().await.expect("a place");
        assert_eq!(conn.process().await, process, "{how}");
    }
}

#[tokio::test]
async fn a_write_refused_by_a_session_that_began_read_only_means_no_reset() {
    for (how, connector) in read_only_connectors().await {
        let pool: Pool<_> = single_of(connector);
        let conn = pool.get().await.expect("a lease");
        let process = conn.process().await;
        assert!(conn.is_refused().await, "{how}");
        drop(conn);
        let conn = pool.get().await.expect("a lease");
        assert_eq!(conn.process().await, process, "{how}");
        assert_eq!(pool.counters().resets, 0, "{how}");
    }
}

async fn demote(server: &PostgresServer) {
    let admin = single_of(connector_to(server));
    let admin = admin.get().await.expect("a lease");
    let demotion = "ALTER SYSTEM SET default_transaction_read_only = on";
    for sql in [demotion, "SELECT pg_reload_conf()"] {
        admin.execute(sql, &[]).await.expect("it runs");
    }
}

/// A failover that leaves the connections open.
#[tokio::test]
async fn a_shared_connection_whose_server_became_read_only_is_replaced() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    make_table(&server).await;
    let pool = shared(connector_to(&server));
    let conn = pool.get().await.expect("a place");
    let process = conn.process().await;
    demote(&server).await;
    eventually("writes are refused", async || conn.is_refused().await).await;
    drop(conn);
    let conn = pool.get().await.expect("a place");
    assert_ne!(conn.process().await, process);
}

/// A failover in which the name still leads to the old server: what is opened there meanwhile must not stay.
#[tokio::test]
async fn a_session_opened_after_its_server_became_read_only_is_replaced() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    make_table(&server).await;
    let (pool, shared) = (
        single_of(connector_to(&server)),
        shared(connector_to(&server)),
    );
    let (before, before_shared) = (pool.get().await, shared.get().await);
    let (before, before_shared) = (before.expect("a lease"), before_shared.expect("a place"));
    demote(&server).await;
    eventually("writes are refused", async || {
        before.is_refused().await && before_shared.is_refused().await
    })
    .await;
    drop((before, before_shared));

    let conn = pool.get().await.expect("a lease");
    let process = conn.process().await;
    assert!(conn.is_refused().await);
    drop(conn);
    let conn = pool.get().await.expect("a lease");
    assert_ne!(conn.process().await, process);

    let conn = shared.get().await.expect("a place");
    let process = conn.process().await;
    assert!(conn.is_refused().await);
    drop(conn);
    let conn = shared.get().await.expect("a place");
    assert_ne!(conn.process().await, process);
}
