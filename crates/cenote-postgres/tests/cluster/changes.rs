use std::collections::BTreeMap;
use std::time::Duration;

use cenote::report::EndpointCondition;
use cenote::{Lease, Pool};
use cenote_postgres::{PostgresCluster, PostgresConnector};
use cenote_testkit::PostgresServer;

use crate::fixture::{eventually, text};
use crate::servers::{
    Servers, cluster_of, demote_first, is_refused, is_unsuitable, patient, port, status_of, two,
    url_of,
};

/// Opens so many connections, and has them idle.
async fn open(pool: &Pool<PostgresConnector>, connections: usize) {
    let mut held = Vec::new();
    for _ in 0..connections {
        held.push(pool.get().await.expect("a lease"));
    }
}

/// A pool of the primary with so many idle connections, which are not checked.
async fn unchecked(cluster: &PostgresCluster, connections: usize) -> Pool<PostgresConnector> {
    let pool = patient(cluster.primary().keepalive(None).check_after_idle(None));
    open(&pool, connections).await;
    pool
}

/// pgdog #1494, #1416, vertx-sql-client #981, HikariCP #1971: connections to the old primary stay, and every write fails.
#[tokio::test]
async fn a_demoted_primary_is_left_at_the_first_write_that_it_refuses() {
    let servers = two().await;
    let pool = unchecked(&cluster_of(servers.iter()), 8).await;
    demote_first(&servers).await;

    let conn = pool.get().await.expect("a lease");
    assert!(is_refused(&conn).await, "nobody could know");
    // By the next answer the whole of this one is there.
    text(&conn, "SELECT 'here'").await;
    drop(conn);
    for _ in 0..20 {
        let conn = pool.get().await.expect("a lease");
        assert!(!is_refused(&conn).await, "it is known");
        assert_eq!(port(&conn).await, servers[1].port());
    }
    assert!(is_unsuitable(&pool, &servers[0]));
}

/// A pooler's reports may be of another session: the server is asked as the connection comes back.
#[tokio::test]
async fn a_demoted_primary_is_left_at_the_write_that_it_refuses_behind_a_pooler_too() {
    let servers = two().await;
    let connector = PostgresConnector::new(&url_of(servers.iter())).expect("the URL is valid");
    let cluster = PostgresCluster::from_connector(connector.behind_transaction_pooler());
    let cluster = cluster.expect("settings are valid");
    let pool = unchecked(&cluster, 1).await;
    demote_first(&servers).await;

    let conn = pool.get().await.expect("a lease");
    assert!(is_refused(&conn).await, "nobody could know");
    drop(conn);
    let conn = pool.get().await.expect("a lease");
    assert!(!is_refused(&conn).await, "it was asked");
    assert_eq!(port(&conn).await, servers[1].port());
}

/// Those in use learn it each by itself, once.
#[tokio::test]
async fn no_write_is_refused_twice_on_a_connection() {
    let servers = two().await;
    let pool = unchecked(&cluster_of(servers.iter()), 8).await;
    demote_first(&servers).await;
    let mut users = Vec::new();
    for _ in 0..40 {
        let pool = pool.clone();
        users.push(tokio::spawn(async move {
            let mut refused = Vec::new();
            for _ in 0..20 {
                let conn = pool.get().await.expect("a lease");
                if is_refused(&conn).await {
                    refused.push(Lease::info(&conn).id);
                }
            }
            refused
        }));
    }
    let mut refused = BTreeMap::<u64, usize>::new();
    for user in users {
        for id in user.await.expect("no user panics") {
            *refused.entry(id).or_default() += 1;
        }
    }
    assert!(refused.values().all(|times| *times == 1), "{refused:?}");
    let conn = pool.get().await.expect("a lease");
    assert_eq!(port(&conn).await, servers[1].port());
}

/// streamling #65: had to write the check by hand.
#[tokio::test]
async fn a_check_finds_a_demoted_primary_before_a_write_does() {
    let servers = two().await;
    let pool = patient(
        cluster_of(servers.iter())
            .primary()
            .check_after_idle(Duration::ZERO),
    );
    open(&pool, 4).await;
    demote_first(&servers).await;
    for _ in 0..10 {
        let conn = pool.get().await.expect("a lease");
        assert!(!is_refused(&conn).await);
        assert_eq!(port(&conn).await, servers[1].port());
    }
}

/// A standby that is promoted says so on the sessions that it has.
#[tokio::test]
async fn readers_leave_a_standby_that_was_promoted() {
    let servers = Servers::replicating(2).await;
    let pool = patient(servers.cluster().replica());
    let promoted = &servers.0[1];
    eventually("it serves", async || {
        port(&pool.get().await.expect("a lease")).await == promoted.port()
    })
    .await;
    promoted.promote().expect("it is a standby");
    eventually("it is known as what it is", async || {
        let conn = pool.get().await.expect("reads go on");
        text(&conn, "SELECT 1::text").await;
        is_unsuitable(&pool, promoted)
    })
    .await;
    for _ in 0..20 {
        let conn = pool.get().await.expect("reads go on");
        assert_eq!(port(&conn).await, servers.0[2].port());
    }
}

/// Else it would be looked at in half a minute, for another serves.
#[tokio::test]
async fn what_a_reader_s_connection_learns_of_a_promotion_has_the_writers_pool_look_at_once() {
    let servers = Servers::replicating(1).await;
    let standby = &servers.0[1];
    let cluster = servers.cluster();
    let (writers, readers) = (
        patient(cluster.primary().max_per_endpoint(1)),
        patient(cluster.replica()),
    );
    let _held = writers.get().await.expect("a lease");
    let in_vain = writers.get().timeout(Duration::from_millis(300)).await;
    assert!(in_vain.is_err() && is_unsuitable(&writers, standby));

    let reader = readers.get().await.expect("a lease");
    standby.promote().expect("it is a standby");
    let looks = eventually(
        "the writers' pool looks, or would if it were used",
        async || {
            text(&reader, "SELECT 'here'").await;
            match status_of(&writers, standby).condition {
                EndpointCondition::Unsuitable { retry_in, .. } => retry_in.is_zero(),
                _ => true,
            }
        },
    );
    let looked = tokio::time::timeout(Duration::from_secs(25), looks).await;
    looked.expect("before its time, which is 30 s away at least");
}

/// Once the last replica is gone, and no longer.
#[tokio::test]
async fn readers_that_may_go_to_the_primary_go_there_while_no_replica_is_left() {
    let servers = Servers::replicating(1).await;
    let pool = patient(servers.cluster().replica_or_primary());
    let [primary, standby] = &*servers.0 else {
        unreachable!("there are two")
    };
    let is_at = async |server: &PostgresServer| {
        port(&pool.get().await.expect("reads go on")).await == server.port()
    };
    eventually("the replica serves", async || is_at(standby).await).await;
    standby.shut_down().expect("it ends");
    eventually("the primary serves", async || {
        let conn = pool.get().await.expect("reads go on");
        let shown = conn.query_one("SELECT inet_server_port()", &[]).await;
        // A session may end under its user.
        shown.is_ok_and(|row| row.get::<_, i32>(0) == i32::from(primary.port()))
    })
    .await;
    standby.restart().expect("it starts");
    eventually("the replica serves again", async || is_at(standby).await).await;
    for _ in 0..20 {
        assert!(is_at(standby).await);
    }
}
