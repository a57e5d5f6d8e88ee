//! Our errors as redis-rs's: the kind and the answers to its questions that code over redis-rs goes by.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::time::Duration;

use cenote::{Pool, SharedPool};
use cenote_redis::redis::{self, AsyncCommands, ErrorKind, ServerErrorKind};
use cenote_redis::{PipelinedConnector, RedisClient, RedisConnector, RedisError, RedisRs};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis};

/// What `PING` on a lease and on a client make of a server that answers it so.
async fn ping(
    answer: impl Fn() -> Option<Answer> + Send + Sync + 'static,
) -> [redis::RedisError; 2] {
    let server = FakeRedis::start(move |words| (words[0] == "ASK_ME").then(&answer)?).await;
    let exclusive = Pool::new(RedisConnector::new(&server.url()).unwrap());
    let connector = PipelinedConnector::new(&server.url()).unwrap();
    let connector = connector.call_timeout(Duration::from_millis(50));
    let shared = SharedPool::new(connector);
    let mut lease = exclusive.get().await.unwrap();
    let cmd = redis::cmd("ASK_ME");
    let limit = Duration::from_millis(50);
    let alone = tokio::time::timeout(limit, cmd.query_async::<()>(&mut *lease)).await;
    let mut shared = RedisRs(shared.get().await.unwrap());
    let together = cmd.query_async::<()>(&mut shared).await.unwrap_err();
    match alone {
        Ok(alone) => [alone.unwrap_err(), together],
        // Exclusive connections leave time-outs to their users.
        Err(_) => [together.clone(), together],
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_is_a_dropped_connection() {
    for error in ping(|| Some(Answer::Close(Vec::new()))).await {
        assert!(error.is_connection_dropped(), "{error}");
        assert!(error.is_unrecoverable_error(), "{error}");
        assert!(error.to_string().contains("redis://127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_a_timeout() {
    for error in ping(|| Some(Answer::Stall)).await {
        assert!(error.is_timeout(), "{error}");
    }
}

/// Redis Cluster is not followed; redis-rs's methods still tell where the key is.
#[tokio::test]
async fn a_redirection_of_a_cluster_says_that_it_is_not_followed() {
    for (reply, kind) in [
        ("-MOVED 3999 127.0.0.1:6381\r\n", ServerErrorKind::Moved),
        ("-ASK 3999 127.0.0.1:6381\r\n", ServerErrorKind::Ask),
    ] {
        for error in ping(|| Some(Answer::Send(reply.into()))).await {
            assert_eq!(error.kind(), ErrorKind::Server(kind));
            assert_eq!(error.redirect_node(), Some(("127.0.0.1:6381", 3999)));
            assert!(error.to_string().contains("does not follow"), "{error}");
        }
    }
}

#[tokio::test]
async fn an_error_reply_has_the_kind_of_its_code() {
    for (reply, kind, code) in [
        (
            "-ERR no\r\n",
            ErrorKind::Server(ServerErrorKind::ResponseError),
            "ERR",
        ),
        (
            "-LOADING wait\r\n",
            ErrorKind::Server(ServerErrorKind::BusyLoading),
            "LOADING",
        ),
        (
            "-READONLY no\r\n",
            ErrorKind::Server(ServerErrorKind::ReadOnly),
            "READONLY",
        ),
        (
            "-MASTERDOWN no\r\n",
            ErrorKind::Server(ServerErrorKind::MasterDown),
            "MASTERDOWN",
        ),
        (
            "-NOPERM no\r\n",
            ErrorKind::Server(ServerErrorKind::NoPerm),
            "NOPERM",
        ),
        ("-OOM no\r\n", ErrorKind::Extension, "OOM"),
        (
            "!10\r\nSYNTAX\r\n-x\r\n",
            ErrorKind::Extension,
            "SYNTAX\r\n-x",
        ),
    ] {
        for error in ping(|| Some(Answer::Send(reply.into()))).await {
            assert_eq!((error.kind(), error.code()), (kind, Some(code)), "{reply}");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_reply_are_a_parse_error() {
    let [alone, _] = ping(|| Some(Answer::Send(b"SSH-2.0\r\n".to_vec()))).await;
    assert_eq!(alone.kind(), ErrorKind::Parse, "{alone}");
    assert!(alone.to_string().contains("SSH-2.0"), "{alone}");
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_a_refused_connection() {
    let client = RedisClient::new("redis://127.0.0.1:1").unwrap();
    let error = RedisRs(client.clone()).get::<_, ()>("k").await.unwrap_err();
    assert!(error.is_connection_refusal(), "{error}");
    let error = client.exclusive().await.map(drop).unwrap_err();
    let error = redis::RedisError::from(RedisError::from(error));
    assert!(error.is_connection_refusal(), "{error}");
    assert!(error.to_string().contains("redis://127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn a_wrong_password_is_an_authentication_that_failed() {
    let server = RedisServer::builder().password("sesame").start().unwrap();
    let client = RedisClient::new(&format!("redis://:open@{}", server.addr())).unwrap();
    let error = RedisRs(client).get::<_, ()>("k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed, "{error}");
}
