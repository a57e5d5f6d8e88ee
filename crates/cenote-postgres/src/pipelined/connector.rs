//! Opens connections for a shared pool and tells it how to keep them.

use std::fmt;

use cenote::{Connect, Dial, Verdict};

use super::PipelinedConnection;
use crate::connector::PostgresConnector;
use crate::error::{ConfigError, Error};

/// Room for all the users of a usual program on one connection, and few enough that nobody stands behind many
/// thousands.
const CAPACITY: usize = 1_000;

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
    /// [`max_size`](cenote::SharedBuilder::max_size)), on which the server works at the same time.
    #[must_use]
    pub fn capacity(mut self, users: usize) -> Self {
        self.capacity = users;
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
        }
    }
}

impl Connect for PipelinedConnector {
    type Connection = PipelinedConnection;
    type Error = Error;

    /// Opens a connection, logs in and runs [`setup`](PostgresConnector::setup).
    async fn connect(&self, dial: &Dial) -> Result<PipelinedConnection, Error> {
        let conn = self.postgres.connect(dial).await?;
        Ok(PipelinedConnection::new(conn, self.postgres.endpoint()))
    }

    /// False once the server closed the connection, or it broke, or prepared statements that it relies on are
    /// gone.
    fn is_open(&self, conn: &PipelinedConnection) -> bool {
        conn.exclusive().is_fit()
    }

    /// As [`capacity`](PipelinedConnector::capacity) says, at any time.
    fn capacity(&self, _: &PipelinedConnection) -> usize {
        self.capacity
    }

    /// Asked when a connection leaves service: reset if a call was cut short, so that its answer is out of the
    /// way.
    fn verdict(&self, conn: &mut PipelinedConnection) -> Verdict {
        self.postgres.verdict(conn.exclusive_mut())
    }

    /// An empty query: one round trip.
    async fn check(&self, conn: &mut PipelinedConnection) -> Result<(), Error> {
        self.postgres.check(conn.exclusive_mut()).await
    }

    /// As [`PostgresConnector`] does: waits for outstanding replies, in one round trip.
    async fn reset(&self, conn: &mut PipelinedConnection) -> Result<(), Error> {
        self.postgres.reset(conn.exclusive_mut()).await
    }

    /// Says goodbye and waits until the socket is closed.
    async fn close(&self, conn: PipelinedConnection) {
        self.postgres.close(conn.into_exclusive()).await;
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
            .finish()
    }
}
