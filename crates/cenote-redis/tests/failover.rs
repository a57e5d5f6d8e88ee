//! The master becomes a replica while connections to it are open: they are replaced where its address leads now.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::time::Duration;

use cenote::{Connect, Dial, Pool, SharedPool, Verdict};
use cenote_redis::{Cmd, PipelinedConnector, RedisConnector, RedisError};
use cenote_testkit::RedisServer;
use fake::ends;
use tokio::net::{TcpListener, TcpStream};

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// An address that leads to one server after the other, as a DNS name or a virtual address does: connections stay with
/// the server that they were opened to.
struct Address {
    port: u16,
    target: Arc<AtomicU16>,
}

impl Address {
    async fn of(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Arc::new(AtomicU16::new(server.port()));
        let present = target.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = present.load(SeqCst);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { port, target }
    }

    fn move_to(&self, server: &RedisServer) {
        self.target.store(server.port(), SeqCst);
    }

    fn connector(&self) -> RedisConnector {
        RedisConnector::new(&format!("redis://127.0.0.1:{}", self.port)).unwrap()
    }
}

/// A master and its replica, which is up to date.
async fn pair() -> (RedisServer, RedisServer) {
    let master = RedisServer::builder()
        .setting("repl-diskless-sync-delay", "0")
        .start()
        .unwrap();
    let replica = RedisServer::builder()
        .setting("replicaof", format!("127.0.0.1 {}", master.port()))
        .start()
        .unwrap();
    until_info(&master, "replication", "state=online").await;
    (master, replica)
}

async fn until_info(server: &RedisServer, section: &str, text: &str) {
    let connector = RedisConnector::new(&server.url()).unwrap();
    let info = Cmd::new("INFO").arg(section);
    ends(text, async {
        let mut conn = connector.connect(&Dial::new()).await.unwrap();
        while !conn.query::<String>(&info).await.unwrap().contains(text) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The replica becomes the master, and the master its replica.
async fn fail_over(master: &RedisServer, replica: &RedisServer) {
    let connector = RedisConnector::new(&master.url()).unwrap();
    let mut admin = connector.connect(&Dial::new()).await.unwrap();
    admin.command(&Cmd::new("FAILOVER")).await.unwrap();
    until_info(master, "replication", "role:slave").await;
    until_info(replica, "replication", "role:master").await;
}

fn is_read_only(error: &RedisError) -> bool {
    matches!(error, RedisError::Server(reply) if reply.code() == "READONLY")
}

/// go-redis #790, redis-py #460: connections to a master that became a replica answered READONLY until the process was
/// started again.
#[tokio::test]
async fn an_exclusive_connection_to_a_demoted_master_costs_one_error() {
    let (master, replica) = pair().await;
    let address = Address::of(&master).await;
    let pool = Pool::builder(address.connector())
        .max_size(1)
        .build()
        .unwrap();
    pool.get().await.unwrap().set("a", 1).await.unwrap();
    fail_over(&master, &replica).await;
    address.move_to(&replica);
    // Reading goes on where it was.
    let read: i64 = pool.get().await.unwrap().get("a").await.unwrap();
    assert_eq!((read, pool.counters().opened), (1, 1));
    let error = pool.get().await.unwrap().set("a", 2).await.unwrap_err();
    assert!(is_read_only(&error), "{error}");
    pool.get().await.unwrap().set("a", 3).await.unwrap();
    assert_eq!(pool.counters().opened, 2);
}

#[tokio::test]
async fn a_shared_connection_to_a_demoted_master_takes_no_new_callers() {
    let (master, replica) = pair().await;
    let address = Address::of(&master).await;
    let pool = SharedPool::builder(PipelinedConnector::from(address.connector()))
        .max_size(1)
        .build()
        .unwrap();
    let kept = pool.get().await.unwrap();
    kept.set("a", 1).await.unwrap();
    fail_over(&master, &replica).await;
    address.move_to(&replica);
    let error = pool.get().await.unwrap().set("a", 2).await.unwrap_err();
    assert!(is_read_only(&error), "{error}");
    assert!(!kept.is_open());
    // Who has it may finish.
    assert_eq!(kept.get::<i64>("a").await.unwrap(), 1);
    drop(kept);
    let next = ends("a connection to the new master", pool.get()).await;
    next.unwrap().set("a", 3).await.unwrap();
    assert_eq!(pool.counters().opened, 2);
}

/// Transactions and scripts wrap the error in others.
#[tokio::test]
async fn every_form_of_the_refusal_retires_the_connection() {
    let (_master, replica) = pair().await;
    let connector = RedisConnector::new(&replica.url()).unwrap();
    let shared = PipelinedConnector::from(connector.clone());
    for lines in [
        &["SET a 1"][..],
        &["EVAL return(redis.call('set','a',1)) 0"],
        &["EVAL return(redis.pcall('set','a',1)) 0"],
        &["MULTI", "SET a 1", "EXEC"],
    ] {
        let cmds: Vec<Cmd> = lines.iter().copied().map(command).collect();
        let mut conn = connector.connect(&Dial::new()).await.unwrap();
        conn.pipeline(&cmds).await.unwrap();
        assert_eq!(connector.verdict(&mut conn), Verdict::Close, "{lines:?}");
        let conn = shared.connect(&Dial::new()).await.unwrap();
        conn.pipeline(&cmds).await.unwrap();
        assert!(!shared.is_open(&conn), "{lines:?}");
    }
}

/// A caller that leaves before the answer has asked all the same.
#[tokio::test]
async fn a_refusal_that_reaches_nobody_retires_the_connection_too() {
    let (_master, replica) = pair().await;
    let connector = RedisConnector::new(&replica.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    assert!(fake::poll_at_most(1, conn.set("a", 1)).await.is_none());
    conn.drain().await.unwrap();
    assert_eq!(connector.verdict(&mut conn), Verdict::Close);
    let shared = PipelinedConnector::from(connector);
    let conn = shared.connect(&Dial::new()).await.unwrap();
    assert!(fake::poll_at_most(1, conn.set("a", 1)).await.is_none());
    fake::until("the answer came", || !shared.is_open(&conn)).await;
}

fn master_at(url: &str) -> RedisConnector {
    RedisConnector::new(url).unwrap().require_master()
}

/// The guideline for clients of sentinels: who names a master may be late. RESP2 servers say their role by ROLE.
#[tokio::test]
async fn a_replica_is_not_let_in_where_a_master_is_required() {
    let (master, replica) = pair().await;
    for options in ["", "?protocol=2"] {
        let error = master_at(&format!("{}{options}", replica.url()))
            .connect(&Dial::new())
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "redis://{} is a replica, not the master that is required",
                replica.addr()
            )
        );
        let connector = master_at(&format!("{}{options}", master.url()));
        connector.connect(&Dial::new()).await.unwrap();
    }
}

#[tokio::test]
async fn of_several_hosts_the_first_that_is_a_master_is_connected_to() {
    let (master, replica) = pair().await;
    let url = format!("redis://{},{}", replica.addr(), master.addr());
    let mut conn = master_at(&url).connect(&Dial::new()).await.unwrap();
    conn.set("a", 1).await.unwrap();
}

/// With many connections to a demoted master, each cost an error.
#[tokio::test]
async fn where_a_master_is_required_one_refusal_retires_every_connection() {
    let (master, replica) = pair().await;
    let connector = master_at(&format!("redis://{},{}", master.addr(), replica.addr()));
    let pool = Pool::new(connector.clone());
    let shared = SharedPool::new(PipelinedConnector::from(connector));
    let of_the_shared = shared.get().await.unwrap();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.get().await.unwrap());
    }
    fail_over(&master, &replica).await;
    let error = leases[0].set("a", 1).await.unwrap_err();
    assert!(is_read_only(&error), "{error}");
    drop(leases);
    assert!(!of_the_shared.is_open());
    drop(of_the_shared);
    for _ in 0..3 {
        pool.get().await.unwrap().set("a", 2).await.unwrap();
        shared.get().await.unwrap().set("a", 2).await.unwrap();
    }
}

/// A replica without its master answers, and will serve again: a new connection would meet the same.
#[tokio::test]
async fn a_replica_that_waits_for_its_master_keeps_its_connections() {
    let (master, replica) = pair().await;
    let connector = RedisConnector::new(&replica.url()).unwrap();
    let mut admin = connector.connect(&Dial::new()).await.unwrap();
    let stale = command("CONFIG SET replica-serve-stale-data no");
    admin.command(&stale).await.unwrap();
    let pool = Pool::builder(connector)
        .max_size(1)
        .check_after_idle(Duration::from_millis(1))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    master.kill().unwrap();
    let error = ends("the refusal", async {
        loop {
            let mut lease = pool.get().await.unwrap();
            if let Err(error) = lease.get::<Option<i64>>("a").await {
                return error.to_string();
            }
        }
    })
    .await;
    assert!(error.starts_with("MASTERDOWN"), "{error}");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let mut lease = pool.get().await.unwrap();
        lease.get::<Option<i64>>("a").await.unwrap_err();
    }
    assert_eq!(pool.counters().opened, 1);
}
