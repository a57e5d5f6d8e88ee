//! A listener for notifications that connects again by itself, and says when it may have missed some.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use cenote::{GetError, OwnedLease, Pool};
use tokio_postgres::Notification;

use crate::connector::PostgresConnector;
use crate::error::{Error, causes};
use crate::session::Peer;

/// How long after a connection that ended before it listened the next is asked for.
const AGAIN: Duration = Duration::from_millis(100);

/// Listens to channels (`LISTEN`) on a connection of its own, and when that ends, on the next.
///
/// The connection is of a pool of one, with the pool's back-off between dials. While it listens, the server is
/// asked for a sign of life after 4 s of quiet, and given up when it does not answer for 5 s
/// ([`ping_after`](PostgresConnector::ping_after), [`ping_timeout`](PostgresConnector::ping_timeout)).
///
/// ```no_run
/// use cenote_postgres::{Heard, PgListener, PostgresConnector};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = PostgresConnector::new("postgres://orders@db.example/orders")?;
/// let mut listener = PgListener::new(connector);
/// listener.listen("orders").await?;
/// // What was there before the listening began is read after it has begun.
/// loop {
///     match listener.next().await? {
///         Heard::Notification(n) => println!("{}: {}", n.channel(), n.payload()),
///         Heard::Gap => println!("some may have been missed: look at the table itself"),
///     }
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct PgListener {
    pool: Pool<PostgresConnector>,
    channels: BTreeSet<String>,
    /// One that listens to all of them.
    conn: Option<OwnedLease<PostgresConnector>>,
    /// What was heard last may not be all that came since.
    may_have_missed: bool,
}

/// What a [`PgListener`] hears.
#[derive(Debug)]
pub enum Heard {
    /// A notification.
    Notification(Notification),
    /// The connection ended and another listens now, or notifications came faster than they were taken: some may
    /// have been missed, so that what they tell of has to be looked at anew.
    Gap,
}

/// Why a [`PgListener`] does not listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The connector is for a transaction pooler, where no session listens: see
    /// [`behind_transaction_pooler`](PostgresConnector::behind_transaction_pooler).
    #[error(
        "nothing can be listened to behind a transaction pooler: give the listener a connector of the server itself"
    )]
    BehindPooler,
    /// There is no connection. The next call tries again.
    #[error(transparent)]
    Get(#[from] GetError),
    /// The server refused the statement.
    #[error("cannot listen: {}", causes(cause))]
    #[non_exhaustive]
    Refused {
        /// The driver's own error.
        cause: tokio_postgres::Error,
    },
}

impl PgListener {
    /// A listener to no channel yet. It connects when it is first used.
    ///
    /// Once it has had a connection it waits for the next without end, but is told at once what waiting does not
    /// mend, such as a password that was changed.
    pub fn new(connector: PostgresConnector) -> Self {
        let pool = Pool::builder(connector)
            .name("listener")
            .max_size(1)
            .acquire_timeout(None)
            .build();
        Self {
            pool: pool.expect("these settings are possible"),
            channels: BTreeSet::new(),
            conn: None,
            may_have_missed: false,
        }
    }

    /// Listens to this channel as well, from the moment that this returns. The name is taken as it is, capitals
    /// included.
    ///
    /// Cancelling it may leave the listener listening to the channel or not.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; the listener then does not listen to the channel.
    pub async fn listen(&mut self, channel: &str) -> Result<(), ListenError> {
        let is_new = self.channels.insert(channel.to_owned());
        let outcome = self.run(&format!("LISTEN {}", quoted(channel))).await;
        if outcome.is_err() && is_new {
            self.channels.remove(channel);
        }
        outcome
    }

    /// Listens to this channel no more. Notifications that came before are still heard.
    ///
    /// # Errors
    ///
    /// [`ListenError`]; the next connection does not listen to the channel all the same.
    pub async fn unlisten(&mut self, channel: &str) -> Result<(), ListenError> {
        self.channels.remove(channel);
        self.run(&format!("UNLISTEN {}", quoted(channel))).await
    }

    /// Waits for the next notification, over however many connections that takes.
    ///
    /// Cancelling it loses no notification.
    ///
    /// # Errors
    ///
    /// [`ListenError`]: no connection came about. Call it again, and it goes on trying.
    pub async fn next(&mut self) -> Result<Heard, ListenError> {
        loop {
            self.connected().await?;
            if std::mem::take(&mut self.may_have_missed) {
                return Ok(Heard::Gap);
            }
            match self.connected().await?.notification().await {
                Ok(notification) => return Ok(Heard::Notification(notification)),
                Err(Error::NotificationsLost { .. }) => return Ok(Heard::Gap),
                Err(_) => self.lose(),
            }
        }
    }

    /// The pool of the connection, for its counters and events.
    pub fn pool(&self) -> &Pool<PostgresConnector> {
        &self.pool
    }

    /// Runs a statement on the connection that listens, or has the next one listen to the channels as they are.
    async fn run(&mut self, sql: &str) -> Result<(), ListenError> {
        let Some(conn) = &self.conn else {
            return self.connected().await.map(drop);
        };
        match conn.batch_execute(sql).await {
            Ok(()) => Ok(()),
            Err(cause) if cause.code().is_some() && !conn.is_closed() => {
                Err(ListenError::Refused { cause })
            }
            Err(_) => {
                self.lose();
                self.connected().await.map(drop)
            }
        }
    }

    /// The connection that listens; a new one if need be.
    async fn connected(&mut self) -> Result<&mut OwnedLease<PostgresConnector>, ListenError> {
        while self.conn.is_none() {
            let conn = self.pool.get_owned().await?;
            if OwnedLease::connector(&conn).peer() == Peer::TransactionPooler {
                return Err(ListenError::BehindPooler);
            }
            let mut sql = String::new();
            for channel in &self.channels {
                let _ = write!(sql, "LISTEN {};", quoted(channel));
            }
            match conn.batch_execute(&sql).await {
                Ok(()) => self.conn = Some(conn),
                Err(cause) => {
                    let is_refused = cause.code().is_some() && !conn.is_closed();
                    OwnedLease::discard(conn);
                    if is_refused {
                        return Err(ListenError::Refused { cause });
                    }
                    // It was opened and has ended: no failed dial, after which the pool would wait.
                    cenote::time::sleep(AGAIN).await;
                }
            }
        }
        Ok(self.conn.as_mut().expect("put there just now"))
    }

    fn lose(&mut self) {
        if let Some(conn) = self.conn.take() {
            OwnedLease::discard(conn);
        }
        self.may_have_missed = true;
    }
}

fn quoted(channel: &str) -> String {
    format!("\"{}\"", channel.replace('"', "\"\""))
}
