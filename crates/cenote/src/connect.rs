//! How the pool opens connections and judges them: the trait a driver implements, the one of those whose connections carry
//! many users at once, and the one of those that take messages without a reply.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::dial::Dial;
use crate::error::BoxError;
use crate::report::{CloseReason, ConnectionInfo};
use crate::rt;

/// Opens connections to one endpoint and judges their health.
///
/// A connector is bound to its endpoint: everything that makes two connections interchangeable (address,
/// credentials, TLS identity) is its own business, and all its connections are alike.
///
/// Every method may fail or panic, and every future may hang: the pool puts a time-out on each, and a
/// connection whose check, reset or hook did not end well is closed.
///
/// Two methods are required, and a third is right for nearly every socket:
///
/// | method | asks | without it |
/// |---|---|---|
/// | [`connect`](Self::connect) | for a connection that is ready for use, login included | |
/// | [`verdict`](Self::verdict) | whether the next user may have it | |
/// | [`is_open`](Self::is_open) | whether the peer has gone meanwhile | a user finds out, until [`check`](Self::check) does |
/// | [`check`](Self::check) | for a round trip, after some idling | a peer that hangs is handed out |
/// | [`reset`](Self::reset) | to bring back the session's first state | [`Verdict::Reset`] changes nothing |
/// | [`close`](Self::close) | for a goodbye | the connection is dropped |
/// | [`leaving`](Self::leaving) | nothing: it tells why a connection leaves | |
/// | [`classify`](Self::classify) | whether another attempt may fare better | it is assumed so |
/// | [`endpoint`](Self::endpoint) | what is dialled | the pool's own errors do not name it |
///
/// ```
/// use cenote::net::is_quiet;
/// use cenote::{Connect, Dial, Verdict};
/// use std::io;
/// use std::net::SocketAddr;
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpStream;
///
/// struct Echo(SocketAddr);
///
/// struct Line {
///     socket: TcpStream,
///     echo_owed: bool,
/// }
///
/// impl Line {
///     async fn echo(&mut self, byte: u8) -> io::Result<u8> {
///         if self.echo_owed {
///             return Err(io::Error::other("an earlier echo is still to come"));
///         }
///         // From before the first await until after the last: a caller that leaves in between leaves the mark.
///         self.echo_owed = true;
///         self.socket.write_u8(byte).await?;
///         let echo = self.socket.read_u8().await?;
///         self.echo_owed = false;
///         Ok(echo)
///     }
/// }
///
/// impl Connect for Echo {
///     type Connection = Line;
///     type Error = io::Error;
///
///     async fn connect(&self, _: &Dial) -> io::Result<Line> {
///         let socket = TcpStream::connect(self.0).await?;
///         Ok(Line { socket, echo_owed: false })
///     }
///
///     fn is_open(&self, line: &Line) -> bool {
///         is_quiet(&line.socket)
///     }
///
///     fn verdict(&self, line: &mut Line) -> Verdict {
///         if line.echo_owed { Verdict::Close } else { Verdict::Reuse }
///     }
/// }
/// # fn used(line: &mut Line) { let _ = line.echo(1); }
/// ```
///
/// Several hosts, addresses that hang, and peers that vanish: [`net`](crate::net). A connector with everything, for
/// SMTP: [docs/connectors.md](https://github.com/cenote-rs/cenote/blob/main/docs/connectors.md).
pub trait Connect: Send + Sync + 'static {
    /// A live connection.
    type Connection: Send + 'static;
    /// Why connecting, checking or resetting failed.
    type Error: Error + Send + Sync + 'static;

    /// Opens a connection, ready for use.
    ///
    /// Runs in a task of the pool's own, under
    /// [`connect_timeout`](crate::pool::PoolBuilder::connect_timeout), whose end `dial` tells; a `get` that is cancelled
    /// does not cancel it. A connection that learns by itself that its peer has gone, or takes more or less at once than
    /// before, tells the pool by [`Dial::signals`].
    fn connect(
        &self,
        dial: &Dial,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Whether the connection still looks alive: cheap, without waiting. Asked at every get, and at every return
    /// before [`verdict`](Self::verdict). Default: `true`.
    ///
    /// For a socket whose protocol is silent between requests, [`net::is_quiet`](crate::net::is_quiet) tells.
    fn is_open(&self, conn: &Self::Connection) -> bool {
        let _ = conn;
        true
    }

    /// What to do with a connection that comes back: cheap, without I/O.
    ///
    /// There is no default, for none is safe: a connection is guilty until proven clean. Answer
    /// [`Reuse`](Verdict::Reuse) only if the protocol says that no reply is outstanding and the session's
    /// state is as at first, else [`Reset`](Verdict::Reset) or [`Close`](Verdict::Close).
    fn verdict(&self, conn: &mut Self::Connection) -> Verdict;

    /// What an error of [`connect`](Self::connect) says about the next attempt: whether another may fare
    /// better. It decides who is told of the error, and when: see
    /// [`ConnectFailures`](crate::settings::ConnectFailures). A panic counts as the default. Default:
    /// [`FailureKind::Transient`].
    fn classify(&self, error: &Self::Error) -> FailureKind {
        let _ = error;
        FailureKind::Transient
    }

    /// What [`connect`](Self::connect) dials, for errors the connector has no part in: an attempt that timed
    /// out, or is still under way when a caller's time is up. A host and a port, or several; never a password.
    /// Default: `None`.
    fn endpoint(&self) -> Option<String> {
        None
    }

    /// A round trip that proves the connection alive, under
    /// [`check_timeout`](crate::pool::PoolBuilder::check_timeout): before a lease that follows
    /// [`check_after_idle`](crate::pool::PoolBuilder::check_after_idle) of idling, and every
    /// [`keepalive`](crate::pool::PoolBuilder::keepalive) while idle. An error, a panic or a time-out closes the
    /// connection. Default: does nothing.
    fn check(
        &self,
        conn: &mut Self::Connection,
        info: &ConnectionInfo,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (conn, info);
        std::future::ready(Ok(()))
    }

    /// Brings a connection back to the state it was opened in, after [`Verdict::Reset`], under
    /// [`reset_timeout`](crate::pool::PoolBuilder::reset_timeout); an error, a panic or a time-out closes the connection.
    /// A connection that is closed anyway, with its pool or by `evict`, is not reset first. Default: does nothing.
    ///
    /// The first poll may happen where the lease is dropped; the rest runs in the background. So a reset that has
    /// nothing to wait for costs no task.
    fn reset(
        &self,
        conn: &mut Self::Connection,
        info: &ConnectionInfo,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        let _ = (conn, info);
        std::future::ready(Ok(()))
    }

    /// Says goodbye, under [`close_timeout`](crate::pool::PoolBuilder::close_timeout), to a connection that is still
    /// good but no longer wanted. Broken and discarded ones are dropped without it. Default: drops it.
    ///
    /// The first poll may happen wherever a connection leaves its pool, as in the drop of a lease; the rest
    /// runs in the background.
    fn close(
        &self,
        conn: Self::Connection,
        info: &ConnectionInfo,
    ) -> impl Future<Output = ()> + Send {
        let _ = info;
        drop(conn);
        std::future::ready(())
    }

    /// Tells why a connection leaves its pool, once for each and whatever the reason: before its goodbye if it is
    /// said one, before [`detach`](crate::Lease::detach) gives it away, as the task that worked on it is cut short.
    /// After the `before_close` hooks; cheap, without I/O. Its panic is ignored. Default: does nothing.
    fn leaving(&self, conn: &mut Self::Connection, info: &ConnectionInfo, reason: CloseReason) {
        let _ = (conn, info, reason);
    }
}

/// A connector whose connections carry many users at once: what a [`SharedPool`](crate::SharedPool) asks for beyond
/// [`Connect`].
///
/// ```
/// # use cenote::{Connect, Dial, Multiplex, Verdict};
/// # struct Rpc;
/// # struct Server;
/// # impl Connect for Server {
/// #     type Connection = Rpc;
/// #     type Error = std::io::Error;
/// #     async fn connect(&self, _: &Dial) -> std::io::Result<Rpc> { Ok(Rpc) }
/// #     fn verdict(&self, _: &mut Rpc) -> Verdict { Verdict::Reuse }
/// # }
/// impl Multiplex for Server {
///     fn capacity(&self, _: &Rpc) -> usize {
///         1_000
///     }
/// }
/// ```
pub trait Multiplex: Connect<Connection: Sync> {
    /// How many leases the connection can carry at once, as of now: cheap, without I/O. Fixed by the protocol, or
    /// told by the peer and changing.
    ///
    /// 0 means not ready: it gets no new lease until this says otherwise, and is not closed for it; what is
    /// over is said by [`is_open`](Connect::is_open). Lowered below what the connection carries, it takes no
    /// lease back. Asked at every get and return, when the connection [signals](crate::Signals::ask_again) a change, and
    /// in each turn of upkeep, which is every second or oftener; a panic counts as a connection that is not open.
    fn capacity(&self, conn: &Self::Connection) -> usize;
}

/// A connector whose connections take messages that have no reply, for a
/// [`OneWayPool`](crate::one_way::OneWayPool). For a protocol on a [`Mux`](crate::mux::Mux):
/// [`MuxConnect::one_way`](crate::mux::MuxConnect::one_way).
///
/// [`capacity`](Multiplex::capacity) says whether a connection has room for one more message: 0 while it has none, else
/// more leases than are ever held at once, for a lease is held only while a message is handed over. That it has room again,
/// the connection [signals](crate::Signals::ask_again).
pub trait OneWay: Multiplex {
    /// What is sent.
    type Message: Send + 'static;

    /// Hands a message over to the connection, to be written as soon as the peer takes it; without waiting. A panic counts
    /// as [`Refused`](NotTaken::Refused), and the connection gets no more.
    ///
    /// # Errors
    /// [`NotTaken`], with the message where another connection may take it.
    fn hand_over(
        &self,
        conn: &Self::Connection,
        message: Self::Message,
    ) -> Result<(), NotTaken<Self::Message>>;
}

/// Why a connection did not take a message.
#[derive(thiserror::Error)]
pub enum NotTaken<M> {
    /// It has no room, which its [`capacity`](Multiplex::capacity) says too, or has ended, which
    /// [`is_open`](Connect::is_open) does: if they did not, it would be asked again at once. The message goes to another.
    #[error("the connection takes no message now")]
    Back(M),
    /// The message cannot be sent, on this connection or another, and is gone.
    #[error("the message cannot be sent: {0}")]
    Refused(BoxError),
}

impl<M> fmt::Debug for NotTaken<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back(_) => f.write_str("Back(..)"),
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
        }
    }
}

/// What a failed connect says about the next attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The server is away, restarting or slow; another attempt may succeed.
    #[default]
    Transient,
    /// The server is up and has as many connections as it takes.
    Full,
    /// The server refused the name or the password.
    Credentials,
    /// Another attempt fails the same way until somebody changes something: no such database, a certificate
    /// that is not trusted, a host that does not exist, a server that speaks another protocol.
    Final,
    /// The server is up and well, and not what is wanted: a replica where the primary is asked for, another version, a
    /// node that is being drained. It may become that at any moment, and no back-off says when.
    ///
    /// Callers wait for better. In a [set](crate::Pool::balanced) the other endpoints are dialled meanwhile; this one is
    /// dialled again after 30 to 60 s, by chance, as long as another serves, and after 250 to 500 ms while callers wait
    /// and none does, or after eight times as long as the dial took, up to 2 s, if that is more.
    Unsuitable,
}

/// What becomes of a connection that comes back from a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is clean: the next caller may have it at once.
    Reuse,
    /// Its session state must be reset first, which the pool does.
    Reset,
    /// It is beyond repair, or repairing costs more than a new one.
    Close,
}

/// What `connector` says it dials.
pub(crate) fn endpoint<C: Connect>(connector: &C) -> Option<Arc<str>> {
    let endpoint = rt::calling(|| connector.endpoint());
    endpoint.ok().flatten().map(Into::into)
}
