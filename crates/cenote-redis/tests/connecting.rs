//! Connections that cannot come about say why, early, and without secrets.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use cenote::error::with_causes;
use cenote::{Connect, ConnectionInfo, Dial, GetError, Pool};
use cenote_redis::{Cmd, RedisConnector, RedisError};
use cenote_testkit::RedisServer;
use fake::ends;

/// A server with a password for the default user and a user of its own.
async fn guarded() -> RedisServer {
    let server = RedisServer::builder().password("sesame").start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    let user = ["SETUSER", "ann", "on", ">swordfish", "+@all", "~*"];
    conn.command(&Cmd::new("ACL").args(user)).await.unwrap();
    server
}

/// The URL of `server` with a login and a path.
fn url(server: &RedisServer, login: &str, rest: &str) -> String {
    format!("redis://{login}127.0.0.1:{}{rest}", server.port())
}

/// bb8 #102: the getter's error carries the cause and does not wait for its time-out.
async fn get_error(url: &str) -> String {
    let pool = Pool::builder(RedisConnector::new(url).unwrap())
        .acquire_timeout(None)
        .build()
        .unwrap();
    let error = ends("the error", pool.get())
        .await
        .expect_err("the URL is wrong");
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    let connect = error.connect_error().expect("connecting failed");
    assert!(connect.downcast_ref::<RedisError>().is_some());
    with_causes(&error)
}

#[tokio::test]
async fn a_wrong_password_is_named_in_both_versions() {
    let server = guarded().await;
    for (options, step) in [("", "HELLO"), ("/?protocol=2", "AUTH")] {
        let error = get_error(&url(&server, ":open@", options)).await;
        assert!(
            error.contains(&format!("refused {step}: WRONGPASS")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_missing_password_is_named_in_both_versions() {
    let server = guarded().await;
    for (options, step) in [("", "HELLO"), ("/?protocol=2", "PING")] {
        let error = get_error(&url(&server, "", options)).await;
        assert!(
            error.contains(&format!("refused {step}: NOAUTH")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_right_password_and_user_log_in_in_both_versions() {
    let server = guarded().await;
    for login in [":sesame@", "ann:swordfish@"] {
        for options in ["", "/3?protocol=2"] {
            let connector = RedisConnector::new(&url(&server, login, options)).unwrap();
            let mut conn = connector.connect(&Dial::new()).await.unwrap();
            conn.command(&Cmd::new("PING")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_named() {
    let error = get_error("redis://127.0.0.1:1").await;
    assert!(
        error.contains("cannot connect to redis://127.0.0.1:1: Connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_named() {
    let error = get_error("redis://no-such-host.invalid").await;
    assert!(
        error.contains("redis://no-such-host.invalid:6379"),
        "{error}"
    );
}

#[tokio::test]
async fn a_database_out_of_range_is_named() {
    let server = RedisServer::start().unwrap();
    for options in ["/9999", "/9999?protocol=2"] {
        let error = get_error(&url(&server, "", options)).await;
        assert!(
            error.contains("refused SELECT: ERR DB index is out of range"),
            "{error}"
        );
    }
}

/// r2d2 #100: connects that fail close what they opened.
#[tokio::test]
async fn a_refused_login_leaves_no_connection_behind() {
    let server = guarded().await;
    let wrong = RedisConnector::new(&url(&server, ":open@", "")).unwrap();
    for _ in 0..20 {
        wrong.connect(&Dial::new()).await.unwrap_err();
    }
    let right = RedisConnector::new(&url(&server, ":sesame@", "")).unwrap();
    let mut conn = right.connect(&Dial::new()).await.unwrap();
    ends("only one client is left", async {
        loop {
            let info: String = conn.query(&Cmd::new("INFO").arg("clients")).await.unwrap();
            if info.contains("connected_clients:1\r\n") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_close_is_seen_by_the_server() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    let other = connector.connect(&Dial::new()).await.unwrap();
    connector.close(other, &ConnectionInfo::default()).await;
    ends("only one client is left", async {
        loop {
            let info: String = conn.query(&Cmd::new("INFO").arg("clients")).await.unwrap();
            if info.contains("connected_clients:1\r\n") {
                break;
            }
        }
    })
    .await;
}
