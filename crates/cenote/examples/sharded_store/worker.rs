//! A worker: all its views behind one address, each shard of a table behind an address of its own. It answers
//! in whatever order it is done. It can be killed, and started again on the same addresses, be stopped for a while, and have
//! another beside it, of the same rows.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cenote::mux::Frame;
use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::codec::Framed;

use super::protocol::{Reply, Request, WorkerCodec};

/// The rows of one shard, of every table and of the views of the same name; they outlive their worker, as a
/// disk would.
pub type Rows = Arc<Mutex<HashMap<(String, u64), Vec<String>>>>;

/// Under one key; the oldest goes.
const KEPT: usize = 16;

pub struct Worker {
    rows: Rows,
    views: SocketAddr,
    table: SocketAddr,
    running: Option<JoinSet<()>>,
    state: Arc<State>,
}

/// How it stands, for those who look.
struct State {
    answers: watch::Sender<bool>,
    open: AtomicUsize,
}

impl Worker {
    /// Starts it on free ports.
    pub async fn start() -> io::Result<Self> {
        Self::with(Rows::default()).await
    }

    /// Starts another on free ports, which has the same rows.
    pub async fn beside(&self) -> io::Result<Self> {
        Self::with(self.rows.clone()).await
    }

    async fn with(rows: Rows) -> io::Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut worker = Self {
            rows,
            views: any,
            table: any,
            running: None,
            state: Arc::new(State {
                answers: watch::Sender::new(true),
                open: AtomicUsize::new(0),
            }),
        };
        worker.restart().await?;
        Ok(worker)
    }

    /// Where its views are read.
    pub fn views(&self) -> SocketAddr {
        self.views
    }

    /// Where its shard of the table is written.
    pub fn table(&self) -> SocketAddr {
        self.table
    }

    /// How many connections to it are open.
    pub fn open(&self) -> usize {
        self.state.open.load(Relaxed)
    }

    /// Reads on and answers nothing, or answers again what it was asked meanwhile.
    pub fn set_answers(&self, answers: bool) {
        self.state.answers.send_replace(answers);
    }

    /// Ends at once, in the middle of whatever it does.
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts again where it was.
    pub async fn restart(&mut self) -> io::Result<()> {
        let (views, table) = (listen(self.views)?, listen(self.table)?);
        (self.views, self.table) = (views.local_addr()?, table.local_addr()?);
        let mut running = JoinSet::new();
        running.spawn(accept(views, self.rows.clone(), self.state.clone()));
        running.spawn(accept(table, self.rows.clone(), self.state.clone()));
        self.running = Some(running);
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // The ports of the killed are not yet free otherwise.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

/// A connection that is open.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.open.fetch_add(1, Relaxed);
        Self(state.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

async fn accept(listener: TcpListener, rows: Rows, state: Arc<State>) {
    // Dropped with this task, and with it all connections.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, rows.clone(), Open::new(&state)));
    }
}

async fn serve(stream: TcpStream, rows: Rows, open: Open) {
    let _ = stream.set_nodelay(true);
    let (mut replies, mut requests) = Framed::new(stream, WorkerCodec).split();
    let (done, mut all_done) = mpsc::channel::<Frame<Reply>>(1024);
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(Ok(Frame { tag, message })) => {
                    let (rows, done) = (rows.clone(), done.clone());
                    let mut answers = open.0.answers.subscribe();
                    tasks.spawn(async move {
                        // Some take longer than others.
                        tokio::time::sleep(Duration::from_micros(fastrand::u64(..2_000))).await;
                        // It fails once the worker has gone.
                        let _ = answers.wait_for(|answers| *answers).await;
                        let _ = done.send(Frame { tag, message: answer(&rows, message) }).await;
                    });
                }
                _ => return,
            },
            Some(reply) = all_done.recv() => {
                if replies.send(reply).await.is_err() {
                    return;
                }
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

fn answer(rows: &Rows, request: Request) -> Reply {
    let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
    match request {
        Request::Lookup { view, .. } if view != "articles" => Reply::Unknown(view),
        Request::Lookup { view, key } => {
            Reply::Rows(rows.get(&(view, key)).cloned().unwrap_or_default())
        }
        Request::Insert { table, key, value } => {
            let rows = rows.entry((table, key)).or_default();
            if rows.len() == KEPT {
                rows.remove(0);
            }
            rows.push(value);
            Reply::Written
        }
    }
}
