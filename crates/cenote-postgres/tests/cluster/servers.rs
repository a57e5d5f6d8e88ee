//! A primary and its standbys, pools over them, and servers whose role a setting says.

use cenote::pool::PoolBuilder;
use cenote::report::{EndpointCondition, EndpointStatus, SetStatus};
use cenote::shared::SharedPoolBuilder;
use cenote::{Lease, Pool, SharedPool};
use cenote_postgres::{PgConnection, PipelinedConnector, PostgresCluster, PostgresConnector};
use cenote_testkit::PostgresServer;

use crate::fixture::{DEADLINE, connector_to, eventually, single_of, text};

/// Servers of which the first was made the primary.
pub struct Servers(pub Vec<PostgresServer>);

impl Servers {
    /// A primary with the table `orders`, and so many standbys that have it too.
    pub async fn replicating(standbys: usize) -> Self {
        let primary = PostgresServer::builder().replicating().max_connections(300);
        let primary = primary.start().expect("PostgreSQL starts");
        make_table(&primary).await;
        let copies = (0..standbys).map(|_| PostgresServer::standby_of(&primary));
        let copies: Result<Vec<_>, _> = copies.collect();
        let mut servers = vec![primary];
        servers.extend(copies.expect("standbys start"));
        Self(servers)
    }

    pub fn cluster(&self) -> PostgresCluster {
        cluster_of(self.0.iter())
    }
}

/// Two servers of which the first takes writes. Their roles change under their sessions, as those behind a service that
/// fails over without ending connections.
pub async fn two() -> [PostgresServer; 2] {
    let start = || PostgresServer::start().expect("PostgreSQL starts");
    let servers = [start(), start()];
    for server in &servers {
        make_table(server).await;
    }
    set_read_only(&servers[1], "on").await;
    servers
}

async fn make_table(server: &PostgresServer) {
    run(server, "CREATE TABLE orders (id bigint, writer int)").await;
}

/// The hosts in the reverse order, for which of them comes first is not to matter.
pub fn cluster_of<'a>(
    servers: impl DoubleEndedIterator<Item = &'a PostgresServer>,
) -> PostgresCluster {
    PostgresCluster::new(&url_of(servers)).expect("the URL is valid")
}

pub fn url_of<'a>(servers: impl DoubleEndedIterator<Item = &'a PostgresServer>) -> String {
    let hosts: Vec<_> = servers
        .rev()
        .map(|server| server.addr().to_string())
        .collect();
    format!("postgres://postgres@{}/postgres", hosts.join(","))
}

/// Time-outs that no test waits for.
pub fn patient(builder: PoolBuilder<PostgresConnector>) -> Pool<PostgresConnector> {
    builder
        .acquire_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

/// The same, of connections that are shared.
pub fn patient_shared(
    builder: SharedPoolBuilder<PipelinedConnector>,
) -> SharedPool<PipelinedConnector> {
    builder
        .acquire_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .build()
        .expect("settings are valid")
}

/// A pool over the servers of a cluster.
pub trait OverSet {
    fn set_status(&self) -> SetStatus;
}

impl OverSet for Pool<PostgresConnector> {
    fn set_status(&self) -> SetStatus {
        self.endpoints().expect("it is over a set")
    }
}

impl OverSet for SharedPool<PipelinedConnector> {
    fn set_status(&self) -> SetStatus {
        self.endpoints().expect("it is over a set")
    }
}

/// Runs a statement as an administrator does.
pub async fn run(server: &PostgresServer, sql: &str) {
    let admin = single_of(connector_to(server).setup("SET default_transaction_read_only = off"));
    let admin = admin.get().await.expect("a lease");
    admin.batch_execute(sql).await.expect("it runs");
}

/// Has the second of [`two`] take writes from now on, and the first none.
pub async fn demote_first(servers: &[PostgresServer; 2]) {
    set_read_only(&servers[0], "on").await;
    set_read_only(&servers[1], "off").await;
}

/// Has the server take writes or not, as sessions see it that last.
async fn set_read_only(server: &PostgresServer, value: &str) {
    // Each alone: neither may be in a transaction block.
    run(
        server,
        &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"),
    )
    .await;
    run(server, "SELECT pg_reload_conf()").await;
    let session = single_of(connector_to(server));
    eventually("the setting is in force", async || {
        let session = session.get().await.expect("a lease");
        let shown = text(&session, "SHOW default_transaction_read_only").await;
        Lease::discard(session);
        shown == value
    })
    .await;
}

/// The port of the server that the session is on.
pub async fn port(conn: &PgConnection) -> u16 {
    let port = text(conn, "SELECT inet_server_port()::text").await;
    port.parse().expect("a port")
}

pub async fn is_refused(conn: &PgConnection) -> bool {
    let write = conn.execute("DELETE FROM orders WHERE id < 0", &[]).await;
    write.is_err_and(|error| error.code().is_some_and(|code| code.code() == "25006"))
}

fn find(pool: &impl OverSet, server: &PostgresServer) -> Option<EndpointStatus> {
    let name = server.addr().to_string();
    let mut its = pool.set_status().endpoints.into_iter();
    its.find(|endpoint| *endpoint.name == *name)
}

pub fn status_of(pool: &impl OverSet, server: &PostgresServer) -> EndpointStatus {
    find(pool, server).expect("it is a member")
}

pub fn is_unsuitable(pool: &impl OverSet, server: &PostgresServer) -> bool {
    let is_so = |condition| matches!(condition, EndpointCondition::Unsuitable { .. });
    find(pool, server).is_some_and(|status| is_so(status.condition))
}
