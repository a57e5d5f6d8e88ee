//! Opens connections to one PostgreSQL endpoint and tells a pool how to keep them.

use std::fmt;
use std::sync::Arc;

use cenote::{Connect, Dial, Verdict};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use crate::connection::PgConnection;
use crate::driver::{self, Driver};
use crate::endpoint;
use crate::error::{ConfigError, Error, causes};
use crate::reset::{ResetError, ResetMode};
use crate::session::{Peer, Session};
use crate::statements::{Bounds, Statements};
use crate::traces::Judge;
use crate::wire::Naming;

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

type Dialled = Result<(Client, Driver), tokio_postgres::Error>;

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
    #[cfg(feature = "rustls")]
    tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
}

impl PostgresConnector {
    /// A connector for the server at `url`, which is
    /// `postgres://[user[:password]@]host[:port][,host...][/database][?option=value...]` or
    /// `host=... user=... password=... dbname=...`; [`Config`] lists the options. User and password are
    /// percent-encoded in a URL. Connects to nothing yet.
    ///
    /// With the feature `rustls`, TLS is used when the server offers it, or always with
    /// `sslmode=require`; either way its certificate must be valid for the host.
    ///
    /// A peer that is gone without a word is found out by the system within ten seconds, with nothing under way
    /// (`keepalives_idle` 4 s, `keepalives_interval` 2 s, `keepalives_retries` 3) and with something sent that
    /// is not acknowledged (`tcp_user_timeout` 10 s, except on connections that many share, which have a watch
    /// of their own). These are the defaults of options that the URL can set. The last of them also ends a
    /// connection whose server takes nothing in for as long while more waits to be sent than it has room for,
    /// as a `COPY ... FROM STDIN` that is held up by a lock: set it higher where that is to be borne.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what is wrong, and what would be accepted.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::from_config(endpoint::parse(url)?)
    }

    /// A connector with these settings.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn from_config(mut config: Config) -> Result<Self, ConfigError> {
        endpoint::validate(&config)?;
        endpoint::keep_alive(&mut config);
        Ok(Self {
            endpoint: endpoint::label(&config),
            config,
            reset_mode: ResetMode::default(),
            statement_cache: STATEMENT_CACHE,
            setup: None,
            judge: Judge::default(),
            peer: Peer::default(),
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
    /// the pooler has given the statement.
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
    /// [hook](cenote::Builder::after_connect) would not. None by default.
    #[must_use]
    pub fn setup(mut self, sql: impl Into<String>) -> Self {
        self.setup = Some(sql.into().into());
        self
    }

    /// The TLS settings: other roots, or a client certificate. By default the system's root certificates
    /// are trusted and no client certificate is sent.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls_config(mut self, config: rustls::ClientConfig) -> Self {
        self.tls = Some(crate::tls::with_config(config));
        self
    }

    pub(crate) fn endpoint(&self) -> Arc<str> {
        self.endpoint.clone()
    }

    /// Opens a connection, logs in and sets the session up.
    pub(crate) async fn connect_for(&self, users: Users) -> Result<PgConnection, Error> {
        if self.peer == Peer::TransactionPooler && self.setup.is_some() {
            return Err(Error::SetupBehindPooler {
                endpoint: self.endpoint.clone(),
            });
        }
        let conn = self.dial(users).await?;
        if let Some(setup) = &self.setup {
            conn.set_up(setup).await.map_err(|source| {
                let endpoint = self.endpoint.clone();
                Error::Setup { endpoint, source }
            })?;
        }
        Ok(conn)
    }

    /// Opens a connection and logs in.
    pub(crate) async fn dial(&self, users: Users) -> Result<PgConnection, Error> {
        let mut config = self.config.clone();
        match users {
            Users::One => endpoint::bear_nothing_unacknowledged(&mut config),
            Users::Many => {}
        }
        let session = Arc::new(Session::new(self.judge.clone(), self.peer));
        let dialled = self.dial_driver(config, session.clone()).await?;
        let (client, driver) = dialled.map_err(|source| {
            let endpoint = self.endpoint.clone();
            Error::Connect { endpoint, source }
        })?;
        let statements = Statements::new(self.statement_cache);
        Ok(PgConnection::new(client, driver, session, statements))
    }

    #[cfg(feature = "rustls")]
    async fn dial_driver(&self, config: Config, session: Arc<Session>) -> Result<Dialled, Error> {
        let mode = config.get_ssl_mode();
        let tls = match mode {
            SslMode::Disable => None,
            _ => self.tls.clone().or_else(crate::tls::with_system_roots),
        };
        match tls {
            Some(tls) => Ok(driver::connect(&config, tls, self.naming(), session).await),
            None if mode == SslMode::Require => Err(Error::NoRootCertificates {
                endpoint: self.endpoint.clone(),
            }),
            None => Ok(self.dial_plain(config, session).await),
        }
    }

    #[cfg(not(feature = "rustls"))]
    async fn dial_driver(&self, config: Config, session: Arc<Session>) -> Result<Dialled, Error> {
        Ok(self.dial_plain(config, session).await)
    }

    /// Neither asks for TLS nor could do it.
    async fn dial_plain(&self, mut config: Config, session: Arc<Session>) -> Dialled {
        config.ssl_mode(SslMode::Disable);
        driver::connect(&config, NoTls, self.naming(), session).await
    }

    fn naming(&self) -> Naming {
        match self.peer {
            Peer::Server => Naming::unique(),
            Peer::TransactionPooler => Naming::Nameless,
        }
    }

    /// An error of a connection that ended says only that; what ended it says more.
    fn explain(
        &self,
        conn: &PgConnection,
        source: tokio_postgres::Error,
        otherwise: fn(Arc<str>, tokio_postgres::Error) -> Error,
    ) -> Error {
        let endpoint = self.endpoint.clone();
        match conn.end() {
            Some(end) if source.is_closed() => Error::Closed {
                endpoint,
                reason: causes(end),
            },
            _ => otherwise(endpoint, source),
        }
    }
}

impl Connect for PostgresConnector {
    type Connection = PgConnection;
    type Error = Error;

    /// Opens a connection, logs in and runs [`setup`](PostgresConnector::setup).
    async fn connect(&self, _: &Dial) -> Result<PgConnection, Error> {
        self.connect_for(Users::One).await
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

    /// An empty query: one round trip.
    async fn check(&self, conn: &mut PgConnection) -> Result<(), Error> {
        conn.ping().await.map_err(|source| {
            self.explain(conn, source, |endpoint, source| Error::Check {
                endpoint,
                source,
            })
        })
    }

    /// Waits for outstanding replies, undoes what was left as [`ResetMode`] lists it, and runs
    /// [`setup`](PostgresConnector::setup): one round trip.
    async fn reset(&self, conn: &mut PgConnection) -> Result<(), Error> {
        match conn.reset(self.setup.as_deref()).await {
            Ok(()) => Ok(()),
            Err(ResetError::Unclean(reason)) => Err(Error::Unclean {
                endpoint: self.endpoint.clone(),
                reason,
            }),
            Err(ResetError::Server(source)) => {
                Err(self.explain(conn, source, |endpoint, source| Error::Reset {
                    endpoint,
                    source,
                }))
            }
        }
    }

    /// Says goodbye and waits until the socket is closed.
    async fn close(&self, conn: PgConnection) {
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
            .finish_non_exhaustive()
    }
}
