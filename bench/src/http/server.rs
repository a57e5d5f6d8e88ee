//! The server, which is a process of its own: this program, told to be that.
//!
//! It speaks HTTP/1.1 and HTTP/2 on two ports of loopback, one with TLS, and answers every request with [`BODY`]. On
//! standard output it says where it is, and then, for each line that it reads, how many connections it has accepted; so that
//! asking costs none. It ends with its standard input.

use std::convert::Infallible;
use std::io::{BufRead, Write, stdin, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::reply::BODY;
use super::target::HOST;
use super::{files, tls};
use crate::callers::{self, CallError};

/// The requests that a connection may have under way at once, which is what most servers allow.
const MAX_STREAMS: u32 = 100;

static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// Where a server is, as it says itself.
#[derive(Serialize, Deserialize)]
pub struct Whereabouts {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    /// What its certificate is, in DER.
    pub certificate: Vec<u8>,
}

/// Serves until standard input ends.
pub fn run() -> Result<(), CallError> {
    files::allow_many()?;
    let runtime = callers::workers().map_err(|failure| failure.to_string())?;
    let (config, certificate) = tls::server()?;
    let (plain, encrypted) = runtime.block_on(async {
        let bind = || TcpListener::bind((HOST, 0));
        std::io::Result::Ok((bind().await?, bind().await?))
    })?;
    let whereabouts = Whereabouts {
        plain: plain.local_addr()?,
        tls: encrypted.local_addr()?,
        certificate: certificate.to_vec(),
    };
    runtime.spawn(accept(plain, serve));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    runtime.spawn(accept(encrypted, move |socket| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not get through the handshake hears of it itself.
            if let Ok(stream) = acceptor.accept(socket).await {
                serve(stream).await;
            }
        }
    }));
    let mut out = stdout().lock();
    writeln!(out, "{}", serde_json::to_string(&whereabouts)?)?;
    for asked in stdin().lock().lines() {
        asked?;
        writeln!(out, "{}", ACCEPTED.load(Ordering::Relaxed))?;
    }
    runtime.shutdown_background();
    Ok(())
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // What was accepted may be gone already; the next is not.
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        ACCEPTED.fetch_add(1, Ordering::Relaxed);
        if socket.set_nodelay(true).is_ok() {
            tokio::spawn(serve(socket));
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http2().max_concurrent_streams(MAX_STREAMS);
    // How a connection ends is the client's concern.
    let _ = server
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&BODY))))
}
