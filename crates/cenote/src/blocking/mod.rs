//! The same pool for synchronous drivers: threads wait instead of tasks.
//!
//! No runtime needs to be running, and none is disturbed if one is: the pool has one thread of its own
//! for upkeep, and calls the driver on threads that come and go with the work.
//!
//! ```
//! use cenote::Verdict;
//! use cenote::blocking::{Connect, Pool};
//! use cenote::net::{Dialer, is_quiet};
//! use std::io::{self, Read, Write};
//! use std::net::{SocketAddr, TcpStream};
//! use std::time::Duration;
//!
//! struct Server(SocketAddr);
//!
//! /// A connection, and whether its server owes a reply.
//! struct Session {
//!     socket: TcpStream,
//!     reply_owed: bool,
//! }
//!
//! impl Session {
//!     /// When it fails half-way, by a time-out say, the mark stays.
//!     fn ask(&mut self, question: [u8; 4]) -> io::Result<[u8; 4]> {
//!         if std::mem::replace(&mut self.reply_owed, true) {
//!             return Err(io::Error::other("the reply to an earlier question is still to come"));
//!         }
//!         self.socket.write_all(&question)?;
//!         let mut reply = [0; 4];
//!         self.socket.read_exact(&mut reply)?;
//!         self.reply_owed = false;
//!         Ok(reply)
//!     }
//! }
//!
//! impl Connect for Server {
//!     type Connection = Session;
//!     type Error = io::Error;
//!
//!     fn connect(&self) -> io::Result<Session> {
//!         let socket = TcpStream::connect_timeout(&self.0, Duration::from_secs(5))?;
//!         // A server that vanishes is noticed.
//!         Dialer::new().configure(&socket)?;
//!         socket.set_read_timeout(Some(Duration::from_secs(5)))?;
//!         socket.set_write_timeout(Some(Duration::from_secs(5)))?;
//!         Ok(Session { socket, reply_owed: false })
//!     }
//!
//!     /// Not when the server closed the connection while it was idle, nor when it sent what nobody asked for.
//!     fn is_open(&self, session: &Session) -> bool {
//!         is_quiet(&session.socket)
//!     }
//!
//!     /// A reply that is still to come is for the user who left, and not for the next.
//!     fn verdict(&self, session: &mut Session) -> Verdict {
//!         if session.reply_owed { Verdict::Close } else { Verdict::Reuse }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let server = listener.local_addr()?;
//! # std::thread::spawn(move || -> io::Result<()> {
//! #     let (mut client, _) = listener.accept()?;
//! #     let mut question = [0; 4];
//! #     client.read_exact(&mut question)?;
//! #     client.write_all(&question)
//! # });
//! let pool = Pool::builder(Server(server)).max_size(4).build()?;
//! let reply = pool.get()?.ask(*b"ping")?;
//! # assert_eq!(&reply, b"ping");
//! # Ok(())
//! # }
//! ```

mod builder;
mod driver;
mod lease;
mod wait;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::connect::{FailureKind, Verdict};
use crate::error::{AddError, GetError, SettingsError, TryGetError};
use crate::lifecycle::close::{self, CloseReport};
use crate::pool;
use crate::report::{CloseReason, ConnectionInfo, Counters, Snapshot, Status, Timings};

pub use builder::PoolBuilder;
use driver::{Driver, Seat, Threads};
pub use lease::{Lease, OwnedLease};

/// Opens connections to one endpoint and judges their health, synchronously. The methods mean what those
/// of [`cenote::Connect`](crate::Connect) mean.
///
/// A call that blocks can't be cut short from outside: after its time-out the pool goes on without it and
/// drops its late outcome, but the thread stays in the driver until it returns. Give the driver time-outs
/// of its own.
pub trait Connect: Send + Sync + 'static {
    /// A live connection.
    type Connection: Send + 'static;
    /// Why connecting, checking or resetting failed.
    type Error: Error + Send + Sync + 'static;

    /// Opens a connection.
    ///
    /// # Errors
    /// The driver's.
    fn connect(&self) -> Result<Self::Connection, Self::Error>;

    /// Whether the connection still looks alive: cheap, without waiting. Default: `true`. For a socket,
    /// [`net::is_quiet`](crate::net::is_quiet) tells.
    fn is_open(&self, conn: &Self::Connection) -> bool {
        let _ = conn;
        true
    }

    /// What to do with a connection that comes back: cheap, without I/O. There is no default, for none is safe;
    /// see [`cenote::Connect::verdict`](crate::Connect::verdict).
    fn verdict(&self, conn: &mut Self::Connection) -> Verdict;

    /// What an error of [`connect`](Self::connect) says about the next attempt. Default:
    /// [`FailureKind::Transient`].
    fn classify(&self, error: &Self::Error) -> FailureKind {
        let _ = error;
        FailureKind::Transient
    }

    /// What [`connect`](Self::connect) dials, for errors; see
    /// [`cenote::Connect::endpoint`](crate::Connect::endpoint). Default: `None`.
    fn endpoint(&self) -> Option<String> {
        None
    }

    /// A round trip that proves the connection alive. Default: does nothing.
    ///
    /// # Errors
    /// The driver's; the connection is closed.
    fn check(&self, conn: &mut Self::Connection, info: &ConnectionInfo) -> Result<(), Self::Error> {
        let _ = (conn, info);
        Ok(())
    }

    /// Brings a connection back to the state it was opened in. Default: does nothing.
    ///
    /// # Errors
    /// The driver's; the connection is closed.
    fn reset(&self, conn: &mut Self::Connection, info: &ConnectionInfo) -> Result<(), Self::Error> {
        let _ = (conn, info);
        Ok(())
    }

    /// Says goodbye. Default: drops the connection.
    fn close(&self, conn: Self::Connection, info: &ConnectionInfo) {
        let _ = info;
        drop(conn);
    }

    /// Tells why a connection leaves its pool; see [`cenote::Connect::leaving`](crate::Connect::leaving). Not of one
    /// that is in the driver's hands, on a thread that has not come back. Runs where the connection leaves, on
    /// whatever thread that is. Default: does nothing.
    fn leaving(&self, conn: &mut Self::Connection, info: &ConnectionInfo, reason: CloseReason) {
        let _ = (conn, info, reason);
    }
}

/// A pool of exclusive connections for synchronous drivers: [`cenote::Pool`](crate::Pool) with waiting
/// threads. A cheap handle; dropping the last one closes the pool.
///
/// It is of one endpoint: there is no pool of this kind over a [set](crate::Pool::balanced), and so no lease
/// [by key](crate::pool::Get::by_key) or [at an endpoint](crate::pool::Get::at).
pub struct Pool<C: Connect> {
    driver: Arc<Driver<C>>,
}

impl<C: Connect> Pool<C> {
    /// Sets up a pool of the connections that `connector` opens.
    pub fn builder(connector: C) -> PoolBuilder<C> {
        PoolBuilder::new(connector)
    }

    /// A pool with default settings.
    ///
    /// # Errors
    /// Of the system, which refuses the pool its thread.
    pub fn new(connector: C) -> Result<Self, SettingsError> {
        Self::builder(connector).build()
    }

    fn pool(&self) -> &pool::Pool<Threads<C>> {
        self.driver.pool()
    }

    /// Leases a connection, blocking the thread until there is one, `acquire_timeout` at most.
    ///
    /// # Errors
    /// As [`cenote::Pool::get`](crate::Pool::get).
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Result<Lease<'_, C>, GetError> {
        let limit = self.pool().settings().acquire_timeout;
        wait::get(self.pool().get().untimed(), limit).map(Lease)
    }

    /// As [`get`](Self::get), waiting `limit` at most.
    ///
    /// # Errors
    /// As [`cenote::Pool::get`](crate::Pool::get).
    #[track_caller]
    pub fn get_timeout(&self, limit: Duration) -> Result<Lease<'_, C>, GetError> {
        wait::get(self.pool().get().untimed(), Some(limit)).map(Lease)
    }

    /// As [`get`](Self::get), for a lease without a tie to this handle.
    ///
    /// # Errors
    /// As [`cenote::Pool::get`](crate::Pool::get).
    #[track_caller]
    pub fn get_owned(&self) -> Result<OwnedLease<C>, GetError> {
        let limit = self.pool().settings().acquire_timeout;
        let lease = wait::get(self.pool().get().untimed(), limit)?;
        Ok(OwnedLease(pool::Lease::into_owned(lease)))
    }

    /// As [`get_owned`](Self::get_owned), waiting `limit` at most.
    ///
    /// # Errors
    /// As [`cenote::Pool::get`](crate::Pool::get).
    #[track_caller]
    pub fn get_owned_timeout(&self, limit: Duration) -> Result<OwnedLease<C>, GetError> {
        let lease = wait::get(self.pool().get().untimed(), Some(limit))?;
        Ok(OwnedLease(pool::Lease::into_owned(lease)))
    }

    /// As [`get_owned`](Self::get_owned), for a task, which awaits the lease instead of blocking its thread. Any executor
    /// will do. What it does with the connection then still blocks: [`OwnedLease::interact`] is for that.
    ///
    /// Dropping the future leaves the queue and loses nothing.
    ///
    /// ```
    /// # use cenote::blocking::{Connect, OwnedLease, Pool};
    /// # struct Sqlite; impl Sqlite { fn count(&mut self, _: &str) -> u64 { 0 } }
    /// # async fn f<C: Connect<Connection = Sqlite>>(pool: Pool<C>) -> Result<(), Box<dyn std::error::Error>> {
    /// let lease = pool.get_async().await?;
    /// let (_, users) = OwnedLease::interact(lease, |conn| conn.count("users")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`cenote::Pool::get`](crate::Pool::get).
    #[track_caller]
    pub fn get_async(&self) -> impl Future<Output = Result<OwnedLease<C>, GetError>> + Send + '_ {
        self.get_async_at(Location::caller())
    }

    pub(crate) fn get_async_at(
        &self,
        call_site: &'static Location<'static>,
    ) -> impl Future<Output = Result<OwnedLease<C>, GetError>> + Send + '_ {
        let get = self.pool().get_owned_at(call_site);
        async move { get.await.map(OwnedLease) }
    }

    /// Opens as many connections as [`min_idle`](PoolBuilder::min_idle) and [`min_size`](PoolBuilder::min_size) say,
    /// now, blocking the thread until they are there: as [`cenote::Pool::warm`](crate::Pool::warm).
    ///
    /// # Errors
    /// As those of [`cenote::Pool::warm`](crate::Pool::warm).
    pub fn warm(&self) -> Result<(), GetError> {
        wait::outcome(self.pool().warm())
    }

    /// Leases an idle connection, or says why not; never dials, and waits for nobody else's lease. A connection
    /// that must be checked first is checked here, which may take as long as `check_timeout`.
    ///
    /// # Errors
    /// [`NoneIdle`](TryGetError::NoneIdle), [`Paused`](TryGetError::Paused) or [`Closed`](TryGetError::Closed).
    #[track_caller]
    pub fn try_get(&self) -> Result<Lease<'_, C>, TryGetError> {
        wait::outcome(self.pool().try_get_checking(Location::caller())).map(Lease)
    }

    /// Gives the pool a connection opened elsewhere.
    ///
    /// # Errors
    /// The connection comes back with the reason.
    pub fn add(&self, conn: C::Connection) -> Result<(), AddError<C::Connection>> {
        self.pool()
            .add(Seat::new(conn))
            .map_err(|refused| refused.map(Seat::into_connection))
    }

    /// The pool as it is now.
    pub fn status(&self) -> Status {
        self.pool().status()
    }

    /// What happened since the pool began.
    pub fn counters(&self) -> Counters {
        self.pool().counters()
    }

    /// How long callers waited and connecting took since the pool began, as histograms.
    pub fn timings(&self) -> Timings {
        self.pool().timings()
    }

    /// The pool from all sides, for the person on call; see [`cenote::Pool::inspect`](crate::Pool::inspect).
    pub fn inspect(&self) -> Snapshot {
        self.pool().inspect()
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        self.pool().name()
    }

    /// Changes `max_size`; see [`cenote::Pool::resize`](crate::Pool::resize).
    ///
    /// # Errors
    /// A size that can't work; nothing is changed then.
    pub fn resize(&self, max_size: usize) -> Result<(), SettingsError> {
        self.pool().resize(max_size)
    }

    /// Gives no leases until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.pool().pause();
    }

    /// Ends a [`pause`](Self::pause).
    pub fn resume(&self) {
        self.pool().resume();
    }

    /// Closes the idle connections for which `keep` says no.
    pub fn retain(&self, mut keep: impl FnMut(&mut C::Connection, &ConnectionInfo) -> bool) {
        self.pool()
            .retain(|seat, info| seat.get_mut().is_some_and(|conn| keep(conn, info)));
    }

    /// Replaces every connection open now; see [`cenote::Pool::evict`](crate::Pool::evict).
    pub fn evict(&self) {
        self.pool().evict();
    }

    /// Closes the pool, at once: waiting threads get [`Closed`](GetError::Closed), idle connections end now, leased
    /// ones when they come back. [`Close::wait`] waits for that, [`Close::timeout`] at most.
    pub fn close(&self) -> Close<C> {
        Close {
            close: self.pool().close(),
            driver: Arc::clone(&self.driver),
        }
    }

    /// As [`close`](Self::close), to be awaited.
    pub(crate) fn closing(&self) -> close::Close {
        self.pool().close()
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.pool().is_closed()
    }

    /// The connector the pool was built with. There always is one; it is an `Option` as that of the other kinds of pool.
    pub fn connector(&self) -> Option<&C> {
        Some(&self.pool().connector()?.0)
    }
}

/// A [`Pool::close`] under way. The pool is closed already; [`wait`](Self::wait) waits until its connections are.
/// Dropping it only leaves that out.
#[must_use = "the pool is closed at once, but only `wait` waits for its connections to end"]
pub struct Close<C: Connect> {
    close: close::Close,
    driver: Arc<Driver<C>>,
}

impl<C: Connect> Close<C> {
    /// Waits this long at most for leases to come back. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.close = self.close.timeout(limit);
        self
    }

    /// Blocks the thread until all connections are closed, or the time is up.
    pub fn wait(self) -> CloseReport {
        let Self { close, driver } = self;
        wait::until_ready(close, || driver.enter())
    }
}

impl<C: Connect> fmt::Debug for Close<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Close")
            .field(&self.driver.pool().name())
            .finish()
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self {
            driver: Arc::clone(&self.driver),
        }
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pool().fmt(f)
    }
}
