//! Several hosts, several addresses of one, and servers that are none: what hangs is passed, and each is named.

mod fixture;

use std::net::{SocketAddr, TcpListener};

use cenote::{Connect, Dial, FailureKind};
#[cfg(feature = "rustls")]
use cenote_postgres::ConnectCause;
use cenote_postgres::{Error, PostgresConnector};
use cenote_testkit::{PostgresServer, SilentAddress};
use fixture::{DEADLINE, patient, server, text};

/// A port that takes connections and never says a word.
fn frozen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has one");
    (listener, address)
}

fn to(hosts: &[SocketAddr]) -> PostgresConnector {
    let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
    let url = format!("postgres://postgres@{}/postgres", hosts.join(","));
    PostgresConnector::new(&url).expect("the URL is valid")
}

async fn refusal(connector: &PostgresConnector, dial: &Dial) -> Error {
    connector
        .connect(dial)
        .await
        .map(drop)
        .expect_err("there is no connection")
}

/// `host=frozen,good`: the first takes the connection, and all the time that there is.
#[tokio::test]
async fn a_host_that_never_answers_is_passed() {
    let (_listener, frozen) = frozen();
    let connector = to(&[frozen, server().addr()]);
    let conn = connector
        .connect(&Dial::within(DEADLINE / 20))
        .await
        .expect("the second answers");
    assert_eq!(text(&conn, "SELECT 'here'").await, "here");
}

#[tokio::test]
async fn a_host_whose_packets_vanish_is_passed() {
    let silent = SilentAddress::new().expect("an address");
    let pool = patient(to(&[silent.addr(), server().addr()]))
        .build()
        .expect("settings are valid");
    let conn = pool.get().await.expect("the second answers");
    assert_eq!(text(&conn, "SELECT 'here'").await, "here");
}

/// Each of the hosts stands in the error, with its own cause, once.
#[tokio::test]
async fn every_host_is_named_with_its_cause() {
    let (_listener, frozen) = frozen();
    let refused = SocketAddr::from(([127, 0, 0, 1], 1));
    let error = refusal(&to(&[frozen, refused]), &Dial::within(DEADLINE / 20)).await;
    let said = error.to_string();
    for part in [
        frozen.to_string().as_str(),
        "not ready within",
        "127.0.0.1:1",
        "refused",
    ] {
        assert_eq!(said.matches(part).count(), 1, "{part}: {said}");
    }
    assert!(std::error::Error::source(&error).is_none());
}

/// The password is wrong everywhere, and asking everywhere may lock the account.
#[tokio::test]
async fn a_host_that_refuses_the_password_ends_the_walk() {
    let guarded = PostgresServer::builder()
        .password("right")
        .start()
        .expect("PostgreSQL starts");
    let url = format!(
        "postgres://postgres:wrong@{},{}/postgres",
        guarded.addr(),
        server().addr()
    );
    let connector = PostgresConnector::new(&url).expect("the URL is valid");
    let error = refusal(&connector, &Dial::within(DEADLINE)).await;
    assert_eq!(connector.classify(&error), FailureKind::Credentials);
    assert_eq!(error.code().map(|code| code.code()), Some("28P01"));
}

#[tokio::test]
async fn a_server_of_another_role_is_passed() {
    let standby = PostgresServer::builder()
        .setting("default_transaction_read_only", "on")
        .start()
        .expect("PostgreSQL starts");
    let url = |attributes: &str| {
        let url = format!(
            "postgres://postgres@{},{}/postgres?target_session_attrs={attributes}",
            standby.addr(),
            server().addr()
        );
        PostgresConnector::new(&url).expect("the URL is valid")
    };
    for (attributes, read_only) in [("read-write", "off"), ("read-only", "on")] {
        let conn = url(attributes).connect(&Dial::new()).await;
        let conn = conn.expect("one of them is such a server");
        assert_eq!(text(&conn, "SHOW transaction_read_only").await, read_only);
    }
}

/// SQLSTATE 53300 says that the server is up.
#[tokio::test]
async fn a_server_without_a_free_session_is_full_and_not_down() {
    let small = PostgresServer::builder()
        .max_connections(5)
        .setting("superuser_reserved_connections", "0")
        .start()
        .expect("PostgreSQL starts");
    let connector = to(&[small.addr()]);
    let mut conns = Vec::new();
    let error = loop {
        match connector.connect(&Dial::new()).await {
            Ok(conn) => conns.push(conn),
            Err(error) => break error,
        }
        assert!(conns.len() < 50, "there is no end to them");
    };
    assert_eq!(connector.classify(&error), FailureKind::Full, "{error}");
}

#[tokio::test]
async fn what_only_somebody_can_change_is_final() {
    let address = server().addr();
    for url in [
        format!("postgres://postgres@{address}/no_such"),
        "postgres://postgres@no-such-host.invalid/postgres".to_owned(),
    ] {
        let connector = PostgresConnector::new(&url).expect("the URL is valid");
        let error = refusal(&connector, &Dial::new()).await;
        assert_eq!(connector.classify(&error), FailureKind::Final, "{error}");
    }
    let away = to(&[([127, 0, 0, 1], 1).into()]);
    let error = refusal(&away, &Dial::new()).await;
    assert_eq!(away.classify(&error), FailureKind::Transient, "{error}");
}

/// Mail, the web, a cache: each says something, which tells who is there.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_server_that_is_no_postgresql_is_doubted_with_its_own_words() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = [0; 8];
            let _ = client.read_exact(&mut asked).await;
            let _ = client
                .write_all(b"HTTP/1.1 400 Bad\x1b[31m Request\r\nConnection: close\r\n\r\n")
                .await;
        }
    });
    let connector = to(&[address]);
    let error = refusal(&connector, &Dial::within(DEADLINE)).await;
    assert!(
        matches!(&error, Error::Connect { cause: ConnectCause::NotPostgres { answer, .. }, .. } if answer.starts_with("HTTP/1.1 400")),
        "{error}"
    );
    assert!(!error.to_string().contains('\x1b'), "{error:?}");
    assert_eq!(connector.classify(&error), FailureKind::Final);
}

/// A server under load, which cannot start a process for the session, says so before there is a protocol.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn a_server_that_cannot_start_a_session_is_asked_again() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("it has one");
    let said = b"Ecould not fork new process for connection: Cannot allocate memory\n\0";
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut asked = [0; 8];
            let _ = client.read_exact(&mut asked).await;
            let _ = client.write_all(said).await;
        }
    });
    let connector = to(&[address]);
    let error = refusal(&connector, &Dial::within(DEADLINE)).await;
    assert!(error.to_string().contains("could not fork"), "{error}");
    assert_eq!(connector.classify(&error), FailureKind::Transient);
}
