//! Incidents that fall between the concerns of the other files: set-up that never holds, the price of fairness,
//! sockets that outlive their use. Where descriptors matter the server is on a real socket, and counts.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::settings::Backoff;
use cenote::{Connect, Dial, Pool, Verdict};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::server::{Server, assert_quiet, ms, pass, secs};

/// r2d2 #142: building froze when connections dropped during set-up.
#[tokio::test(start_paused = true)]
async fn connections_that_drop_during_set_up_freeze_neither_the_build_nor_what_follows() {
    let server = Server::default();
    let holds = Arc::new(AtomicBool::new(false));
    let set_up = holds.clone();
    let began = Instant::now();
    let pool = server
        .builder()
        .max_size(4)
        .min_idle(4)
        .after_connect(move |conn, _| {
            let holds = set_up.load(SeqCst);
            conn.alive.fetch_and(holds, SeqCst);
            Box::pin(async move {
                match holds {
                    true => Ok(()),
                    false => Err("dropped during set-up".into()),
                }
            })
        })
        .build()
        .unwrap();
    assert_eq!(began.elapsed(), ms(0));
    let error = pool.get().await.unwrap_err();
    assert!(
        error.to_string().contains("dropped during set-up"),
        "{error}"
    );
    pass(secs(30)).await;
    assert_eq!((pool.status().size, server.open()), (0, 0));
    holds.store(true, SeqCst);
    // One step of the back-off, and a turn of upkeep's for good measure.
    pass(secs(7)).await;
    assert_eq!(pool.status().idle, 4);
    assert_quiet(&pool);
}

/// puddle #46: handed over in order, the connection waits for the next user to run, while the last one runs on
/// without it. That is the price of fairness (`contend_64x8` in `bench/` measures it), and it is paid.
#[tokio::test(start_paused = true)]
async fn whoever_gives_back_and_asks_again_comes_after_those_who_wait() {
    let server = Server::default();
    let pool = server.pool(1);
    let turns = Arc::new(Mutex::new(Vec::new()));
    let users = (0..3).map(|user| {
        let (pool, turns) = (pool.clone(), turns.clone());
        tokio::spawn(async move {
            for _ in 0..50 {
                let conn = pool.get().await.unwrap();
                turns.lock().unwrap().push(user);
                // Held across a yield, so that the others are in line when it is given back.
                tokio::task::yield_now().await;
                drop(conn);
            }
        })
    });
    for user in join_all(users.collect::<Vec<_>>()).await {
        user.unwrap();
    }
    let turns = turns.lock().unwrap();
    let in_turn: Vec<_> = (0..150).map(|turn| turn % 3).collect();
    assert_eq!(*turns, in_turn);
    assert_eq!(server.connected(), 1);
}

/// How a server on a real socket receives those who connect.
#[derive(Clone, Copy)]
enum Welcome {
    Warm,
    Refusal,
    Silence,
}

/// A server on a real socket: it greets with one byte or none, then reads to the end of each session.
#[derive(Clone)]
struct Listening {
    at: SocketAddr,
    welcome: Arc<Mutex<Welcome>>,
    /// Sessions now, and all there ever were.
    sessions: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Listening {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            at: listener.local_addr().unwrap(),
            welcome: Arc::new(Mutex::new(Welcome::Warm)),
            sessions: Arc::default(),
            accepted: Arc::default(),
        };
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                accepting.accepted.fetch_add(1, SeqCst);
                accepting.sessions.fetch_add(1, SeqCst);
                tokio::spawn(accepting.clone().serve(socket));
            }
        });
        server
    }

    async fn serve(self, mut socket: TcpStream) {
        let greeting: &[u8] = match *self.welcome.lock().unwrap() {
            Welcome::Warm => b"+",
            Welcome::Refusal => b"-",
            Welcome::Silence => b"",
        };
        let _ = socket.write_all(greeting).await;
        // Ends when every descriptor of the other side is closed, wherever it went.
        let _ = socket.read_to_end(&mut Vec::new()).await;
        self.sessions.fetch_sub(1, SeqCst);
    }

    /// Waits until so many sessions or more have come, and all have gone.
    async fn has_seen_the_end_of(&self, sessions: usize) {
        let gone = async {
            while self.accepted.load(SeqCst) < sessions || self.sessions.load(SeqCst) > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(secs(60), gone)
            .await
            .unwrap_or_else(|_| panic!("{} sessions stay open", self.sessions.load(SeqCst)));
    }
}

impl Connect for Listening {
    type Connection = TcpStream;
    type Error = io::Error;

    async fn connect(&self, _: &Dial) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect(self.at).await?;
        match socket.read_u8().await? {
            b'+' => Ok(socket),
            _ => Err(io::Error::other("refused after the connect")),
        }
    }

    fn verdict(&self, _: &mut TcpStream) -> Verdict {
        Verdict::Reuse
    }
}

/// r2d2 #100: each failed connect left a descriptor open.
#[tokio::test]
async fn connects_that_fail_after_the_socket_is_open_leave_no_socket_open() {
    let server = Listening::start().await;
    let pool = Pool::builder(server.clone())
        .max_size(4)
        .connect_timeout(ms(10))
        .backoff(Backoff::new(ms(1), ms(2)))
        .build()
        .unwrap();
    for welcome in [Welcome::Refusal, Welcome::Silence] {
        *server.welcome.lock().unwrap() = welcome;
        for _ in 0..10 {
            pool.get().await.map(drop).unwrap_err();
        }
    }
    server.has_seen_the_end_of(20).await;
    assert_eq!(pool.status().size, 0);
}

/// celery #1564: a child inherited its parent's session. What a Rust program starts is executed, not only forked,
/// and sockets are closed at that moment: a child keeps no session of the pool's alive.
#[cfg(unix)]
#[tokio::test]
async fn a_child_process_inherits_no_connection() {
    use std::process::{Command, Stdio};

    let server = Listening::start().await;
    let pool = Pool::builder(server.clone()).max_size(3).build().unwrap();
    let leases = join_all((0..3).map(|_| pool.get())).await;
    assert!(leases.iter().all(Result::is_ok));
    // Lives until its standard input ends.
    let mut child = Command::new("cat")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(leases);
    pool.close().await;
    server.has_seen_the_end_of(3).await;
    assert_eq!(child.try_wait().unwrap(), None, "the child lives on");
    drop(child.stdin.take());
    child.wait().unwrap();
}
