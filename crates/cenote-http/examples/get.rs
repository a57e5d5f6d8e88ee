//! A thousand requests of a hundred callers to a server of this program's own, and what became of the connections.
//!
//! `cargo run -p cenote-http --example get`, or with a URL of yours behind it.

use std::error::Error;

use cenote_http::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => serve().await?,
    };
    let http = Client::builder().max_per_route(4).build()?;
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (http, url) = (http.clone(), url.clone());
        callers.spawn(async move {
            let mut bytes = 0;
            for _ in 0..10 {
                let reply = http.get(&*url).send().await?;
                bytes += reply.bytes().await?.len();
            }
            Ok::<_, cenote_http::Error>(bytes)
        });
    }
    let mut bytes = 0;
    while let Some(caller) = callers.join_next().await {
        bytes += caller??;
    }
    println!("{bytes} bytes");
    println!("{}", http.status());
    Ok(())
}

/// The least of servers.
async fn serve() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(answer(socket));
        }
    });
    Ok(url)
}

async fn answer(mut socket: TcpStream) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while socket.read_buf(&mut heard).await? > 0 {
        // A GET request ends with an empty line, and no other comes before its reply.
        if heard.ends_with(b"\r\n\r\n") {
            heard.clear();
            socket
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
                .await?;
        }
    }
    Ok(())
}
