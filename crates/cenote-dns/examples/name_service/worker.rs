//! A worker: it answers lines that ask, and hears the others.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Dropped, it ends at once, in the middle of whatever it does.
pub struct Worker {
    at: SocketAddr,
    tally: Arc<Tally>,
    _running: JoinSet<()>,
}

/// What it has done so far.
#[derive(Default)]
pub struct Tally {
    pub answered: AtomicU64,
    pub heard: AtomicU64,
    /// Connections that are open.
    pub open: AtomicUsize,
}

impl Worker {
    /// Starts one on this loopback address, at any port or that of another.
    pub async fn start(ip: [u8; 4], port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((ip, port))).await?;
        let at = listener.local_addr()?;
        let tally = Arc::new(Tally::default());
        let mut running = JoinSet::new();
        running.spawn(accept(listener, Arc::clone(&tally)));
        Ok(Self {
            at,
            tally,
            _running: running,
        })
    }

    pub fn at(&self) -> SocketAddr {
        self.at
    }

    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

async fn accept(listener: TcpListener, tally: Arc<Tally>) {
    // Dropped with this task, and with it all connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let open = Open::new(&tally);
        connections.spawn(async move {
            // A client that goes is no matter of the others.
            let _ = serve(stream, &open.0).await;
        });
    }
}

/// A connection that is open.
struct Open(Arc<Tally>);

impl Open {
    fn new(tally: &Arc<Tally>) -> Self {
        tally.open.fetch_add(1, SeqCst);
        Self(Arc::clone(tally))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

async fn serve(stream: TcpStream, tally: &Tally) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    while let Some(line) = lines.next_line().await? {
        match line.strip_prefix('?') {
            Some(asked) => {
                tally.answered.fetch_add(1, SeqCst);
                write.write_all(format!("{asked}\n").as_bytes()).await?;
            }
            None => {
                tally.heard.fetch_add(1, SeqCst);
            }
        }
    }
    Ok(())
}
