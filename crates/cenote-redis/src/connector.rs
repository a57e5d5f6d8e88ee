//! Opens connections to one Redis server and tells a pool how to keep them.

#[cfg(feature = "rustls")]
mod trust;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cenote::net::{DialError, Dialer, Host, HostFailure, Socket, each_host};
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Verdict};

use crate::cmd::Cmd;
use crate::connection::RedisConnection;
use crate::dial::DialTime;
use crate::endpoint::{Endpoint, UrlError};
use crate::error::{DialStep, RedisError, proves_alive};
use crate::handshake;
use crate::mastership::{self, Mastership};
use crate::node::{RedisNode, ServerRole};
use crate::silence::Patience;
use crate::stream::Stream;
use crate::wire::Wire;

/// Largest reply by default: the largest string a Redis server stores by default.
const MAX_REPLY_SIZE: usize = 512 * 1024 * 1024;

/// A connector for a Redis server, made from a URL.
///
/// ```text
/// redis://[[user]:password@]host[:port][,host[:port]...][/database][?protocol=2|3&client_name=NAME&sslrootcert=FILE]
/// unix://[[user]:password@]/path[?db=DATABASE&user=USER&pass=PASSWORD&protocol=2|3&client_name=NAME]
/// ```
///
/// `rediss://` is the first over TLS and needs the feature `rustls`; `sslrootcert` names a file of root certificates,
/// in PEM, to be trusted instead of the system's. `valkey://`, `valkeys://`, `redis+unix://` and `valkey+unix://` are
/// other names for the same. The port is 6379 and the database 0 unless given. User, password and path are
/// percent-encoded.
///
/// RESP3 is asked for first, by `HELLO`; where the server or a proxy before it knows no RESP3, or knows or permits
/// no `HELLO`, the login goes on in RESP2. `protocol=2` asks for that at once, as it must be for a proxy that
/// closes the connection at a command that it does not know.
///
/// # Several hosts
///
/// Hosts are tried in the order given until one lets the connection in, each with an equal share of the time that is
/// left; the addresses of one host race. A wrong password ends the search. Which host is the master is not asked, so
/// list servers that are alike, or of which one is up at a time; or [ask for the master](Self::require_master).
///
/// # Failover
///
/// When a command is answered with `READONLY`, its server is a replica, though it may have been the master a moment
/// ago. The connection is closed at its return, so that the next dial can meet the new master where the address leads
/// to it (DNS, a virtual address, a proxy); all others of the connector with it, where it [asks for the
/// master](Self::require_master). A pipelined connection takes no new callers from then on. `MASTERDOWN`
/// and `LOADING` do not end a connection: a new one would meet the same server, which is better waited for;
/// `Lease::discard` ends one all the same.
///
/// The text forms (`Display`, `Debug`) never show the password.
#[derive(Clone)]
pub struct RedisConnector {
    endpoint: Endpoint,
    label: Arc<str>,
    max_reply_size: usize,
    patience: Patience,
    dialer: Dialer,
    /// Where the server must be a master.
    mastership: Option<Mastership>,
    #[cfg(feature = "rustls")]
    tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl RedisConnector {
    /// A connector for the server at `url`. Connects to nothing yet; the file of `sslrootcert` is read now.
    ///
    /// # Errors
    ///
    /// [`UrlError`] says what is wrong with the URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        let endpoint = Endpoint::parse(url)?;
        #[cfg(feature = "rustls")]
        let tls = trust::roots_of(&endpoint)?;
        Ok(Self {
            label: endpoint.to_string().into(),
            endpoint,
            max_reply_size: MAX_REPLY_SIZE,
            patience: Patience::default(),
            dialer: Dialer::new(),
            mastership: None,
            #[cfg(feature = "rustls")]
            tls,
        })
    }

    /// Names the connections, as `CLIENT LIST` shows them. None by default.
    ///
    /// # Errors
    ///
    /// [`UrlError::ClientName`] when the name is empty or has spaces or other characters that the
    /// server refuses.
    pub fn client_name(mut self, name: &str) -> Result<Self, UrlError> {
        self.endpoint.set_client_name(name)?;
        Ok(self)
    }

    /// The memory that one reply may take, in bytes: 512 MiB by default. A larger one is
    /// [`FrameError::TooLarge`](crate::FrameError::TooLarge) and ends its connection.
    ///
    /// Counted is what the client holds, not what the server sends: beside its bytes, a value within another costs
    /// 80 bytes and a string 32, so that a list of a million short strings needs some 110 MiB. A pool may hold
    /// as much for each of its connections at once.
    #[must_use]
    pub fn max_reply_size(mut self, bytes: usize) -> Self {
        self.max_reply_size = bytes;
        self
    }

    /// Sends `PING` when the connection listens (`SUBSCRIBE`, `MONITOR`) and not a byte came for this long; `None`:
    /// never, and no silence ends a connection then. Default: 4 s.
    ///
    /// Together with [`ping_timeout`](Self::ping_timeout) it is also how long the server may be silent beyond the
    /// time-out of a command that waits (`BLPOP`), and while one command after the other is given up, before the
    /// connection ends with [`RedisError::Silent`]. A [`PipelinedConnector`](crate::PipelinedConnector) made of this
    /// one takes both over.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cenote_redis::RedisConnector;
    ///
    /// # fn connector() -> Result<RedisConnector, cenote_redis::UrlError> {
    /// let connector = RedisConnector::new("redis://127.0.0.1:6379")?
    ///     .ping_after(Duration::from_secs(10))
    ///     .ping_timeout(Duration::from_secs(2));
    /// # Ok(connector)
    /// # }
    /// ```
    #[must_use]
    pub fn ping_after(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.patience.ping_after = silence.into();
        self
    }

    /// How much longer the server may be silent after a `PING` before the connection ends. Default: 5 s.
    #[must_use]
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.patience.ping_timeout = limit;
        self
    }

    /// How sockets are opened and what the system is told to watch on them: TCP keepalive and `TCP_USER_TIMEOUT`, by
    /// which a host that has vanished is found within ten seconds, whatever the connection is used for. Default:
    /// [`Dialer::new`].
    #[must_use]
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.dialer = dialer;
        self
    }

    /// Lets a connection in only if its server says that it is a master, by its reply to `HELLO` or, in RESP2, to `ROLE`,
    /// which the user must be permitted; of several hosts, the first that does. Otherwise the dial fails with
    /// [`RedisError::NotMaster`], and is tried again. Not asked by default.
    ///
    /// Once a server has said `READONLY`, no connection that was opened before serves again: idle ones are closed when
    /// they are looked at, leased ones when they come back. Clones of this connector, too, and those of pipelined
    /// connections.
    #[must_use]
    pub fn require_master(mut self) -> Self {
        self.mastership = Some(Mastership::default());
        self
    }

    /// A connector for this server, with the login, the database, TLS and all other settings of this one, whatever hosts
    /// that has: for a pool over what [`Sentinels`](crate::Sentinels) tell. A master must
    /// [be one](Self::require_master); a replica need not, for who is promoted meanwhile can be read from all the same.
    ///
    /// With TLS the certificate must be for the host that is told, which is an IP address unless the sentinels have
    /// `announce-hostnames`.
    #[must_use]
    pub fn for_node(&self, node: &RedisNode) -> Self {
        let connector = self.at(node.place());
        match node.role() {
            ServerRole::Master => connector.require_master(),
            ServerRole::Replica => connector,
        }
    }

    /// The same for another host, master or not.
    pub(crate) fn at(&self, host: Host) -> Self {
        let mut connector = self.clone();
        connector.endpoint.hosts = vec![host];
        connector.mastership = None;
        connector.label = connector.endpoint.to_string().into();
        connector
    }

    pub(crate) fn hosts(&self) -> &[Host] {
        &self.endpoint.hosts
    }

    pub(crate) fn database(&self) -> u32 {
        self.endpoint.database
    }

    /// The memory that one reply may take, in bytes.
    pub(crate) fn reply_limit(&self) -> usize {
        self.max_reply_size
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// TCP, TLS and login at one of the hosts.
    async fn connect_to(&self, host: &Host, dial: &Dial) -> Result<RedisConnection, RedisError> {
        let time = DialTime::of(dial);
        // What is heard of the server after it was asked counts.
        let term = self.mastership.as_ref().map(Mastership::term);
        let label: Arc<str> = self.endpoint.url_of_host(host).into();
        let stream = self.open_stream(host, &label, &time).await?;
        let wire = Wire::new(stream, label.clone(), self.max_reply_size);
        let mut conn = RedisConnection::new(wire, self.endpoint.database, self.patience);
        let login = self.log_in(&mut conn);
        time.within(DialStep::Login, &label, login).await?;
        if let Some(term) = term {
            conn.serve_during(term);
        }
        Ok(conn)
    }

    async fn open_stream(
        &self,
        host: &Host,
        label: &Arc<str>,
        time: &DialTime,
    ) -> Result<Stream, RedisError> {
        let failed = |source| RedisError::Connect {
            endpoint: label.clone(),
            source,
        };
        let dialled = self.dialer.connect(host, &time.rest()).await;
        let socket = match dialled.map_err(|error| failed(cause_of(error)))? {
            Socket::Tcp(socket) => socket,
            #[cfg(unix)]
            Socket::Unix(socket) => return Ok(Stream::Unix(socket)),
            _ => return Err(failed(io::ErrorKind::Unsupported.into())),
        };
        #[cfg(feature = "rustls")]
        if self.endpoint.tls {
            let name = host.name().unwrap_or_default();
            let handshake = async {
                let tls = crate::tls::handshake(socket, name, self.tls.as_ref());
                tls.await.map_err(|source| RedisError::Tls {
                    endpoint: label.clone(),
                    source,
                })
            };
            return time.within(DialStep::Tls, label, handshake).await;
        }
        Ok(Stream::Tcp(socket))
    }

    async fn log_in(&self, conn: &mut RedisConnection) -> Result<(), RedisError> {
        let opened = async {
            let role = handshake::open_session(conn, &self.endpoint).await?;
            match self.mastership {
                Some(_) => mastership::expect_master(conn, role).await,
                None => Ok(()),
            }
        };
        let (endpoint, source) = match opened.await {
            Err(RedisError::Closed { endpoint }) => (endpoint, None),
            Err(RedisError::Io { endpoint, source }) => (endpoint, Some(source)),
            outcome => return outcome,
        };
        Err(RedisError::NotWelcome { endpoint, source })
    }
}

/// The system's error alone where there is one address and the URL has it.
fn cause_of(mut error: DialError) -> io::Error {
    if let DialError::Unreachable { host, failures, .. } = &mut error
        && let [only] = failures.as_slice()
        && host.to_string() == only.address.to_string()
        && let Some(only) = failures.pop()
    {
        return only.error;
    }
    error.into()
}

impl fmt::Display for RedisConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl fmt::Debug for RedisConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConnector")
            .field("endpoint", &self.endpoint)
            .field("max_reply_size", &self.max_reply_size)
            .field("patience", &self.patience)
            .field("dialer", &self.dialer)
            .finish_non_exhaustive()
    }
}

impl Connect for RedisConnector {
    type Connection = RedisConnection;
    type Error = RedisError;

    /// Opens a connection, logs in and selects the database, at the first of the hosts that takes it.
    async fn connect(&self, dial: &Dial) -> Result<RedisConnection, RedisError> {
        let tried = each_host(&self.endpoint.hosts, dial, |host, dial| async move {
            let connected = self.connect_to(host, &dial).await;
            connected.map_err(|error| match error.failure_kind() {
                // A wrong password is not tried on every server there is.
                FailureKind::Credentials => HostFailure::Stop(error),
                _ => HostFailure::TryNext(error),
            })
        });
        let several = |source| RedisError::Hosts {
            endpoint: self.label.clone(),
            source,
        };
        tried
            .await
            .map_err(|all| all.into_only().unwrap_or_else(several))
    }

    /// False once the server closed the connection or sent bytes that nobody asked for, and once the
    /// runtime that the connection was opened on is gone.
    fn is_open(&self, conn: &RedisConnection) -> bool {
        conn.is_open()
    }

    /// Reuse when nothing is owed and the session is as it was set up; reset when replies are owed or
    /// session state was left; close when a command was cut short, the server blocks on one, the
    /// connection listens, or the server said `READONLY`, on this connection or where a
    /// [master is required](RedisConnector::require_master) on any.
    fn verdict(&self, conn: &mut RedisConnection) -> Verdict {
        conn.verdict()
    }

    /// A refused login is about credentials, a server with as many clients as it takes is full; a database or host
    /// that does not exist, a certificate that is not trusted and a peer that is no Redis server are final.
    fn classify(&self, error: &RedisError) -> FailureKind {
        error.failure_kind()
    }

    /// Host and port, as errors name them.
    fn endpoint(&self) -> Option<String> {
        Some(self.label.to_string())
    }

    /// `PING`. An error reply, such as `NOPERM` or `LOADING`, proves as much as `PONG`; but `NOAUTH` says that the
    /// login is lost.
    async fn check(
        &self,
        conn: &mut RedisConnection,
        _: &ConnectionInfo,
    ) -> Result<(), RedisError> {
        proves_alive(conn.command(&Cmd::new("PING")).await)
    }

    /// Reads and drops the replies owed, then undoes what was left: `DISCARD`, `UNWATCH`, `SELECT`, or
    /// `RESET` (Redis 6.2) and a new login.
    async fn reset(
        &self,
        conn: &mut RedisConnection,
        _: &ConnectionInfo,
    ) -> Result<(), RedisError> {
        handshake::restore_session(conn, &self.endpoint).await
    }

    /// Shuts the connection down in order.
    async fn close(&self, conn: RedisConnection, _: &ConnectionInfo) {
        conn.shutdown().await;
    }
}
