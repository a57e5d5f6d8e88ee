//! A TCP server that sends back what it reads, and a client that says what it saw.

use cenote_testkit::FaultProxy;
use std::io::{ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// Far more than anything here takes; only a test that would otherwise hang reaches it.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Ends a test that hangs, with a word on where.
pub async fn ends<F: Future>(what: &str, future: F) -> F::Output {
    let ended = timeout(DEADLINE, future).await;
    ended.unwrap_or_else(|_| panic!("never ended: {what}"))
}

pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "never happened: {what}");
        sleep(Duration::from_millis(1)).await;
    }
}

pub struct EchoServer {
    pub addr: SocketAddr,
    bytes_read: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl EchoServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (bytes_read, connections) = (Arc::default(), Arc::default());
        let server = Self {
            addr,
            bytes_read,
            connections,
        };
        let (bytes_read, connections) = (server.bytes_read.clone(), server.connections.clone());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (bytes_read, connections) = (bytes_read.clone(), connections.clone());
                connections.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    let _ = echo(&mut client, &bytes_read).await;
                    connections.fetch_sub(1, SeqCst);
                });
            }
        });
        server
    }

    pub fn bytes_read(&self) -> usize {
        self.bytes_read.load(SeqCst)
    }

    /// How many are connected now.
    pub fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

async fn echo(client: &mut TcpStream, bytes_read: &AtomicUsize) -> Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            return client.shutdown().await;
        }
        bytes_read.fetch_add(count, SeqCst);
        client.write_all(&buffer[..count]).await?;
    }
}

/// What reading shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    Bytes(Vec<u8>),
    End,
    Reset,
    /// Nothing, for as long as a test waits for nothing.
    Silence,
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn connect(proxy: &FaultProxy) -> Self {
        Self::try_connect(proxy).await.unwrap()
    }

    pub async fn try_connect(proxy: &FaultProxy) -> Result<Self> {
        let connected = ends("a connect", TcpStream::connect(proxy.addr())).await?;
        connected.set_nodelay(true)?;
        Ok(Self(connected))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        ends("a write", self.0.write_all(bytes)).await.unwrap();
    }

    /// One read, which must show something.
    pub async fn read(&mut self) -> Seen {
        let mut buffer = vec![0; 64 * 1024];
        match ends("a read", self.0.read(&mut buffer)).await {
            Ok(0) => Seen::End,
            Ok(count) => Seen::Bytes(buffer[..count].to_vec()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Seen::Reset,
            Err(error) => panic!("a read failed: {error}"),
        }
    }

    /// One read, which is to show nothing: a peer that answers does so much faster than this.
    pub async fn listen(&mut self) -> Seen {
        let read = timeout(Duration::from_millis(100), self.read()).await;
        read.unwrap_or(Seen::Silence)
    }

    /// Sends these bytes and reads as many; the sizes of the reads.
    pub async fn round_trip(&mut self, bytes: &[u8]) -> Vec<usize> {
        self.send(bytes).await;
        let (mut got, mut sizes) = (Vec::new(), Vec::new());
        while got.len() < bytes.len() {
            match self.read().await {
                Seen::Bytes(more) => {
                    sizes.push(more.len());
                    got.extend(more);
                }
                other => panic!("{other:?} after {} of {} bytes", got.len(), bytes.len()),
            }
        }
        assert_eq!(got, bytes, "not what was sent");
        sizes
    }
}
