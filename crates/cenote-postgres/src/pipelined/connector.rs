//! Opens connections for a shared pool and tells it how to keep them.

use std::fmt;
use std::time::Duration;

use cenote::report::CloseReason;
use cenote::{Connect, ConnectionInfo, Dial, FailureKind, Multiplex, Verdict};

use super::PipelinedConnection;
use super::probe::Identity;
use super::vitals::{Patience, Vitals};
use super::watch::Watched;
use crate::connector::PostgresConnector;
use crate::endpoint::Users;
use crate::error::{ConfigError, Error, Unclean};
use crate::session::Peer;

/// Room for all the users of a usual program on one connection, and few enough that nobody stands behind many
/// thousands.
const CAPACITY: usize = 1_000;

/// What a program can spare for each connection, and more than the replies of short statements take.
const REPLY_BOUND: usize = 64 << 20;

/// With it a dead connection is replaced within ten seconds, and few statements that belong on a shared
/// connection run as long.
const SILENCE_LIMIT: Duration = Duration::from_secs(4);

/// One impatient caller proves nothing, nor does the next.
const MAX_TIMEOUTS: u32 = 3;

/// A connector for a [`SharedPool`](cenote::SharedPool) of connections to a PostgreSQL server.
///
/// ```no_run
/// use cenote::SharedPool;
/// use cenote_postgres::PipelinedConnector;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = PipelinedConnector::new("postgres://orders:secret@db.example/orders")?;
/// let pool = SharedPool::builder(connector).name("orders").build()?;
///
/// let conn = pool.get().await?;
/// let order = conn.query_opt("SELECT total FROM orders WHERE id = $1", &[&42_i64]).await?;
/// # Ok(())
/// # }
/// ```
///
/// Its text forms are those of the [`PostgresConnector`] it is made of, which also has the other settings.
#[derive(Clone)]
pub struct PipelinedConnector {
    postgres: PostgresConnector,
    capacity: usize,
    reply_bound: usize,
    silence_limit: Option<Duration>,
    max_timeouts: u32,
}

impl PipelinedConnector {
    /// A connector for the server at `url`, as [`PostgresConnector::new`] takes it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names what is wrong, and what would be accepted.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(PostgresConnector::new(url)?.into())
    }

    /// How many users a connection carries at once: 1,000 by default. With 0 it carries none.
    ///
    /// The server works for one of them at a time, so this bounds how many statements one may stand behind: at
    /// 0.1 ms for each, a full connection answers within 100 ms, and a statement of one second holds up all the
    /// others for as long. A smaller number opens more connections sooner (up to
    /// [`max_size`](cenote::shared::SharedPoolBuilder::max_size)), on which the server works at the same time.
    #[must_use]
    pub fn capacity(mut self, users: usize) -> Self {
        self.capacity = users;
        self
    }

    /// How many bytes of replies a connection holds for callers that have not taken them yet: 64 MiB by
    /// default.
    ///
    /// Replies are read as they come, whether their callers are polled or not, so that a caller that does
    /// something else first holds up nobody. A reply counts from its first row until its caller has all of it,
    /// with what its rows take in memory. At the bound, the rest of the reply that comes is read and dropped,
    /// and its caller gets [`TooLarge`](super::PipelinedError::TooLarge); one that takes no more than a 4096th
    /// of the bound is held in any case. One row counts only once it is there: how large a row may be, the
    /// server alone says, up to 1 GiB.
    #[must_use]
    pub fn reply_bound(mut self, bytes: usize) -> Self {
        self.reply_bound = bytes;
        self
    }

    /// How long the server may be silent while it owes answers, before something is done about it: 4 seconds
    /// by default. `None` lets a silent connection live. Any byte breaks the silence, be it of a huge row that comes
    /// slowly.
    ///
    /// After half of it, a connection on which [`max_timeouts`](Self::max_timeouts) callers in a row gave up is
    /// suspect: it takes no new caller until something comes, and ends when nobody waits for it any more. After
    /// all of it, the server is asked what became of the session, by a session of its own for a moment, beside
    /// those that the pool counts: while a statement runs in it, the connection lives, however long that takes,
    /// and the server is asked again after twice the time; when the session is gone, or has had nothing to do
    /// for half of the silence, the connection ends. Where the server cannot be reached within this time, the
    /// connection ends if callers gave up, else it takes no new ones meanwhile; where the server does not say,
    /// or behind a transaction pooler, the connection lives.
    ///
    /// A connection that owes nothing is asked for a sign of life after as long (not behind a transaction
    /// pooler), and ends if none comes in half of that and nobody waits. One whose runtime stands still, so that nobody
    /// reads what the server answers, ends for callers on other runtimes after one and a half times this, once
    /// `max_timeouts` of them gave up.
    ///
    /// A caller that waits on a connection that ends gets [`Closed`](super::PipelinedError::Closed) at once, and the
    /// server is asked to cancel what it still runs for it.
    #[must_use]
    pub fn silence_limit(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.silence_limit = limit.into();
        self
    }

    /// After how many calls in a row that were given up (their futures dropped, as by a time-out) with not a byte
    /// in between a silent connection becomes suspect, as [`silence_limit`](Self::silence_limit) says: 3
    /// by default, and at least 1.
    #[must_use]
    pub fn max_timeouts(mut self, in_a_row: u32) -> Self {
        self.max_timeouts = in_a_row.max(1);
        self
    }
}

/// With that connector's endpoint, TLS, `setup`, statement cache and reset mode; the latter is for when a
/// connection leaves service.
impl From<PostgresConnector> for PipelinedConnector {
    fn from(postgres: PostgresConnector) -> Self {
        Self {
            postgres,
            capacity: CAPACITY,
            reply_bound: REPLY_BOUND,
            silence_limit: Some(SILENCE_LIMIT),
            max_timeouts: MAX_TIMEOUTS,
        }
    }
}

impl Connect for PipelinedConnector {
    type Connection = PipelinedConnection;
    type Error = Error;

    /// Opens a connection, logs in and runs [`setup`](PostgresConnector::setup).
    async fn connect(&self, dial: &Dial) -> Result<PipelinedConnection, Error> {
        let conn = self.postgres.connect_for(Users::Many, dial).await?;
        let patience = self.silence_limit.map(|silence_limit| Patience {
            silence_limit,
            max_timeouts: self.max_timeouts,
        });
        let status = conn.session().status().clone();
        let vitals = Vitals::new(patience, status, conn.give_up(), dial.signals());
        let watch = match patience {
            None => None,
            Some(patience) => {
                let watched = Watched {
                    vitals: vitals.clone(),
                    client: conn.weak_client(),
                    identity: match conn.session().peer() {
                        Peer::Server => Identity::of(&conn).await,
                        // Each statement is another session's.
                        Peer::TransactionPooler => None,
                    },
                    peer: conn.session().peer(),
                    connector: self.postgres.clone().for_any_role(),
                    patience,
                };
                Some(watched.start())
            }
        };
        let (endpoint, bound) = (self.postgres.endpoint(), self.reply_bound);
        Ok(PipelinedConnection::new(
            conn, endpoint, bound, vitals, watch,
        ))
    }

    /// As [`PostgresConnector`] does.
    fn classify(&self, error: &Error) -> FailureKind {
        self.postgres.classify(error)
    }

    /// False once the server closed the connection, or it broke, or was given up, or prepared statements that
    /// it relies on are gone, or its server has not the role any more that a
    /// [`PostgresCluster`](crate::PostgresCluster) wants.
    fn is_open(&self, conn: &PipelinedConnection) -> bool {
        conn.is_fit()
    }

    /// Asked when a connection leaves service: reset if a call was cut short, so that its answer is out of the
    /// way; closed if a user kept a clone.
    fn verdict(&self, conn: &mut PipelinedConnection) -> Verdict {
        match (conn.is_fit(), conn.exclusive_mut()) {
            (true, Some(conn)) => self.postgres.verdict(conn),
            _ => Verdict::Close,
        }
    }

    /// Host and port, as errors name them.
    fn endpoint(&self) -> Option<String> {
        Some(self.postgres.endpoint().to_string())
    }

    /// As [`PostgresConnector`] does: one round trip.
    async fn check(&self, conn: &mut PipelinedConnection, _: &ConnectionInfo) -> Result<(), Error> {
        let _owed = conn.vitals().owe();
        self.postgres.ask(conn.exclusive()).await
    }

    /// As [`PostgresConnector`] does: waits for outstanding replies, in one round trip.
    async fn reset(
        &self,
        conn: &mut PipelinedConnection,
        info: &ConnectionInfo,
    ) -> Result<(), Error> {
        let _owed = conn.vitals().owe();
        match conn.exclusive_mut() {
            Some(conn) => self.postgres.reset(conn, info).await,
            None => Err(Error::Unclean {
                endpoint: self.postgres.endpoint(),
                reason: Unclean::InUse,
            }),
        }
    }

    /// Ends a connection of which a user kept a clone, without a goodbye.
    fn leaving(&self, conn: &mut PipelinedConnection, _: &ConnectionInfo, reason: CloseReason) {
        if reason != CloseReason::Detached {
            conn.leave();
        }
    }

    /// Says goodbye and waits until the server has ended the session, for a second at most.
    async fn close(&self, conn: PipelinedConnection, _: &ConnectionInfo) {
        conn.close().await;
    }
}

impl Multiplex for PipelinedConnector {
    /// As [`capacity`](PipelinedConnector::capacity) says; 0 while there is reason to doubt that the server
    /// will answer ([`silence_limit`](PipelinedConnector::silence_limit)).
    fn capacity(&self, conn: &PipelinedConnection) -> usize {
        match conn.vitals().is_suspect() {
            true => 0,
            false => self.capacity,
        }
    }
}

impl fmt::Display for PipelinedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.postgres.fmt(f)
    }
}

impl fmt::Debug for PipelinedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelinedConnector")
            .field("postgres", &self.postgres)
            .field("capacity", &self.capacity)
            .field("reply_bound", &self.reply_bound)
            .field("silence_limit", &self.silence_limit)
            .field("max_timeouts", &self.max_timeouts)
            .finish()
    }
}
