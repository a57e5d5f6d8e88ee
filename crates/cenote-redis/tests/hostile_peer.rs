//! A peer that breaks the protocol gets its connection closed and the user a clear error.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::error::Error;

use cenote::{Connect, Dial, Verdict};
use cenote_redis::{Cmd, FrameError, RedisConnection, RedisConnector, RedisError, Refusal};
use fake::{Answer, FakeRedis, bulk, until};

/// A server that answers `ATTACK` with these bytes.
async fn attacked_by(bytes: &[u8]) -> (FakeRedis, RedisConnector, RedisConnection) {
    let bytes = bytes.to_vec();
    let server =
        FakeRedis::start(move |words| (words[0] == "ATTACK").then(|| Answer::Send(bytes.clone())))
            .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let conn = connector.connect(&Dial::new()).await.unwrap();
    (server, connector, conn)
}

/// The error of the attack, after which the connection must be finished.
async fn outcome(bytes: &[u8]) -> RedisError {
    let (_server, connector, mut conn) = attacked_by(bytes).await;
    let error = conn.command(&Cmd::new("ATTACK")).await.unwrap_err();
    assert!(!connector.is_open(&conn));
    assert_eq!(connector.verdict(&mut conn), Verdict::Close);
    let next = conn.command(&Cmd::new("PING")).await.unwrap_err();
    assert!(
        matches!(
            next,
            RedisError::Refused {
                reason: Refusal::Broken,
                ..
            }
        ),
        "{next}"
    );
    error
}

#[tokio::test]
async fn bytes_that_are_no_reply_are_named_and_end_the_connection() {
    let error = outcome(b"SSH-2.0-OpenSSH_9.2\r\n").await;
    let cause = error.source().expect("a protocol error has a cause");
    assert_eq!(
        cause.to_string(),
        "malformed reply: no reply starts with \"SSH-2.0-OpenSSH_\", as an SSH server's greeting does"
    );
    assert!(
        error.to_string().starts_with("redis://127.0.0.1:"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reply_nested_without_end_ends_the_connection() {
    let error = outcome(&b"*1\r\n".repeat(10_000)).await;
    assert!(
        matches!(
            error,
            RedisError::Protocol {
                source: FrameError::TooDeep { .. },
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reply_beyond_the_limit_names_the_setting() {
    let server = FakeRedis::start(|_| None).await;
    let connector = RedisConnector::new(&server.url())
        .unwrap()
        .max_reply_size(1000);
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    let small = Cmd::new("TAG").arg("x".repeat(900));
    conn.command(&small).await.unwrap();
    let large = Cmd::new("TAG").arg("x".repeat(1100));
    let error = conn.command(&large).await.unwrap_err();
    let cause = error.source().expect("a protocol error has a cause");
    assert!(
        cause.to_string().contains("max_reply_size (1000 bytes)"),
        "{cause}"
    );
    assert!(!connector.is_open(&conn));
}

/// Pingora CVE-2025-4366: bytes that nobody asked for would become the next user's reply.
#[tokio::test]
async fn a_second_reply_to_one_command_is_never_taken_for_the_next_ones() {
    let double = [bulk("yours"), bulk("not yours")].concat();
    let (_server, connector, mut conn) = attacked_by(&double).await;
    let reply: String = conn.query(&Cmd::new("ATTACK")).await.unwrap();
    assert_eq!(reply, "yours");
    assert_eq!(connector.verdict(&mut conn), Verdict::Close);
    let error = conn.command(&Cmd::new("PING")).await.unwrap_err();
    assert!(
        matches!(
            error,
            RedisError::Protocol {
                source: FrameError::Unsolicited,
                ..
            }
        ),
        "{error:?}"
    );
}

/// Pingora CVE-2025-4366, the bytes arriving later.
#[tokio::test]
async fn bytes_that_arrive_while_idle_are_noticed_before_the_next_lease() {
    let server = FakeRedis::start(|words| match words[0].as_str() {
        "TAG" => Some(Answer::Dribble([bulk("mine"), bulk("late")].concat())),
        _ => None,
    })
    .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    let reply: String = conn.query(&Cmd::new("TAG").arg("mine")).await.unwrap();
    assert_eq!(reply, "mine");
    until("the bytes are noticed", || {
        !connector.is_open(&conn) || connector.verdict(&mut conn) == Verdict::Close
    })
    .await;
}

/// tokio-tower: an idle close must not go unseen until the next call fails.
#[tokio::test]
async fn a_connection_closed_while_idle_is_not_open() {
    let server =
        FakeRedis::start(|words| (words[0] == "BYE").then(|| Answer::Close(b"+OK\r\n".to_vec())))
            .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    conn.command(&Cmd::new("BYE")).await.unwrap();
    until("the end is noticed", || !connector.is_open(&conn)).await;
}

#[tokio::test]
async fn a_connection_closed_before_the_reply_says_so() {
    let server = FakeRedis::start(|words| {
        (words[0] == "BYE").then(|| Answer::Close(b"$100\r\nhalf".to_vec()))
    })
    .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    let error = conn.command(&Cmd::new("BYE")).await.unwrap_err();
    assert!(matches!(error, RedisError::Closed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_error_reply_leaves_the_connection_usable() {
    let (_server, connector, mut conn) = attacked_by(b"-WRONGTYPE not a list\r\n").await;
    let error = conn.command(&Cmd::new("ATTACK")).await.unwrap_err();
    assert!(
        matches!(&error, RedisError::Server(reply) if reply.code() == "WRONGTYPE"),
        "{error:?}"
    );
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

#[tokio::test]
async fn a_reply_of_another_type_leaves_the_connection_usable() {
    let (_server, connector, mut conn) = attacked_by(b"+text\r\n").await;
    let error = conn.query::<i64>(&Cmd::new("ATTACK")).await.unwrap_err();
    assert!(matches!(error, RedisError::Conversion(_)), "{error:?}");
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

/// The server would fall silent for one command or for all, and replies could not be counted.
#[tokio::test]
async fn commands_that_silence_the_server_are_not_sent() {
    let server = FakeRedis::start(|_| None).await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut conn = connector.connect(&Dial::new()).await.unwrap();
    for mode in ["OFF", "skip"] {
        let silence = Cmd::new("client").arg("reply").arg(mode);
        let error = conn
            .pipeline(&[Cmd::new("PING"), silence])
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                RedisError::Refused {
                    reason: Refusal::Silences,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(
        server.count("PING"),
        1,
        "only the handshake's PING was sent"
    );
    assert_eq!(connector.verdict(&mut conn), Verdict::Reuse);
}

/// Servers before Redis 6 quote the arguments of a command they do not know.
#[tokio::test]
async fn a_password_quoted_by_the_server_is_not_shown() {
    let server = FakeRedis::start(|words| match words[0].as_str() {
        "HELLO" | "AUTH" => Some(Answer::Send(
            format!("-ERR what is {}?\r\n", words.join(" ")).into_bytes(),
        )),
        _ => None,
    })
    .await;
    for options in ["", "?protocol=2"] {
        let url = server.url().replace("//", "//ann:hunter2@") + options;
        let connector = RedisConnector::new(&url).unwrap();
        let error = connector.connect(&Dial::new()).await.unwrap_err();
        assert!(error.to_string().contains("***"), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_without_hello_is_spoken_to_in_resp2() {
    let server = FakeRedis::start(|_| None).await;
    let url = server.url().replace("//", "//ann:pw@") + "/4?client_name=web";
    RedisConnector::new(&url)
        .unwrap()
        .connect(&Dial::new())
        .await
        .unwrap();
    let sent: Vec<String> = server
        .log
        .lock()
        .unwrap()
        .iter()
        .map(|words| words.join(" "))
        .collect();
    assert_eq!(
        sent,
        [
            "HELLO 3 AUTH ann pw SETNAME web",
            "SELECT 4",
            "AUTH ann pw",
            "CLIENT SETNAME web",
            "SELECT 4",
        ]
    );
}
