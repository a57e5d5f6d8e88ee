//! A server that reports parameters without an end: the connection ends, and says why.

mod fixture;

use std::net::SocketAddr;

use cenote::{Connect, Dial};
use cenote_postgres::PostgresConnector;
use fixture::{DEADLINE, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// When the server begins to report.
#[derive(Clone, Copy)]
enum From {
    /// Before the login is over.
    Login,
    /// Afterwards, while nobody asks for anything.
    Idle,
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short");
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

/// A server that lets everybody in and reports one new parameter after the other, until its client has gone.
async fn endless_server(from: From) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(report(socket, from));
        }
    });
    address
}

async fn report(mut socket: TcpStream, from: From) -> std::io::Result<()> {
    let length = socket.read_u32().await?;
    let mut rest = vec![0; length as usize - 4];
    socket.read_exact(&mut rest).await?;
    let mut welcome = message(b'R', &0_u32.to_be_bytes());
    if matches!(from, From::Idle) {
        welcome.extend(message(b'Z', b"I"));
    }
    socket.write_all(&welcome).await?;
    for i in 0_u64.. {
        let report = message(b'S', format!("name_{i}\0{}\0", "x".repeat(100)).as_bytes());
        socket.write_all(&report).await?;
    }
    Ok(())
}

fn connector(server: SocketAddr) -> PostgresConnector {
    let url = format!("postgres://me@{server}/orders?sslmode=disable");
    PostgresConnector::new(&url).expect("the URL is valid")
}

#[tokio::test]
async fn a_login_in_which_parameters_are_reported_without_end_fails() {
    let connector = connector(endless_server(From::Login).await);
    let login = timeout(DEADLINE, connector.connect(&Dial::new())).await;
    let error = login.expect("it ends").map(drop).expect_err("it fails");
    let said = error.to_string();
    assert!(said.contains("1000 different parameters"), "{said}");
}

#[tokio::test]
async fn a_session_in_which_parameters_are_reported_without_end_ends() {
    let connector = connector(endless_server(From::Idle).await);
    let conn = connector.connect(&Dial::new()).await;
    let conn = conn.expect("the server lets everybody in");
    eventually("the connection ends", async || conn.is_closed()).await;
    let reason = conn.end_reason().expect("it is known why");
    assert!(reason.contains("1000 different parameters"), "{reason}");
}
