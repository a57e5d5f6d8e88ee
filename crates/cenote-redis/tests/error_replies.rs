//! An error reply is an answer: the server that gives it is alive, and what it refuses has not happened.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Pool, SharedPool, Verdict};
use cenote_redis::{Cmd, PipelinedConnector, RedisConnection, RedisConnector};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis, ends};

const SOON: Duration = Duration::from_millis(2);

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// A server with a user `app` who may read and write and nothing else, and its administrator.
async fn guarded() -> (RedisServer, RedisConnection) {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut admin = connector.connect(&Dial::new()).await.unwrap();
    let user = command("ACL SETUSER app on >pw ~* +get +set");
    admin.command(&user).await.unwrap();
    (server, admin)
}

fn connector(server: &RedisServer, protocol: u8) -> RedisConnector {
    let port = server.port();
    RedisConnector::new(&format!(
        "redis://app:pw@127.0.0.1:{port}?protocol={protocol}"
    ))
    .unwrap()
}

/// How often the server has refused somebody a command.
async fn refusals(admin: &mut RedisConnection) -> u64 {
    let errors: String = admin.query(&command("INFO errorstats")).await.unwrap();
    let line = errors.lines().find(|line| line.contains("NOPERM"));
    line.map_or(0, |line| line.rsplit('=').next().unwrap().parse().unwrap())
}

/// dbx #9628: a user who may not PING. Each check opened a new connection.
#[tokio::test]
async fn a_user_without_the_right_to_ping_keeps_an_exclusive_connection() {
    let (server, mut admin) = guarded().await;
    for protocol in [3, 2] {
        let pool = Pool::builder(connector(&server, protocol))
            .max_size(1)
            .check_after_idle(SOON)
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        let before = refusals(&mut admin).await;
        while refusals(&mut admin).await < before + 3 {
            tokio::time::sleep(2 * SOON).await;
            pool.get().await.unwrap().set("a", 1).await.unwrap();
        }
        assert_eq!(pool.counters().opened, 1, "protocol {protocol}");
    }
}

#[tokio::test]
async fn a_user_without_the_right_to_ping_keeps_a_shared_connection() {
    let (server, mut admin) = guarded().await;
    for protocol in [3, 2] {
        // Pinged while in service, checked after it was at rest.
        let connector = PipelinedConnector::from(connector(&server, protocol))
            .ping_after(Duration::from_millis(10))
            .ping_timeout(Duration::from_secs(30));
        let pool = SharedPool::builder(connector)
            .max_size(1)
            .check_after_idle(Duration::from_millis(40))
            .build()
            .unwrap();
        let before = refusals(&mut admin).await;
        while refusals(&mut admin).await < before + 10 {
            pool.get().await.unwrap().set("a", 1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        assert_eq!(pool.counters().opened, 1, "protocol {protocol}");
    }
}

/// How many connections a pool of one opens to a server that answers the first three checks so.
async fn opened_by_checks_answered(reply: &'static str) -> u64 {
    let pings = Arc::new(AtomicUsize::new(0));
    let counted = pings.clone();
    let server = FakeRedis::start(move |words| {
        // The first PING is the login's.
        (words[0] == "PING" && (1..4).contains(&counted.fetch_add(1, SeqCst)))
            .then(|| Answer::Send(format!("-{reply}\r\n").into_bytes()))
    })
    .await;
    let pool = Pool::builder(RedisConnector::new(&server.url()).unwrap())
        .max_size(1)
        .check_after_idle(SOON)
        .build()
        .unwrap();
    while pings.load(SeqCst) < 5 {
        if let Ok(lease) = pool.get().await {
            drop(lease);
        }
        tokio::time::sleep(2 * SOON).await;
    }
    pool.counters().opened
}

#[tokio::test]
async fn a_server_that_answers_a_check_with_an_error_is_alive() {
    for reply in [
        "NOPERM this user has no permissions to run the 'ping' command",
        "LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script",
        "MASTERDOWN Link with MASTER is down",
        "ERR unknown command 'PING'",
    ] {
        let opened = ends(reply, opened_by_checks_answered(reply)).await;
        assert_eq!(opened, 1, "{reply}");
    }
}

/// The one error that says what a check asks: this is not the session that was opened.
#[tokio::test]
async fn a_check_that_finds_the_login_lost_closes_the_connection() {
    let reply = "NOAUTH Authentication required.";
    let opened = ends(reply, opened_by_checks_answered(reply)).await;
    assert!(opened > 1, "{opened}");
}

/// Assumed when it is sent, the state of a refused command had to be reset, which was refused as well.
#[tokio::test]
async fn a_command_that_was_refused_has_left_nothing_to_reset() {
    let (server, _admin) = guarded().await;
    let connector = connector(&server, 3);
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    for line in [
        "SELECT 1",
        "WATCH key",
        "MULTI",
        "SUBSCRIBE news",
        "MONITOR",
        "SHUTDOWN",
        "CLIENT NO-EVICT ON",
    ] {
        let refused = conn.command(&command(line)).await.unwrap_err();
        assert!(refused.to_string().contains("NOPERM"), "{line}: {refused}");
        assert_eq!(connector.verdict(&mut conn), Verdict::Reuse, "{line}");
        conn.set("a", 1).await.unwrap();
    }
}

/// What was there before the refusal is still there.
#[tokio::test]
async fn a_refusal_undoes_nothing_that_was_done_before_it() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    conn.command(&command("SELECT 1")).await.unwrap();
    conn.command(&command("SELECT 9999")).await.unwrap_err();
    assert_eq!(connector.verdict(&mut conn), Verdict::Reset);
    connector
        .reset(&mut conn, &ConnectionInfo::default())
        .await
        .unwrap();
    conn.command(&command("MULTI")).await.unwrap();
    conn.command(&command("MULTI")).await.unwrap_err();
    assert_eq!(connector.verdict(&mut conn), Verdict::Reset);
    connector
        .reset(&mut conn, &ConnectionInfo::default())
        .await
        .unwrap();
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

/// What the pool makes of a failed connect depends on it.
#[tokio::test]
async fn a_failed_connect_is_classified_by_what_would_help() {
    async fn kind(url: &str) -> FailureKind {
        let exclusive = RedisConnector::new(url).unwrap();
        let error = ends("the error", exclusive.connect(&Dial::new())).await;
        let kind = exclusive.classify(&error.unwrap_err());
        let shared = PipelinedConnector::from(exclusive);
        let error = ends("the error", shared.connect(&Dial::new())).await;
        assert_eq!(shared.classify(&error.unwrap_err()), kind, "{url}");
        kind
    }
    let server = RedisServer::builder().password("sesame").start().unwrap();
    let at = format!("127.0.0.1:{}", server.port());
    let wrong = format!("redis://:open@{at}");
    assert_eq!(kind(&wrong).await, FailureKind::Credentials);
    assert_eq!(
        kind(&format!("redis://{at}")).await,
        FailureKind::Credentials
    );
    let no_database = format!("redis://:sesame@{at}/9999");
    assert_eq!(kind(&no_database).await, FailureKind::Final);
    assert_eq!(kind("redis://127.0.0.1:1").await, FailureKind::Transient);

    let full = RedisServer::builder().max_clients(1).start().unwrap();
    let only = RedisConnector::new(&full.url()).unwrap();
    let _only = ends("the first", async {
        loop {
            // The testkit's own client may not be gone yet.
            if let Ok(conn) = only.connect(&Dial::new()).await {
                return conn;
            }
        }
    })
    .await;
    assert_eq!(kind(&full.url()).await, FailureKind::Full);

    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", web.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut client, _)) = web.accept().await {
            let _ = client.read(&mut [0; 64]).await;
            let _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    assert_eq!(kind(&url).await, FailureKind::Final);
}
