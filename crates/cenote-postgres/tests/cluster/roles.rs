use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Endpoint, EndpointSet, channel};
use cenote::{GetError, Lease};
use cenote_postgres::{Error, PostgresCluster, PostgresConnector};
use cenote_testkit::{PostgresServer, SilentAddress};
use tokio::runtime::Builder;
use tokio::sync::OnceCell;

use crate::fixture::{DEADLINE, eventually, text};
use crate::servers::{Servers, cluster_of, is_unsuitable, patient, port, url_of};

/// A primary and two standbys, which nothing here changes.
async fn servers() -> &'static Servers {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    SERVERS.get_or_init(|| Servers::replicating(2)).await
}

fn ports(servers: &[PostgresServer]) -> BTreeSet<u16> {
    servers.iter().map(PostgresServer::port).collect()
}

#[tokio::test]
async fn the_primary_and_the_replicas_are_found_out() {
    let servers = servers().await;
    let cluster = servers.cluster();
    let (primary, replicas) = (patient(cluster.primary()), patient(cluster.replica()));
    let conn = primary.get().await.expect("a lease");
    assert_eq!(port(&conn).await, servers.0[0].port());
    assert_eq!(text(&conn, "SHOW transaction_read_only").await, "off");
    let mut seen = BTreeSet::new();
    while seen != ports(&servers.0[1..]) {
        let conn = replicas.get().await.expect("a lease");
        assert_eq!(text(&conn, "SHOW transaction_read_only").await, "on");
        seen.insert(port(&conn).await);
    }
}

/// As where each of several tests has a runtime of its own.
#[test]
fn pools_of_a_cluster_serve_on_their_runtimes_whatever_became_of_that_of_the_first() {
    let runtime = || Builder::new_current_thread().enable_all().build();
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let cluster = cluster_of([&server].into_iter());
    for _ in 0..2 {
        let runtime = runtime().expect("a runtime");
        let served_by = runtime.block_on(async {
            let pool = patient(cluster.primary());
            port(&pool.get().await.expect("a lease")).await
        });
        assert_eq!(served_by, server.port());
    }
}

/// One that ends at once, as that of a program's first steps, has told nobody which hosts there are.
#[test]
fn the_hosts_of_a_cluster_are_known_though_the_first_runtime_ended_before_it_told_them() {
    let runtime = || Builder::new_current_thread().enable_all().build();
    let cluster = PostgresCluster::new("postgres://postgres@db1,db2/postgres");
    let cluster = cluster.expect("the URL is valid");
    let first = runtime().expect("a runtime");
    first.block_on(async { drop(cluster.primary()) });
    drop(first);
    runtime().expect("a runtime").block_on(async {
        let pool = cluster.primary().build().expect("settings are valid");
        eventually("both are known", async || {
            let status = pool.endpoints().expect("a pool over a set");
            status.endpoints.len() == 2
        })
        .await;
    });
}

/// And change while callers wait.
#[tokio::test]
async fn servers_come_from_any_source_of_endpoints() {
    let servers = servers().await;
    let [primary, standby] = [0, 1].map(|number| servers.0[number].addr());
    let (sender, source) = channel();
    sender.send(EndpointSet::of([standby]));
    let cluster = PostgresCluster::over(source, |at: &Endpoint<SocketAddr>| {
        let url = format!("postgres://postgres@{}/postgres", at.key);
        PostgresConnector::new(&url).expect("the URL is valid")
    });
    let pool = patient(cluster.primary());
    let writer = {
        let pool = pool.clone();
        tokio::spawn(async move { port(&pool.get().await.expect("it is served")).await })
    };
    eventually("the standby is found to be none", async || {
        is_unsuitable(&pool, &servers.0[1])
    })
    .await;
    sender.send(EndpointSet::of([standby, primary]));
    assert_eq!(writer.await.expect("it ends"), primary.port());
}

/// What a pooler or an old server does not report is asked.
#[tokio::test]
async fn roles_are_found_out_where_the_server_does_not_report_them() {
    let servers = servers().await;
    let connector = PostgresConnector::new(&url_of(servers.0.iter())).expect("the URL is valid");
    // Of which reports are not believed, for they may be of another session.
    let cluster = PostgresCluster::from_connector(connector.behind_transaction_pooler());
    let cluster = cluster.expect("settings are valid");
    let primary = patient(cluster.primary().check_after_idle(Duration::ZERO));
    let replicas = patient(cluster.replica().check_after_idle(Duration::ZERO));
    for _ in 0..5 {
        let conn = primary.get().await.expect("a lease");
        assert_eq!(port(&conn).await, servers.0[0].port());
        let conn = replicas.get().await.expect("a lease");
        assert!(ports(&servers.0[1..]).contains(&port(&conn).await));
    }
}

/// gpustack #6105: three days of errors from a server that was none of what was wanted, and no word of why.
#[tokio::test]
async fn where_no_server_is_what_is_wanted_the_error_names_each_and_what_it_is() {
    let servers = servers().await;
    let standbys = &servers.0[1..];
    let cluster = crate::servers::cluster_of(standbys.iter());
    let pool = patient(cluster.primary());
    let error = pool.get().timeout(Duration::from_secs(1)).await;
    let error = error.map(drop).expect_err("there is no primary");
    assert!(matches!(error, GetError::TimedOut(_)), "{error}");
    let text = error.to_string();
    for standby in standbys {
        let named = format!("{}: it is a replica", standby.addr());
        assert_eq!(text.matches(&named).count(), 1, "{text}");
    }
    assert!(error.downcast_ref::<Error>().is_some());
    assert!(standbys.iter().all(|standby| is_unsuitable(&pool, standby)));
}

/// asyncpg #1155: the first host swallows packets, and the whole time-out with them.
#[tokio::test]
async fn a_host_that_swallows_packets_keeps_nobody_from_the_primary() {
    let servers = servers().await;
    let silent = SilentAddress::new().expect("an address");
    let url = url_of(servers.0.iter()).replace('@', &format!("@{},", silent.addr()));
    let cluster = PostgresCluster::new(&url).expect("the URL is valid");
    // Time-outs of every day: within them it is served.
    let pool = cluster.primary().build().expect("settings are valid");
    let mut held = Vec::new();
    for _ in 0..5 {
        let conn = pool.get().await.expect("the primary answers");
        assert_eq!(port(&conn).await, servers.0[0].port());
        held.push(conn);
    }
}

/// A user's own read-only transaction, or setting, is no demotion.
#[tokio::test]
async fn a_write_in_a_read_only_transaction_of_the_user_s_costs_no_connection() {
    let servers = servers().await;
    let pool = patient(servers.cluster().primary().max_size(1));
    let conn = pool.get().await.expect("a lease");
    let first = Lease::info(&conn).id;
    drop(conn);
    for sql in [
        "BEGIN READ ONLY; DELETE FROM orders",
        "SET default_transaction_read_only = on; DELETE FROM orders",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    ] {
        let conn = pool.get().await.expect("a lease");
        let _ = conn.batch_execute(sql).await;
        drop(conn);
        let conn = pool.get().await.expect("a lease");
        assert_eq!(Lease::info(&conn).id, first, "{sql}");
        assert!(!crate::servers::is_refused(&conn).await, "{sql}");
    }
}

/// By a statement of the connector's own the sessions are read-only on purpose, whatever the server takes.
#[tokio::test]
async fn sessions_that_are_set_up_to_be_read_only_stay_in_the_primary_s_pool() {
    let servers = servers().await;
    let connector = PostgresConnector::new(&url_of(servers.0.iter())).expect("the URL is valid");
    let connector = connector.setup("SET default_transaction_read_only = on");
    let cluster = PostgresCluster::from_connector(connector).expect("settings are valid");
    let pool = patient(cluster.primary().max_size(1));
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let conn = pool.get().await.expect("a lease");
        assert!(crate::servers::is_refused(&conn).await);
        seen.insert(Lease::info(&conn).id);
    }
    assert_eq!(seen.len(), 1);
}

#[tokio::test]
async fn readers_that_may_go_to_the_primary_do_so_where_there_is_no_replica() {
    let servers = servers().await;
    let alone = crate::servers::cluster_of(servers.0[..1].iter());
    let pool = patient(alone.replica_or_primary());
    let conn = pool.get().await.expect("the primary serves");
    assert_eq!(port(&conn).await, servers.0[0].port());
    let strict = patient(alone.replica());
    let refused = strict.get().timeout(Duration::from_millis(300)).await;
    let error = refused.map(drop).expect_err("there is no replica");
    assert!(error.to_string().contains("it is a primary"), "{error}");
}

#[tokio::test]
async fn readers_that_may_go_to_the_primary_do_not_where_there_are_replicas() {
    let servers = servers().await;
    let pool = patient(servers.cluster().replica_or_primary());
    let replicas = ports(&servers.0[1..]);
    eventually("a replica serves", async || {
        let conn = pool.get().await.expect("a lease");
        replicas.contains(&port(&conn).await)
    })
    .await;
    for _ in 0..50 {
        let conn = pool.get().await.expect("a lease");
        assert!(replicas.contains(&port(&conn).await));
    }
}

#[test]
fn settings_that_a_cluster_has_its_own_way_for_are_refused_by_name() {
    for option in [
        "target_session_attrs=read-write",
        "load_balance_hosts=random",
    ] {
        let url = format!("postgres://me@a,b/db?{option}");
        let error = PostgresCluster::new(&url).expect_err("it is refused");
        let (name, _) = option.split_once('=').expect("it has a value");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// One of them would be missing.
#[test]
fn two_servers_of_the_same_name_are_refused_and_a_host_that_is_named_twice_is_one() {
    let two = "host=db,db hostaddr=10.0.0.1,10.0.0.2 user=me";
    let error = PostgresCluster::new(two).expect_err("it is refused");
    assert!(error.to_string().contains("`hostaddr` has two"), "{error}");
    for one in ["host=db,db", "host=db,db hostaddr=10.0.0.1,10.0.0.1"] {
        let cluster = PostgresCluster::new(&format!("{one} user=me"));
        let shown = format!("{:?}", cluster.expect("the settings are valid"));
        assert_eq!(shown.matches("db:5432").count(), 1, "{shown}");
    }
}

#[test]
fn a_cluster_is_made_anywhere_and_a_pool_of_it_where_there_is_a_runtime() {
    let cluster = PostgresCluster::new("postgres://me@a,b/db").expect("the URL is valid");
    let error = cluster.primary().build().map(drop);
    let error = error.expect_err("there is nothing to ask on");
    assert!(error.to_string().contains("runtime"), "{error}");
    let runtime = tokio::runtime::Runtime::new().expect("it starts");
    let _inside = runtime.enter();
    assert!(cluster.primary().acquire_timeout(DEADLINE).build().is_ok());
}
