//! Servers that are reached or logged in to otherwise: over a Unix socket, under Valkey's schemes, and without
//! `HELLO`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use cenote::{Connect, Dial, Pool, SharedPool};
use cenote_redis::{Cmd, PipelinedConnector, RedisClient, RedisConnector, RedisError};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis, ends};

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// What the server knows of a connection opened by `url`.
async fn client_info(url: &str) -> String {
    let connector = RedisConnector::new(url).unwrap();
    let mut redis = connector.connect(&Dial::new()).await.unwrap();
    redis.query(&cmd("CLIENT INFO")).await.unwrap()
}

#[cfg(unix)]
mod unix {
    use super::*;

    /// A server that listens on a Unix socket as well, and the beginning of its URL.
    fn on_a_socket() -> (RedisServer, String) {
        let server = RedisServer::builder()
            .setting("unixsocket", "redis.sock")
            .password("sesame")
            .start()
            .unwrap();
        let path = server.folder().join("redis.sock");
        let place = path.to_str().unwrap().to_owned();
        (server, place)
    }

    /// redis-rs, redis-py and ioredis reach a server beside them by its socket.
    #[tokio::test]
    async fn a_server_is_reached_over_its_unix_socket_and_replaced_after_a_restart() {
        let (server, path) = on_a_socket();
        for url in [
            format!("unix://:sesame@{path}?db=3"),
            format!("redis+unix://{path}?db=3&pass=sesame"),
        ] {
            let info = client_info(&url).await;
            assert!(info.contains(" db=3 "), "{info}");
            assert!(info.contains("redis.sock"), "{info}");
        }
        let connector = RedisConnector::new(&format!("unix://:sesame@{path}")).unwrap();
        let pool = Pool::new(connector);
        pool.get().await.unwrap().set("key", 1).await.unwrap();
        server.restart().unwrap();
        ends("the value again", async {
            loop {
                let mut lease = pool.get().await.unwrap();
                // The end of the old connection may not have been seen yet.
                match lease.get::<i64>("key").await {
                    Ok(value) => break assert_eq!(value, 1),
                    Err(error) => assert!(!matches!(error, RedisError::Server(_)), "{error}"),
                }
            }
        })
        .await;
    }

    #[tokio::test]
    async fn many_share_a_unix_socket() {
        let (_server, path) = on_a_socket();
        let redis = RedisClient::new(&format!("unix://:sesame@{path}")).unwrap();
        let users = (0..100_u64).map(|user| {
            let redis = redis.clone();
            tokio::spawn(async move {
                redis.set(user, user).await.unwrap();
                assert_eq!(redis.get::<u64>(user).await.unwrap(), user);
            })
        });
        for user in users.collect::<Vec<_>>() {
            ends("a user", user).await.unwrap();
        }
        assert_eq!(redis.status().shared.size, 1);
    }

    #[tokio::test]
    async fn a_socket_that_does_not_exist_is_named() {
        let connector = RedisConnector::new("unix://:sesame@/no/such.sock").unwrap();
        let error = connector.connect(&Dial::new()).await.unwrap_err();
        let error = error.to_string();
        assert!(error.contains("unix:///no/such.sock"), "{error}");
        assert!(!error.contains("sesame"), "{error}");
    }
}

#[tokio::test]
async fn a_server_is_reached_by_the_scheme_of_valkey() {
    let server = RedisServer::start().unwrap();
    let info = client_info(&server.url().replace("redis://", "valkey://")).await;
    assert!(info.contains("cmd=client|info"), "{info}");
}

/// Logs in to a server that answers `HELLO` so, and returns the commands that it got.
async fn logged_in_past(hello: &'static str) -> Result<Vec<String>, RedisError> {
    let server = FakeRedis::start(move |words| {
        (words[0] == "HELLO").then(|| Answer::Send(format!("-{hello}\r\n").into_bytes()))
    })
    .await;
    let url = server.url().replace("://", "://ann:sesame@");
    let connector = RedisConnector::new(&format!("{url}/2?client_name=shop")).unwrap();
    let mut redis = connector.connect(&Dial::new()).await?;
    assert_eq!(redis.query::<String>(&cmd("TAG x")).await?, "x");
    let log = server.log.lock().unwrap();
    Ok(log.iter().map(|words| words.join(" ")).collect())
}

/// Servers before Redis 6, servers without RESP3, access lists, and the words of several proxies.
#[tokio::test]
async fn where_hello_is_refused_the_login_goes_on_in_resp2() {
    for hello in [
        "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' ",
        "ERR unknown command `HELLO`",
        "NOPROTO unsupported protocol version",
        "NOPROTO sorry this protocol version is not supported",
        "NOPERM User ann has no permissions to run the 'hello' command",
        "NOPERM this user has no permissions to run the 'hello' command",
        "ERR unsupported command 'HELLO'",
        "ERR handle request, command 'HELLO' is not allowed",
        "Unknown command HELLO",
    ] {
        let log = logged_in_past(hello).await.unwrap();
        assert_eq!(
            log,
            [
                "HELLO 3 AUTH ann sesame SETNAME shop",
                "SELECT 2",
                "AUTH ann sesame",
                "CLIENT SETNAME shop",
                "SELECT 2",
                "TAG x"
            ],
            "{hello}"
        );
    }
}

/// A password that is wrong once is wrong twice, and counts twice where logins are limited.
#[tokio::test]
async fn what_resp2_would_run_into_as_well_is_not_tried_again() {
    for hello in [
        "WRONGPASS invalid username-password pair or user is disabled.",
        "LOADING Redis is loading the dataset in memory",
        "ERR max number of clients reached",
    ] {
        let error = logged_in_past(hello).await.unwrap_err();
        assert!(error.to_string().contains(hello), "{error}");
    }
}

/// `rename-command HELLO ""`, as hardening guides advise for commands that are not needed: opened, put back after a
/// change of its session, and shared. (An access list of Redis itself cannot forbid `HELLO`.)
#[tokio::test]
async fn a_server_whose_hello_is_renamed_is_logged_in_to() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("renamed.conf");
    std::fs::write(&settings, "rename-command HELLO \"\"\n").unwrap();
    let server = RedisServer::builder()
        .setting("include", settings.to_str().unwrap())
        .password("sesame")
        .start()
        .unwrap();
    let connector = RedisConnector::new(&format!("{}/4?client_name=shop", server.url())).unwrap();
    let pool = Pool::builder(connector.clone()).max_size(1).build();
    let pool = pool.unwrap();
    for resets in 0..2 {
        let mut lease = ends("a connection", pool.get()).await.unwrap();
        assert_eq!(pool.counters().resets, resets);
        let info: String = lease.query(&cmd("CLIENT INFO")).await.unwrap();
        for part in [" db=4 ", " name=shop ", " user=default ", " resp=2\n"] {
            assert!(info.contains(part), "no{part}in {info}");
        }
        lease.command(&cmd("CLIENT SETNAME other")).await.unwrap();
    }

    let shared = SharedPool::new(PipelinedConnector::from(connector));
    let redis = shared.get().await.unwrap();
    redis.set("key", "value").await.unwrap();
    assert_eq!(redis.get::<String>("key").await.unwrap(), "value");
}
