use cenote::SharedPool;
use cenote_postgres::{
    PipelinedConnection, PipelinedConnector, PostgresCluster, PostgresConnector,
};

use crate::fixture::eventually;
use crate::servers::{
    Servers, cluster_of, demote_first, is_unsuitable, patient_shared, two, url_of,
};

async fn port(conn: &PipelinedConnection) -> u16 {
    let row = conn.query_one("SELECT inet_server_port()", &[]).await;
    let port: i32 = row.expect("it runs").get(0);
    port.try_into().expect("a port")
}

async fn is_refused(conn: &PipelinedConnection) -> bool {
    let write = conn.execute("DELETE FROM orders WHERE id < 0", &[]).await;
    write.is_err_and(|error| error.to_string().contains("25006"))
}

/// A pool of the primary with so many connections, each for one caller at a time.
async fn open(cluster: &PostgresCluster, connections: usize) -> SharedPool<PipelinedConnector> {
    let one = |at| PipelinedConnector::from(at).capacity(1);
    let builder = cluster.pipelined_primary(one);
    let builder = builder.keepalive(None).check_after_idle(None);
    let pool = patient_shared(builder.max_per_endpoint(connections));
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(pool.get().await.expect("a lease"));
    }
    drop(held);
    pool
}

/// As of exclusive connections: what one finds out goes for all.
#[tokio::test]
async fn a_demoted_primary_is_left_at_the_first_write_that_it_refuses_on_a_shared_connection() {
    let servers = two().await;
    let pool = open(&cluster_of(servers.iter()), 4).await;
    demote_first(&servers).await;

    let conn = pool.get().await.expect("a lease");
    assert!(is_refused(&conn).await, "nobody could know");
    // By the next answer the whole of this one is there.
    port(&conn).await;
    drop(conn);
    for _ in 0..20 {
        let conn = pool.get().await.expect("a lease");
        assert!(!is_refused(&conn).await, "it is known");
        assert_eq!(port(&conn).await, servers[1].port());
    }
    assert!(is_unsuitable(&pool, &servers[0]));
}

/// Where the server reports nothing, each learns it by itself, once.
#[tokio::test]
async fn no_caller_is_given_a_shared_connection_on_which_a_write_was_refused_before() {
    let servers = two().await;
    let connector = PostgresConnector::new(&url_of(servers.iter())).expect("the URL is valid");
    let cluster = PostgresCluster::from_connector(connector.behind_transaction_pooler());
    let pool = open(&cluster.expect("settings are valid"), 4).await;
    demote_first(&servers).await;
    let mut refused = 0;
    loop {
        let conn = pool.get().await.expect("a lease");
        match is_refused(&conn).await {
            true => refused += 1,
            false => break assert_eq!(port(&conn).await, servers[1].port()),
        }
    }
    assert!(refused <= 4, "{refused} times on 4 connections");
}

/// A standby that is promoted says so on the sessions that it has.
#[tokio::test]
async fn readers_on_shared_connections_leave_a_standby_that_was_promoted() {
    let servers = Servers::replicating(2).await;
    let cluster = servers.cluster();
    let pool = patient_shared(cluster.pipelined_replica(PipelinedConnector::from));
    let promoted = &servers.0[1];
    eventually("it serves", async || {
        port(&pool.get().await.expect("a lease")).await == promoted.port()
    })
    .await;
    promoted.promote().expect("it is a standby");
    eventually("it is known as what it is", async || {
        port(&pool.get().await.expect("reads go on")).await;
        is_unsuitable(&pool, promoted)
    })
    .await;
    for _ in 0..20 {
        let conn = pool.get().await.expect("reads go on");
        assert_eq!(port(&conn).await, servers.0[2].port());
    }
}

/// Once the last replica is gone, and no longer.
#[tokio::test]
async fn readers_on_shared_connections_may_go_to_the_primary_while_no_replica_is_left() {
    let servers = Servers::replicating(1).await;
    let cluster = servers.cluster();
    let pool = patient_shared(cluster.pipelined_replica_or_primary(PipelinedConnector::from));
    let [primary, standby] = &*servers.0 else {
        unreachable!("there are two")
    };
    let is_at = async |server: u16| {
        let conn = pool.get().await.expect("reads go on");
        let shown = conn.query_one("SELECT inet_server_port()", &[]).await;
        // A session may end under its user.
        shown.is_ok_and(|row| row.get::<_, i32>(0) == i32::from(server))
    };
    eventually("the replica serves", async || is_at(standby.port()).await).await;
    standby.shut_down().expect("it ends");
    eventually("the primary serves", async || is_at(primary.port()).await).await;
    standby.restart().expect("it starts");
    eventually("the replica serves again", async || {
        is_at(standby.port()).await
    })
    .await;
    for _ in 0..20 {
        assert!(is_at(standby.port()).await);
    }
}
