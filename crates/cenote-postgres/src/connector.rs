//! The connector: the endpoint and the settings of its connections. `connect` opens them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cenote::net;
use tokio_postgres::Config;

use crate::endpoint;
use crate::error::ConfigError;
use crate::reset::ResetMode;
use crate::role::Post;
use crate::session::Peer;
use crate::silence::Patience;
use crate::statements::Bounds;
use crate::traces::Judge;

/// Enough for the statements of an application, at some kilobytes each on the server.
const STATEMENT_CACHE: Bounds = Bounds {
    statements: 256,
    bytes: 1024 * 1024,
};

/// A connector for a PostgreSQL server.
///
/// The text forms (`Display`, `Debug`) and errors never show the password.
#[derive(Clone)]
pub struct PostgresConnector {
    pub(crate) config: Config,
    /// Of the hosts of the settings the only one that is dialled.
    pub(crate) only: Option<net::Host>,
    pub(crate) endpoint: Arc<str>,
    /// The role that the server is to have, for a pool of a cluster.
    pub(crate) post: Option<Arc<Post>>,
    pub(crate) reset_mode: ResetMode,
    pub(crate) statement_cache: Bounds,
    pub(crate) setup: Option<Arc<str>>,
    pub(crate) judge: Judge,
    pub(crate) peer: Peer,
    pub(crate) patience: Patience,
    /// A session of it took writes when it began. Clones have this in common, for they dial the same.
    pub(crate) has_met_writable: Arc<AtomicBool>,
    #[cfg(feature = "rustls")]
    pub(crate) tls: Option<tokio_postgres_rustls::MakeRustlsConnect>,
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
    /// A host that refuses the password or the database ends the walk. `target_session_attrs` picks by role, as a connection
    /// is opened; for servers that change their roles there is [`PostgresCluster`](crate::PostgresCluster).
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
            only: None,
            post: None,
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
    /// and out of a transaction, and once a write was refused the server is asked whether it takes any: never `DISCARD`
    /// or `RESET`, which would hit the sessions of others.
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
    /// [hook](cenote::pool::PoolBuilder::after_connect) would not. None by default.
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

    /// The same, for one of its hosts alone.
    pub(crate) fn only(mut self, host: net::Host) -> Self {
        self.endpoint = host.to_string().into();
        self.only = Some(host);
        self
    }

    /// The same, for servers with the role that the post is for.
    pub(crate) fn for_post(mut self, post: Post) -> Self {
        self.post = Some(Arc::new(post));
        self
    }

    /// The same, whatever role the server has that a pool of a cluster wanted for one.
    pub(crate) fn for_any_role(mut self) -> Self {
        self.post = None;
        self
    }

    pub(crate) fn hosts(&self) -> Vec<net::Host> {
        match &self.only {
            Some(host) => vec![host.clone()],
            None => endpoint::hosts(&self.config),
        }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    pub(crate) fn endpoint(&self) -> Arc<str> {
        self.endpoint.clone()
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
            .field("only", &self.only)
            .field("post", &self.post)
            .field("reset_mode", &self.reset_mode)
            .field("statement_cache", &self.statement_cache)
            .field("setup", &self.setup)
            .field("trusted_functions", &self.judge.trusted())
            .field("peer", &self.peer)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
