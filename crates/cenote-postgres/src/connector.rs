//! Opens connections to one PostgreSQL endpoint and tells a pool how to keep them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cenote::net::{HostCause, each_host};
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Verdict};
use tokio_postgres::Config;
#[cfg(feature = "rustls")]
use tokio_postgres::config::SslMode;
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};

use crate::connection::PgConnection;
use crate::endpoint;
use crate::error::{ConfigError, ConnectCause, Error};
use crate::login::Login;
use crate::reset::{ResetError, ResetMode};
use crate::session::Peer;
use crate::silence::Patience;
use crate::statements::Bounds;
use crate::traces::Judge;
use crate::tunnel::{Made, Protection};

/// Enough for the statements of an application, at some kilobytes each on the server.
const STATEMENT_CACHE: Bounds = Bounds {
    statements: 256,
    bytes: 1024 * 1024,
};

/// For how many a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Users {
    One,
    Many,
}

/// A connector for a PostgreSQL server.
///
/// The text forms (`Display`, `Debug`) and errors never show the password.
#[derive(Clone)]
pub struct PostgresConnector {
    config: Config,
    endpoint: Arc<str>,
    reset_mode: ResetMode,
    statement_cache: Bounds,
    setup: Option<Arc<str>>,
    judge: Judge,
    peer: Peer,
    patience: Patience,
    /// A session of it took writes when it began. Clones have this in common, for they dial the same.
    has_met_writable: Arc<AtomicBool>,
    #[cfg(feature = "rustls")]
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
}

impl PostgresConnector {
    /// A connector for the server at `url`, which is
    /// `postgres://[user[:password]@]host[:port][,host...][/database][?option=value...]` or
    /// `host=... user=... password=... dbname=...`; [`Config`] lists the options. User and password are
    /// percent-encoded in a URL. Connects to nothing yet.
    ///
    /// With the feature `rustls`, the server is always asked for TLS, unless `sslmode=disable` says otherwise. If it
    /// offers TLS, its certificate must be valid for the host, whether `sslmode` is `prefer`, the default, `require`
    /// or `verify-full`. `prefer` goes on in clear where the server says that it has none, so that it protects
    /// against those who listen and *not against those who can answer in the server's place*: only `require` does.
    /// `sslrootcert=FILE` trusts the certificates of that file instead of the system's.
    ///
    /// Several hosts are tried in the order given, or by chance with `load_balance_hosts=random`, each with an equal
    /// share of what is left of the dial for TCP, TLS and login; several addresses of one host race, 250 ms apart.
    /// A host that refuses the password or the database ends the walk. `target_session_attrs` picks by role.
    ///
    /// A connection on which a write is refused (SQLSTATE 25006) is replaced when the server takes none any more: it
    /// may have been demoted. Not so one that is read-only on purpose: by `target_session_attrs=read-only`; or since it
    /// was so from the beginning, by the options, the role, [`setup`](Self::setup) or the server, as PostgreSQL reports
    /// it from version 14 on, and so was every connection of this connector before it.
    ///
    /// A peer that is gone without a word is found out by the system within ten seconds, as
    /// [`Dialer`](cenote::net::Dialer) says; `keepalives`, `keepalives_idle`, `keepalives_interval`,
    /// `keepalives_retries` and `tcp_user_timeout` change that. The last of them also ends a connection whose server
    /// takes nothing in for as long (9 s) while more waits to be sent than it has room for, as a
    /// `COPY ... FROM STDIN` that is held up by a lock: set it higher where that is to be borne. Connections that
    /// many share have none, but a watch of their own. What else ends a connection is told at
    /// [`PgConnection`](crate::PgConnection#what-ends-a-connection).
    ///
    /// The server is trusted with memory in one thing: the driver has no bound on a row. Other messages may have
    /// 16 MiB; and a server that reports more than 1,000 different parameters, or 1 MiB of them, loses the
    /// connection.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what is wrong, and what would be accepted.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        let (config, options) = endpoint::parse(url)?;
        let connector = Self::from_config(config)?;
        match options.root_certificates {
            None => Ok(connector),
            Some(file) => connector.root_certificates(file),
        }
    }

    /// A connector with these settings.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_config(config: Config) -> Result<Self, ConfigError> {
        endpoint::validate(&config)?;
        Ok(Self {
            endpoint: endpoint::label(&config),
            config,
            reset_mode: ResetMode::default(),
            statement_cache: STATEMENT_CACHE,
            setup: None,
            judge: Judge::default(),
            peer: Peer::default(),
            patience: Patience::default(),
            has_met_writable: Arc::default(),
            #[cfg(feature = "rustls")]
            tls: None,
        })
    }

    /// When a session is reset as it returns: [`ResetMode::Fast`] by default.
    #[must_use]
    pub fn reset_mode(mut self, mode: ResetMode) -> Self {
        self.reset_mode = mode;
        self
    }

    /// How many prepared statements each connection keeps, least recently used first out: 256 by default.
    /// 0 keeps none.
    #[must_use]
    pub fn statement_cache(mut self, statements: usize) -> Self {
        self.statement_cache.statements = statements;
        self
    }

    /// How many bytes the texts of the prepared statements that each connection keeps may have together, each
    /// counted with 1,024 bytes more for what comes with it: 1 MiB by default. A longer text is not kept.
    ///
    /// Texts that came once may fill an eighth of the cache, or 16 statements if that is more; the rest is for
    /// those that came again.
    #[must_use]
    pub fn statement_cache_bytes(mut self, bytes: usize) -> Self {
        self.statement_cache.bytes = bytes;
        self
    }

    /// A function that leaves the session as it was: a call of it means no reset under [`ResetMode::Fast`], and is
    /// not refused on shared connections. None by default, and PostgreSQL's own harmless functions need no
    /// mention. Call it once for each function.
    ///
    /// `name` is trusted whatever the schema, `schema.name` only when called with that schema. Both as the server
    /// keeps them: in lower case, unless the function was created with capitals in double quotes.
    ///
    /// A function whose body, or whatever it calls, runs `SET` or `set_config`, takes a session advisory lock,
    /// makes a temporary table, listens or prepares must not be trusted: the next user would meet what it left.
    ///
    /// ```
    /// use cenote_postgres::PostgresConnector;
    ///
    /// # fn main() -> Result<(), cenote_postgres::ConfigError> {
    /// let connector = PostgresConnector::new("postgres://orders@db.example/orders")?
    ///     .trust_function("st_dwithin")
    ///     .trust_function("billing.total");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn trust_function(mut self, name: impl AsRef<str>) -> Self {
        self.judge.trust(name.as_ref());
        self
    }

    /// For a server behind a pooler that gives each transaction another session, such as PgBouncer with
    /// `pool_mode = transaction`: no statement has a name on the wire, and nothing in the session is counted on.
    /// Not so by default.
    ///
    /// All calls work, and so do transactions. A statement of the connection's cache keeps the types of its
    /// parameters, so that it takes one round trip; the server parses it each time, as it must behind any such
    /// pooler whose sessions hold no prepared statements. At its return a connection is only brought back in step
    /// and out of a transaction: never `DISCARD` or `RESET`, which would hit the sessions of others.
    ///
    /// What a session keeps between transactions is lost, or *met by others* who share the pooler, other programs
    /// too: settings (`SET`; `SET LOCAL` in a transaction is fine), `LISTEN`, temporary tables, cursors `WITH
    /// HOLD`, session advisory locks, SQL's `PREPARE`. They are not refused on exclusive connections, as no text
    /// shows whether a transaction ends them. [`setup`](Self::setup) is refused at the first connect:
    /// settings belong to the pooler's `connect_query` or to the role. A cancel request reaches whichever session
    /// the pooler has given the statement. A `COPY ... FROM STDIN` belongs into a transaction: PgBouncer (1.18 tried)
    /// may otherwise give the session away at the copy's end, and the reply to the next statement is lost.
    ///
    /// Without this, such a pooler answers with errors (SQLSTATE 26000), never with the rows of another program's
    /// statement, as the names are unique to process and connection; but what a reset undoes may then be
    /// another's.
    ///
    /// ```no_run
    /// use cenote::Pool;
    /// use cenote_postgres::PostgresConnector;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let connector =
    ///     PostgresConnector::new("postgres://orders:secret@pgbouncer.example:6432/orders")?
    ///         .behind_transaction_pooler();
    /// let pool = Pool::builder(connector).build()?;
    /// let conn = pool.get().await?;
    /// let row = conn.query_one_cached("SELECT total FROM orders WHERE id = $1", &[&42_i64]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn behind_transaction_pooler(mut self) -> Self {
        self.peer = Peer::TransactionPooler;
        self
    }

    /// SQL statements, separated by semicolons, that make a session what your program expects, such as
    /// `SET search_path = orders`. They run on each new connection and again after each reset, which a
    /// [hook](cenote::PoolBuilder::after_connect) would not. None by default.
    #[must_use]
    pub fn setup(mut self, sql: impl Into<String>) -> Self {
        self.setup = Some(sql.into().into());
        // Which may make its sessions read-only, and not those of a clone made before.
        self.has_met_writable = Arc::default();
        self
    }

    /// Asks the server for a sign of life when a connection waits for
    /// [notifications](crate::PgConnection::notification) and not a byte came for this long; `None`: never, and no
    /// silence ends a connection then. Default: 4 s.
    ///
    /// Together with [`ping_timeout`](Self::ping_timeout) it is also how long the server may be silent while one call
    /// after the other is given up, before the connection ends: see
    /// [`PgConnection`](crate::PgConnection#what-ends-a-connection). Not for connections that many share, which have
    /// [`silence_limit`](crate::PipelinedConnector::silence_limit) instead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use cenote_postgres::PostgresConnector;
    ///
    /// # fn main() -> Result<(), cenote_postgres::ConfigError> {
    /// let connector = PostgresConnector::new("postgres://orders@db.example/orders")?
    ///     .ping_after(Duration::from_secs(10))
    ///     .ping_timeout(Duration::from_secs(2));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ping_after(mut self, silence: impl Into<Option<Duration>>) -> Self {
        self.patience.ping_after = silence.into();
        self
    }

    /// How much longer the server may be silent after it was asked for a sign of life before the connection ends.
    /// Default: 5 s.
    #[must_use]
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.patience.ping_timeout = limit;
        self
    }

    /// Trusts the certificates in this file, in PEM form, and no others: those of a private authority. The option
    /// `sslrootcert=FILE` of a connection string does the same. The system's by default.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file cannot be read or holds no certificate, or the crate is built without its
    /// feature `rustls`.
    pub fn root_certificates(
        #[cfg_attr(
            not(feature = "rustls"),
            expect(unused_mut, reason = "there is no TLS")
        )]
        mut self,
        file: impl AsRef<std::path::Path>,
    ) -> Result<Self, ConfigError> {
        #[cfg(feature = "rustls")]
        {
            self.tls = Some(crate::tls::with_roots_of(file.as_ref())?);
            Ok(self)
        }
        #[cfg(not(feature = "rustls"))]
        {
            let _ = file;
            Err(ConfigError::setting(
                "sslrootcert",
                "is given, but cenote-postgres was built without its feature `rustls`",
            ))
        }
    }

    /// The TLS settings: other roots, or a client certificate. By default the system's root certificates
    /// are trusted and no client certificate is sent.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls_config(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Some(crate::tls::with_config(config));
        self
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn endpoint(&self) -> Arc<str> {
        self.endpoint.clone()
    }

    /// Opens a connection, logs in and sets the session up.
    pub(crate) async fn connect_for(
        &self,
        users: Users,
        dial: &Dial,
    ) -> Result<PgConnection, Error> {
        if self.peer == Peer::TransactionPooler && self.setup.is_some() {
            return Err(Error::SetupBehindPooler {
                endpoint: self.endpoint.clone(),
            });
        }
        let conn = self.dial(users, dial).await?;
        if let Some(setup) = &self.setup {
            conn.set_up(setup).await.map_err(|cause| {
                let endpoint = self.endpoint.clone();
                Error::Setup { endpoint, cause }
            })?;
        }
        if self.is_for_reading(&conn) {
            conn.session().begins_read_only();
        }
        Ok(conn)
    }

    /// Whether a session that begins is read-only on purpose. Where one before took writes it is not: the server has
    /// been demoted, or the name leads to a standby for a while.
    fn is_for_reading(&self, conn: &PgConnection) -> bool {
        let is_read_only = conn.session().status().is_read_only();
        if !is_read_only {
            self.has_met_writable.store(true, Ordering::Relaxed);
        }
        let attributes = self.config.get_target_session_attrs();
        attributes == TargetSessionAttrs::ReadOnly
            || is_read_only && !self.has_met_writable.load(Ordering::Relaxed)
    }

    /// Opens a connection and logs in: at the first of the hosts that lets it.
    pub(crate) async fn dial(&self, users: Users, dial: &Dial) -> Result<PgConnection, Error> {
        let login = Login {
            dialer: endpoint::dialer(&self.config, users),
            protection: self.protection(),
            settings: Made::<()>::settings(&self.config),
            judge: &self.judge,
            peer: self.peer,
            patience: match users {
                Users::One => self.patience,
                // They have a watch of their own.
                Users::Many => Patience::ENDLESS,
            },
            statement_cache: self.statement_cache,
        };
        let mut hosts = endpoint::hosts(&self.config);
        if self.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            fastrand::shuffle(&mut hosts);
        }
        let walk = each_host(&hosts, dial, |host, dial| login.at(host, dial));
        walk.await.map_err(|failures| {
            let only = match failures.failures() {
                [(_, HostCause::TimedOut(limit))] => Ok(ConnectCause::Silent(*limit)),
                _ => failures.into_only(),
            };
            match only {
                Ok(cause) => Error::Connect {
                    endpoint: self.endpoint.clone(),
                    cause,
                },
                Err(failures) => Error::ConnectEach { failures },
            }
        })
    }

    #[cfg(feature = "rustls")]
    fn protection(&self) -> Protection {
        let given = self.tls.clone();
        let tls = match self.config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => given.or_else(crate::tls::with_system_roots),
        };
        Protection::new(&self.config, tls)
    }

    #[cfg(not(feature = "rustls"))]
    fn protection(&self) -> Protection {
        Protection::new(&self.config)
    }

    /// An error of a connection that ended says only that; what ended it says more.
    fn explain(
        &self,
        conn: &PgConnection,
        cause: tokio_postgres::Error,
        otherwise: fn(Arc<str>, tokio_postgres::Error) -> Error,
    ) -> Error {
        let endpoint = self.endpoint.clone();
        match conn.end_reason() {
            Some(reason) if cause.is_closed() => Error::Closed { endpoint, reason },
            _ => otherwise(endpoint, cause),
        }
    }
}

impl Connect for PostgresConnector {
    type Connection = PgConnection;
    type Error = Error;

    /// Opens a connection, logs in and runs [`setup`](PostgresConnector::setup).
    async fn connect(&self, dial: &Dial) -> Result<PgConnection, Error> {
        self.connect_for(Users::One, dial).await
    }

    /// Final for what only you can change (a host or database that does not exist, TLS that fails, no PostgreSQL
    /// server), credentials for a name or password that is refused, full where the server has no session free.
    fn classify(&self, error: &Error) -> FailureKind {
        error.kind()
    }

    /// False once the server closed the connection, or it broke.
    fn is_open(&self, conn: &PgConnection) -> bool {
        !conn.is_closed()
    }

    /// As [`ResetMode`] says; close when the connection ended, gave a cancel token away, or lost its
    /// prepared statements.
    fn verdict(&self, conn: &mut PgConnection) -> Verdict {
        conn.verdict(self.reset_mode)
    }

    /// Host and port, as errors name them.
    fn endpoint(&self) -> Option<String> {
        Some(self.endpoint.to_string())
    }

    /// An empty query: one round trip.
    async fn check(&self, conn: &mut PgConnection, _: &ConnectionInfo) -> Result<(), Error> {
        conn.ping().await.map_err(|cause| {
            self.explain(conn, cause, |endpoint, cause| Error::Check {
                endpoint,
                cause,
            })
        })
    }

    /// Waits for outstanding replies, undoes what was left as [`ResetMode`] lists it, and runs
    /// [`setup`](PostgresConnector::setup): one round trip.
    async fn reset(&self, conn: &mut PgConnection, _: &ConnectionInfo) -> Result<(), Error> {
        match conn.reset(self.setup.as_deref()).await {
            Ok(()) => Ok(()),
            Err(ResetError::Unclean(reason)) => Err(Error::Unclean {
                endpoint: self.endpoint.clone(),
                reason,
            }),
            Err(ResetError::Server(cause)) => Err(self.explain(conn, cause, |endpoint, cause| {
                Error::Reset { endpoint, cause }
            })),
        }
    }

    /// Says goodbye and waits until the socket is closed.
    async fn close(&self, conn: PgConnection, _: &ConnectionInfo) {
        conn.close().await;
    }
}

impl fmt::Display for PostgresConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoint)
    }
}

impl fmt::Debug for PostgresConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConnector")
            .field("config", &self.config)
            .field("reset_mode", &self.reset_mode)
            .field("statement_cache", &self.statement_cache)
            .field("setup", &self.setup)
            .field("trusted_functions", &self.judge.trusted())
            .field("peer", &self.peer)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
