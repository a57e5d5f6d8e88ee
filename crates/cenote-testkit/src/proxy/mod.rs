//! A TCP proxy whose faults are switched while it runs. This file: the proxy's own life and what its owner
//! does with it. Beside it, from the outside in: [`fault`] says what can be wrong, `door` listens,
//! `connection` is one client's life, `pump` one direction of it, `queue` what is on its way there; `deaf` is a
//! socket that no packet reaches.

mod connection;
mod control;
mod deaf;
mod door;
mod fault;
mod pump;
mod queue;

pub use fault::Fault;

use crate::error::ServerError;
use connection::Connection;
use control::Control;
use door::{Door, Hears};
use fastrand::Rng;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

/// How long to wait when the system has no file descriptor for another client.
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(10);

/// A TCP proxy on 127.0.0.1 in front of any server, which injects [faults](Fault): they are switched at
/// any moment, and strike the connections that are open as well as new ones. When it is dropped, its port
/// and all its connections are closed.
///
/// A client of the proxy is a client of the server: each connection has one of its own to the server, made
/// when it is accepted. If the server does not accept it, the client's is reset. An end of sending and a
/// reset are passed on in both directions.
///
/// It runs in tasks of the tokio runtime it was started on. Its methods can be called from any thread.
///
/// ```
/// use cenote_testkit::{Fault, FaultProxy, RedisServer};
/// use std::time::Duration;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
/// use tokio::time::timeout;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = RedisServer::start()?;
/// let proxy = FaultProxy::start(server.addr()).await?;
/// let mut client = TcpStream::connect(proxy.addr()).await?;
/// let mut reply = [0; 7];
///
/// proxy.set(Fault::Delay { by: Duration::from_millis(20), jitter: Duration::from_millis(5) })?;
/// client.write_all(b"PING\r\n").await?;
/// client.read_exact(&mut reply).await?; // late, and whole
/// assert_eq!(&reply, b"+PONG\r\n");
///
/// proxy.set(Fault::BlackHole)?;
/// client.write_all(b"PING\r\n").await?;
/// let answer = timeout(Duration::from_millis(50), client.read(&mut reply)).await;
/// assert!(answer.is_err(), "nothing comes, not even an error");
///
/// proxy.clear()?;
/// let mut client = TcpStream::connect(proxy.addr()).await?;
/// client.write_all(b"PING\r\n").await?;
/// client.read_exact(&mut reply).await?;
/// assert_eq!(&reply, b"+PONG\r\n");
/// # Ok(())
/// # }
/// ```
pub struct FaultProxy {
    shared: Arc<Shared>,
    accepting: AbortHandle,
    seed: u64,
}

struct Shared {
    upstream: Mutex<Arc<[SocketAddr]>>,
    door: Door,
    /// Held while the fault and the door change together.
    switching: Mutex<()>,
    control: watch::Sender<Control>,
    accepted: AtomicU64,
    open: AtomicUsize,
}

impl Shared {
    fn upstream(&self) -> MutexGuard<'_, Arc<[SocketAddr]>> {
        self.upstream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and connects each client to `upstream`, without a fault. The
    /// server's address is resolved once, now; the server need not run yet. Faults that have chance in them
    /// get a random [`seed`](Self::seed).
    ///
    /// # Errors
    ///
    /// [`ServerError::System`] when `upstream` has no address or the system gives no port.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime whose I/O and time are enabled.
    pub async fn start(upstream: impl ToSocketAddrs) -> Result<Self, ServerError> {
        Self::start_seeded(upstream, Rng::new().get_seed()).await
    }

    /// As [`start`](Self::start), with the chance of another run: with the same seed, the first connection
    /// draws the same jitter and the same splits for what it carries, the second likewise, and so on.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn start_seeded(
        upstream: impl ToSocketAddrs,
        seed: u64,
    ) -> Result<Self, ServerError> {
        let resolved = lookup_host(upstream).await.map(Arc::from_iter);
        let upstream: Arc<[_]> = resolved
            .and_then(|found: Arc<[_]>| {
                let none = || io::Error::new(io::ErrorKind::NotFound, "it has no address");
                found.first().ok_or_else(none)?;
                Ok(found)
            })
            .map_err(ServerError::system("resolve the proxy's upstream"))?;
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream),
            door: Door::open_somewhere()?,
            switching: Mutex::new(()),
            control: watch::Sender::default(),
            accepted: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        });
        let accepting = tokio::spawn(accept(shared.clone(), Rng::with_seed(seed)));
        Ok(Self {
            shared,
            accepting: accepting.abort_handle(),
            seed,
        })
    }

    /// Where it listens, the same for its whole life: give this to the client.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.door.addr()
    }

    /// What [`start_seeded`](Self::start_seeded) needs to repeat this proxy's chance.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The fault that is on.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.shared.control.borrow().fault
    }

    /// Puts `fault` in the place of the one that is on. It holds for everything that is sent after this
    /// returns.
    ///
    /// # Errors
    ///
    /// [`ServerError::BadSetting`] for a bandwidth or a chunk of zero, which changes nothing.
    /// [`ServerError::System`] when [`Fault::Refuse`] ends and another process has begun to listen on the
    /// port: `fault` is on, and new connections are still not served.
    pub fn set(&self, fault: Fault) -> Result<(), ServerError> {
        fault.verify()?;
        let shared = &*self.shared;
        let _switching = shared
            .switching
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if fault == Fault::Refuse {
            shared.door.close();
        }
        if fault == Fault::Unplugged {
            shared.door.open()?;
            shared.door.hears(Hears::Nothing)?;
        }
        let before = shared.control.borrow().fault;
        shared.control.send_modify(|control| {
            control.fault = fault;
            // Counted, so that it strikes however soon it ends.
            control.strandings += u64::from(fault == Fault::Unplugged);
        });
        if fault != Fault::Refuse {
            shared.door.open()?;
        }
        if before == Fault::Unplugged && fault != Fault::Unplugged {
            shared.door.hears(Hears::Everything)?;
        }
        Ok(())
    }

    /// Ends the fault: everything passes again. The same as setting [`Fault::None`].
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set), after [`Fault::Refuse`].
    pub fn clear(&self) -> Result<(), ServerError> {
        self.set(Fault::None)
    }

    /// Resets (RST) every connection that is open now. New ones are served as the fault has it: with
    /// [`Fault::Refuse`] before it, this is a server that was killed.
    pub fn cut(&self) {
        self.shared.control.send_modify(|control| control.cuts += 1);
    }

    /// Loses every connection that is open now, without a word: as if the host at the other end had been swapped
    /// for another, which drops what belongs to them. Nothing that a client sends there is acknowledged, and
    /// nothing comes, neither an end nor a reset; a [`cut`](Self::cut) later on resets them. New connections are
    /// served as the fault has it.
    ///
    /// The server keeps its side of them open, and hears nothing either.
    pub fn strand(&self) {
        self.shared
            .control
            .send_modify(|control| control.strandings += 1);
    }

    /// Connects those who come from now on to `upstream`, as where a standby takes over the address. Open
    /// connections stay where they are.
    pub fn redirect(&self, upstream: impl Into<SocketAddr>) {
        *self.shared.upstream() = Arc::from([upstream.into()]);
    }

    /// Sets each fault for as long as it is given, one after the other, on tokio's clock, and clears the
    /// last one. Runs as long as it is awaited: beside the load, in `tokio::join!` for instance. Dropped
    /// before its end, it leaves the fault that is on.
    ///
    /// ```
    /// # use cenote_testkit::{Fault, FaultProxy};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let proxy = FaultProxy::start("127.0.0.1:6379").await?;
    /// # async fn load() {}
    /// let script = proxy.play([
    ///     (Duration::from_millis(20), Fault::AcceptThenSilence),
    ///     (Duration::from_millis(10), Fault::None),
    ///     (Duration::from_millis(20), Fault::Reset),
    /// ]);
    /// let (played, ()) = tokio::join!(script, load());
    /// played?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`set`](Self::set); a bad setting anywhere in the script before any of it is played.
    pub async fn play(
        &self,
        script: impl IntoIterator<Item = (Duration, Fault)>,
    ) -> Result<(), ServerError> {
        let script: Vec<_> = script.into_iter().collect();
        script.iter().try_for_each(|(_, fault)| fault.verify())?;
        for (lasts, fault) in script {
            self.set(fault)?;
            sleep(lasts).await;
        }
        self.clear()
    }

    /// How many connections it has accepted so far, whatever became of them. One that was
    /// [refused](Fault::Refuse) is none.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(SeqCst)
    }

    /// How many connections of clients are open now. One that has just ended may be counted for a moment.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("addr", &self.addr())
            .field("upstream", &*self.shared.upstream())
            .field("fault", &self.fault())
            .field("accepted", &self.accepted())
            .field("open", &self.open())
            .field("seed", &self.seed)
            .finish()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.door.close();
        // With it goes the set of the connections' tasks, which ends them.
        self.accepting.abort();
    }
}

/// Counts a connection for as long as it is open.
struct Counted(Arc<Shared>);

impl Counted {
    fn new(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, SeqCst);
        shared.accepted.fetch_add(1, SeqCst);
        Self(shared)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

async fn accept(shared: Arc<Shared>, mut rng: Rng) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = shared.door.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok(mut client) = accepted else {
            sleep(AFTER_FAILED_ACCEPT).await;
            continue;
        };
        let counted = Counted::new(shared.clone());
        let rng = rng.fork();
        let control = shared.control.subscribe();
        let accepted_under = *control.borrow();
        if accepted_under.fault == Fault::CloseAtAccept {
            // Before the drop, which resets the connection if the client has sent something.
            let _ = client.shutdown().await;
            continue;
        }
        let connection = Connection {
            client,
            upstream: shared.upstream().clone(),
            control,
            accepted_under,
            rng,
        };
        connections.spawn(async move {
            connection.serve().await;
            drop(counted);
        });
    }
}
