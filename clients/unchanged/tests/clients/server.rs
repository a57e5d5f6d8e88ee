//! An HTTP/1.1 server of a test's own, that answers as the test says and counts its connections.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// What a server says; an error ends the connection instead.
pub type Reply = io::Result<Response<UnsyncBoxBody<Bytes, io::Error>>>;

/// It lives as long as its runtime.
pub struct Server {
    pub addr: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    pub async fn answering<F>(
        answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                let served = http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service_fn(answer.clone()));
                tokio::spawn(served);
            }
        });
        Self { addr, accepted }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

/// A reply that is there as a whole.
pub fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    let body = Full::new(body.into()).map_err(|never| match never {});
    Ok(Response::builder()
        .status(status)
        .body(body.boxed_unsync())
        .unwrap())
}

/// A reply whose body is what is sent into the channel, until the sender is dropped.
pub fn stream() -> (mpsc::UnboundedSender<io::Result<Bytes>>, Reply) {
    let (sender, pieces) = mpsc::unbounded_channel();
    let pieces = UnboundedReceiverStream::new(pieces);
    let frames = pieces.map(|piece: io::Result<Bytes>| piece.map(Frame::data));
    (
        sender,
        Ok(Response::new(StreamBody::new(frames).boxed_unsync())),
    )
}

/// An address that nobody listens at.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
