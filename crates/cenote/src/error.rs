//! What can go wrong, one type for each concern. They are cheap to clone where several getters share one
//! cause, and every one leads to the driver's own error through `source`.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::status::Status;

/// Any error, as hooks return them.
pub type BoxError = Box<dyn Error + Send + Sync>;

type SharedError = Arc<dyn Error + Send + Sync>;

/// Why a connection could not be opened. Cheap to clone: all getters that waited for it share it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connector's error.
    #[error("connecting failed: {0}")]
    Failed(#[source] SharedError),
    /// `connect_timeout` passed.
    #[error("connecting took longer than connect_timeout ({0:?})")]
    TimedOut(Duration),
    /// The connector panicked; the message of the panic.
    #[error("connecting panicked: {0}")]
    Panicked(Arc<str>),
    /// The `after_connect` hook refused the connection.
    #[error("the after_connect hook failed: {0}")]
    Hook(#[source] SharedError),
    /// The runtime that dialled was shut down meanwhile.
    #[error("connecting was cut short: the runtime it ran on was shut down")]
    Aborted,
}

impl ConnectError {
    /// The connector's own error, if there was one and it is an `E`.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Failed(error) | Self::Hook(error) => error.downcast_ref(),
            _ => None,
        }
    }
}

/// Why `get` gave no lease.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// No connection came free in time: `acquire_timeout`, or the getter's own time-out.
    #[error(transparent)]
    TimedOut(Box<TimedOut>),
    /// `max_waiters` getters were waiting already.
    #[error("pool {pool}: max_waiters ({max_waiters}) getters are waiting already")]
    QueueFull {
        /// The pool's name.
        pool: Arc<str>,
        /// The setting.
        max_waiters: usize,
    },
    /// The pool has no connection, and connecting failed as often as
    /// [`connect_failures`](crate::Builder::connect_failures) permits.
    #[error("pool {pool}: no connection, and connecting failed {failures} times in a row: {error}")]
    Connect {
        /// The pool's name.
        pool: Arc<str>,
        /// Failures in a row.
        failures: u32,
        /// The last of them.
        #[source]
        error: ConnectError,
    },
    /// The `before_get` hook refused a connection that was just opened, so another would fare no better.
    #[error("pool {pool}: the before_get hook failed: {error}")]
    Hook {
        /// The pool's name.
        pool: Arc<str>,
        /// What the hook said.
        #[source]
        error: SharedError,
    },
    /// The pool is closed.
    #[error("pool {pool}: closed")]
    Closed {
        /// The pool's name.
        pool: Arc<str>,
    },
    /// A getter had to wait outside any tokio runtime, and the pool has never seen one.
    #[error(
        "pool {pool}: no tokio runtime to connect on; call get within one, or use cenote::blocking"
    )]
    NoRuntime {
        /// The pool's name.
        pool: Arc<str>,
    },
}

impl GetError {
    /// The last connect error, if connecting is what went wrong.
    pub fn connect_error(&self) -> Option<&ConnectError> {
        match self {
            Self::Connect { error, .. } => Some(error),
            Self::TimedOut(timed_out) => timed_out.connect_error.as_ref(),
            _ => None,
        }
    }

    /// Whether time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }
}

/// A getter waited in vain: how long, what the pool looked like, and the last connect error if connects
/// have been failing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimedOut {
    /// The pool's name.
    pub pool: Arc<str>,
    /// How long the getter waited.
    pub waited: Duration,
    /// The pool when it gave up.
    pub status: Status,
    /// Why connects have been failing since the last that did not.
    pub connect_error: Option<ConnectError>,
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            waited,
            status,
            connect_error,
        } = self;
        write!(f, "pool {pool}: no connection within {waited:?} ({status})")?;
        match connect_error {
            Some(error) => write!(f, "; {error}"),
            None => Ok(()),
        }
    }
}

impl Error for TimedOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.connect_error.as_ref().map(|error| error as _)
    }
}

/// Why `try_get` gave no lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryGetError {
    /// Nothing is idle, or others wait for it, or what is idle must be checked first (which the pool now
    /// does).
    #[error("no connection is idle")]
    NoneIdle,
    /// The pool is paused.
    #[error("the pool is paused")]
    Paused,
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
}

/// Why a connection could not be added; it comes back with the error.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError<T> {
    /// The pool has `max_size` connections.
    #[error("the pool has max_size connections already")]
    Full(T),
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed(T),
}

impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> AddError<T> {
    /// The connection.
    pub fn into_connection(self) -> T {
        match self {
            Self::Full(conn) | Self::Closed(conn) => conn,
        }
    }
}

/// A setting that can't work: which, what it was, and what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} is {value}, which can't work: {accepted}")]
#[non_exhaustive]
pub struct SettingsError {
    /// The setting's name.
    pub setting: &'static str,
    /// What it was set to.
    pub value: String,
    /// What is accepted.
    pub accepted: String,
}
