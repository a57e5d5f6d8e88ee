//! Errors say what failed, where and why, each once; a peer that is no Redis server is recognised; and no text shows
//! a part of a password.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::error::Error;
use std::time::Duration;

use cenote::error::with_causes;
use cenote::{Connect, Dial, Pool};
use cenote_redis::{Cmd, DialStep, PipelinedConnector, RedisClient, RedisConnector, RedisError};
use cenote_testkit::{PostgresServer, RedisServer, SilentAddress};
use fake::{Answer, FakeRedis, ends};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn connect_error(url: &str) -> RedisError {
    let connector = RedisConnector::new(url).unwrap();
    let dial = Dial::within(Duration::from_secs(30));
    ends(url, connector.connect(&dial)).await.unwrap_err()
}

/// A server that greets, and answers everything, with these bytes.
async fn server_of(greeting: &'static [u8], answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                client.write_all(greeting).await?;
                while client.read(&mut [0; 256]).await? > 0 {
                    client.write_all(answer).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    format!("redis://{address}")
}

#[tokio::test]
async fn every_error_says_each_thing_once() {
    let server = RedisServer::builder().password("sesame").start().unwrap();
    let web = server_of(b"", b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let wrong = format!("redis://:open@127.0.0.1:{}", server.port());
    let mut errors = Vec::new();
    for url in [
        "redis://127.0.0.1:1",
        "redis://no-such-host.invalid",
        &wrong,
        &web,
    ] {
        errors.push(connect_error(url).await);
    }
    let shared = PipelinedConnector::new(&server.url()).unwrap();
    let shared = shared.connect(&Dial::new()).await.unwrap();
    let mut exclusive = RedisConnector::new(&server.url()).unwrap();
    exclusive = exclusive.ping_after(None);
    let mut exclusive = exclusive.connect(&Dial::new()).await.unwrap();
    server.kill().unwrap();
    let ping = Cmd::new("PING");
    errors.push(shared.command(&ping).await.unwrap_err());
    errors.push(exclusive.command(&ping).await.unwrap_err());
    for error in &errors {
        let text = error.to_string();
        assert!(text.contains("redis://"), "no endpoint: {text}");
        let mut source = error.source();
        while let Some(cause) = source {
            assert!(!text.contains(&cause.to_string()), "{text}: {cause}");
            source = cause.source();
        }
    }
    assert!(with_causes(&errors[0]).contains("Connection refused"));
}

/// The pool's time-out alone says neither who is silent nor how far it got.
#[tokio::test]
async fn a_silent_server_is_named_with_how_far_the_dial_got() {
    let silent = server_of(b"", b"").await;
    let connector = RedisConnector::new(&silent).unwrap();
    let dial = Dial::within(Duration::from_millis(200));
    let error = ends("the dial", connector.connect(&dial))
        .await
        .unwrap_err();
    let RedisError::NoAnswer { step, waited, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(*step, DialStep::Login);
    assert!(*waited < Duration::from_millis(200), "{waited:?}");
    assert!(error.to_string().contains(&silent), "{error}");

    let pool = Pool::builder(connector)
        .connect_timeout(Duration::from_millis(200))
        .acquire_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let error = ends("the get", pool.get()).await.unwrap_err();
    let cause = error.connect_error().unwrap();
    let cause = cause.downcast_ref::<RedisError>().unwrap();
    assert!(matches!(cause, RedisError::NoAnswer { .. }), "{cause:?}");
}

/// A host that drops what comes.
#[tokio::test]
async fn a_host_that_does_not_take_the_connection_is_named_before_the_time_is_over() {
    let silent = SilentAddress::new().unwrap();
    let connector = RedisConnector::new(&format!("redis://{}", silent.addr())).unwrap();
    let dial = Dial::within(Duration::from_millis(200));
    let error = ends("the dial", connector.connect(&dial))
        .await
        .unwrap_err();
    assert!(matches!(error, RedisError::Connect { .. }), "{error:?}");
    let texts = with_causes(&error);
    assert!(texts.contains(&silent.addr().to_string()), "{texts}");
    assert!(
        texts.contains("no answer") || texts.contains("timed out"),
        "{texts}"
    );
}

#[tokio::test]
async fn a_server_of_another_protocol_is_recognised() {
    let cases: [(&[u8], &[u8], &str); 5] = [
        (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP server"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", b"", "SSH server"),
        (b"220 mail.example ESMTP\r\n", b"", "mail or FTP server"),
        (b"J\0\0\0\x0a8.0.36\0", b"", "MySQL server"),
        (b"", b"ERROR\r\n", "memcached server"),
    ];
    for (greeting, answer, name) in cases {
        let url = server_of(greeting, answer).await;
        let texts = with_causes(&connect_error(&url).await);
        assert!(texts.contains(name), "{texts}");
    }
    let postgres = PostgresServer::start().unwrap();
    let error = connect_error(&format!("redis://{}", postgres.addr())).await;
    assert!(error.to_string().contains("PostgreSQL"), "{error}");
}

#[tokio::test]
async fn no_error_and_no_text_form_shows_a_part_of_the_password() {
    let secret = "hunter2-and-a-tail";
    // As servers before Redis 7 quote what they do not know, cut off somewhere.
    let quoting = FakeRedis::start(|words| {
        let args = words[1..].join("' '");
        let args = &args[..args.len().min(20)];
        let name = &words[0];
        let reply = format!("-ERR unknown command '{name}', with args beginning with: '{args}\r\n");
        Some(Answer::Send(reply.into_bytes()))
    })
    .await;
    let real = RedisServer::builder().password("sesame").start().unwrap();
    let mut shown = String::new();
    for (address, options) in [
        (quoting.url().replace("redis://", ""), ""),
        (real.addr().to_string(), ""),
        (real.addr().to_string(), "?protocol=2"),
        ("127.0.0.1:1".to_owned(), ""),
    ] {
        let url = format!("redis://ann:{secret}@{address}/{options}");
        let connector = RedisConnector::new(&url).unwrap();
        let client = RedisClient::builder(connector.clone());
        shown += &format!("{connector} {connector:?} {client:?}\n");
        let client = client.build().unwrap();
        shown += &format!("{client:?} {}\n", client.status());
        let error = ends("the error", connector.connect(&Dial::new()))
            .await
            .unwrap_err();
        shown += &format!("{error:?} {}\n", with_causes(&error));
        let error = ends("the error", client.get::<i64>("a")).await.unwrap_err();
        shown += &format!("{error:?} {}\n", with_causes(&error));
    }
    // With characters in it that end a part of a URL.
    for url in [
        "redis://ann:hunter2/x@host/0",
        "redis://ann:hunter2?x@host",
        "redis://:hunter2#x@host",
        "redis://:x#hunter2@host",
        "redis://:x?hunter2@host",
        "redis://:x/hunter2@host",
        "redis://:x?hunter2=y@host",
        "redis://:x?protocol=hunter2@host",
        "redis://:x@hunter2@host",
        "redis://hunter2@host",
        "redis://ann:hunter2",
        "redis://:hunter2%zz@host",
        "redis:/:hunter2@host",
        "tcp://:hunter2@host",
    ] {
        let error = RedisConnector::new(url).unwrap_err();
        shown += &format!("{error} {error:?}\n");
    }
    for part in ["hunter2", "hunt"] {
        let leak = shown.lines().find(|line| line.contains(part));
        assert_eq!(leak, None);
    }
}
