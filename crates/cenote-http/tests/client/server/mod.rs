//! A server of a test's own: it says what the test tells it to, byte for byte, and counts its connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// Longer than anything here takes on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// It lives as long as its runtime.
pub struct Server {
    pub addr: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    ended: AtomicUsize,
}

impl Server {
    /// A server that has each connection, with its number from 1, carried by `script` until that ends.
    pub async fn scripted<F>(script: impl Fn(usize, Peer) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let counted = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let number = counted.accepted.fetch_add(1, SeqCst) + 1;
                let carried = script(number, Peer::new(socket));
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    carried.await;
                    counted.ended.fetch_add(1, SeqCst);
                });
            }
        });
        Self { addr, seen }
    }

    /// A server that answers each request with what `reply` makes of it, on connections that stay.
    pub async fn answering(
        reply: impl Fn(&Request) -> String + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::scripted(move |_, mut peer| {
            let reply = reply.clone();
            async move {
                while let Some(request) = peer.request().await {
                    let said = reply(&request);
                    peer.say(&said).await;
                }
            }
        })
        .await
    }

    /// A server that answers each request with its path.
    pub async fn echo() -> Self {
        Self::answering(|request| ok(&request.path)).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// Connections so far.
    pub fn accepted(&self) -> usize {
        self.seen.accepted.load(SeqCst)
    }

    /// Those that are over.
    pub fn ended(&self) -> usize {
        self.seen.ended.load(SeqCst)
    }
}

/// What the server has of a connection.
pub struct Peer {
    stream: Box<dyn Stream>,
    unread: Vec<u8>,
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// From the first line to the empty one.
    pub head: String,
    pub body: String,
}

impl Peer {
    pub fn new(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            unread: Vec::new(),
        }
    }

    /// The next request, `None` where the client has closed instead.
    pub async fn request(&mut self) -> Option<Request> {
        let head = self.until("\r\n\r\n").await?;
        let mut words = head.split(' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (method, path) = (next(), next());
        let lower = head.to_ascii_lowercase();
        let body = if lower.contains("transfer-encoding: chunked") {
            self.until("0\r\n\r\n").await?
        } else {
            let length = lower.split("content-length: ").nth(1);
            let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
            self.exactly(length).await?
        };
        Some(Request {
            method,
            path,
            head,
            body,
        })
    }

    /// The next line, its end included.
    pub async fn line(&mut self) -> Option<String> {
        self.until("\n").await
    }

    async fn until(&mut self, end: &str) -> Option<String> {
        loop {
            let end = end.as_bytes();
            if let Some(at) = self.unread.windows(end.len()).position(|part| part == end) {
                return self.exactly(at + end.len()).await;
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<String> {
        let bytes = self.bytes(length).await?;
        Some(String::from_utf8(bytes).unwrap())
    }

    async fn more(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.unread).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// Writes this. A client that is gone does not hear it.
    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
        let _ = self.stream.flush().await;
    }

    /// Passes everything on to `addr`, and back, until both are done.
    pub async fn lead_to(mut self, addr: SocketAddr) {
        let Ok(mut server) = TcpStream::connect(addr).await else {
            return;
        };
        // Which of the two ended it is not asked.
        let _ = server.write_all(&self.unread).await;
        let _ = copy_bidirectional(&mut self.stream, &mut server).await;
    }

    /// The next bytes, so many.
    pub async fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            self.more().await?;
        }
        let rest = self.unread.split_off(length);
        Some(std::mem::replace(&mut self.unread, rest))
    }

    /// Waits until the client closes the connection.
    pub async fn closed(&mut self) {
        while self.more().await.is_some() {}
    }
}

/// A reply with this body.
pub fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Waits until this is so, by the machine's clock.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "never: {what}");
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_micros(100));
    }
}
