//! The server: sends every frame back as it came, on a thread of its own.
//!
//! It reads what there is, up to a large chunk, and writes the whole frames in it back at once. It allocates nothing
//! once a connection is open, so that whatever a call allocates is the client's. Ends with this value.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::{self, JoinHandle};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::frame;

const CHUNK: usize = 256 * 1024;

pub struct EchoServer {
    addr: SocketAddr,
    /// Dropped to end the thread.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    pub fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("echo".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A server that panicked has failed its clients already.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(echo(connection));
    }
}

async fn echo(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut chunk = vec![0; CHUNK];
    let mut held = 0;
    loop {
        let read = connection.read(&mut chunk[held..]).await?;
        if read == 0 {
            return Ok(());
        }
        held += read;
        let whole = frame::whole(&chunk[..held]);
        connection.write_all(&chunk[..whole]).await?;
        chunk.copy_within(whole..held, 0);
        held -= whole;
    }
}
