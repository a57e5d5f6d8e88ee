//! What can go wrong, one type for each concern. They are cheap to clone where several callers share one
//! cause.
//!
//! `Display` says everything, the cause's text included, and so that a chain of causes repeats nothing, `source` goes
//! on behind the cause whose text `Display` has included. The driver's own error is reached by matching or by
//! `downcast_ref`.

mod connect;
mod timed_out;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::report::EndpointCondition;

pub use self::connect::ConnectError;
pub use self::timed_out::{Dialling, TimedOut};

/// Any error, as hooks return them.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error that several callers share.
pub type ArcError = Arc<dyn Error + Send + Sync>;

/// Why `get` gave no lease.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// No connection came free in time: `acquire_timeout`, or the get's own time-out.
    TimedOut(Box<TimedOut>),
    /// `max_waiters` callers were waiting already.
    #[non_exhaustive]
    QueueFull {
        /// The pool's name.
        pool: Arc<str>,
        /// The setting.
        max_waiters: usize,
    },
    /// The pool has no connection to give, and connecting fails in a way that
    /// [`connect_failures`](crate::pool::PoolBuilder::connect_failures) says is to be told; beside open connections,
    /// [`connect_failures_while_open`](crate::pool::PoolBuilder::connect_failures_while_open).
    #[non_exhaustive]
    Connect {
        /// The pool's name.
        pool: Arc<str>,
        /// Failures in a row.
        failures: u32,
        /// The last of them.
        error: ConnectError,
    },
    /// The `before_get` hook refused a connection that was just opened, so another would fare no better.
    #[non_exhaustive]
    Hook {
        /// The pool's name.
        pool: Arc<str>,
        /// What the hook said.
        error: ArcError,
    },
    /// The pool is closed.
    #[non_exhaustive]
    Closed {
        /// The pool's name.
        pool: Arc<str>,
    },
    /// There can be no pool for the [key](crate::Keyed): its settings cannot work, or the closure that is to say what they
    /// are failed or panicked.
    #[non_exhaustive]
    Setup {
        /// The name of the pools.
        pool: Arc<str>,
        /// Why.
        error: ArcError,
    },
    /// The endpoint that the caller [named](crate::pool::Get::at) serves nobody now.
    #[non_exhaustive]
    NotServing {
        /// The pool's name.
        pool: Arc<str>,
        /// Which it is, and why it does not; none of one that has left the set, or is of another pool.
        endpoint: Option<Box<NotServing>>,
    },
    /// A caller could not be served at once outside any tokio runtime (it had to wait, or its connection to
    /// be checked), and the pool has seen none that still runs.
    #[non_exhaustive]
    NoRuntime {
        /// The pool's name.
        pool: Arc<str>,
    },
}

/// An endpoint that serves nobody now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NotServing {
    /// What it is called.
    pub endpoint: Arc<str>,
    /// How it stands.
    pub condition: EndpointCondition,
    /// Why connecting to it failed last, if it did.
    pub error: Option<ConnectError>,
}

impl fmt::Display for NotServing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            endpoint,
            condition,
            error,
        } = self;
        write!(f, "endpoint {endpoint} serves nobody now: {condition}")?;
        match error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl Error for NotServing {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_ref()?.source()
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(timed_out) => timed_out.fmt(f),
            Self::QueueFull { pool, max_waiters } => {
                write!(
                    f,
                    "pool {pool}: max_waiters ({max_waiters}) callers are waiting already"
                )
            }
            Self::Connect {
                pool,
                failures: 1,
                error,
            } => {
                write!(
                    f,
                    "pool {pool}: no connection, and connecting failed: {error}"
                )
            }
            Self::Connect {
                pool,
                failures,
                error,
            } => write!(
                f,
                "pool {pool}: no connection, and connecting failed {failures} times in a row: {error}"
            ),
            Self::Hook { pool, error } => {
                write!(f, "pool {pool}: the before_get hook failed: {error}")
            }
            Self::Setup { pool, error } => {
                write!(f, "pool {pool}: cannot be set up for this key: {error}")
            }
            Self::Closed { pool } => write!(f, "pool {pool}: closed"),
            Self::NotServing {
                pool,
                endpoint: Some(endpoint),
            } => write!(f, "pool {pool}: {endpoint}"),
            Self::NotServing {
                pool,
                endpoint: None,
            } => write!(
                f,
                "pool {pool}: the endpoint that was asked for is none of its set"
            ),
            Self::NoRuntime { pool } => write!(
                f,
                "pool {pool}: no tokio runtime to connect on; call get within one, or use cenote::blocking"
            ),
        }
    }
}

impl Error for GetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TimedOut(timed_out) => timed_out.source(),
            Self::Connect { error, .. } => error.source(),
            Self::Hook { error, .. } | Self::Setup { error, .. } => error.source(),
            Self::NotServing {
                endpoint: Some(endpoint),
                ..
            } => endpoint.source(),
            Self::NotServing { endpoint: None, .. } => None,
            Self::QueueFull { .. } | Self::Closed { .. } | Self::NoRuntime { .. } => None,
        }
    }
}

impl GetError {
    /// That `pool` has no connection to give, for opening one failed, so many times in a row: for [pools of one's
    /// own](crate::any::ErasedPool).
    pub fn connect(pool: impl Into<Arc<str>>, failures: u32, error: ConnectError) -> Self {
        Self::Connect {
            pool: pool.into(),
            failures,
            error,
        }
    }

    /// That the `before_get` hook of `pool` refused a connection: for [pools of one's own](crate::any::ErasedPool).
    pub fn hook(pool: impl Into<Arc<str>>, error: ArcError) -> Self {
        Self::Hook {
            pool: pool.into(),
            error,
        }
    }

    /// That `pool` cannot be set up for the key that is asked for: for [pools by key of one's
    /// own](crate::any::ErasedKeyed).
    pub fn setup(pool: impl Into<Arc<str>>, error: ArcError) -> Self {
        Self::Setup {
            pool: pool.into(),
            error,
        }
    }

    /// That `pool` is closed: for [pools of one's own](crate::any::ErasedPool).
    pub fn closed(pool: impl Into<Arc<str>>) -> Self {
        Self::Closed { pool: pool.into() }
    }

    /// The last connect error, if connecting is what went wrong.
    pub fn connect_error(&self) -> Option<&ConnectError> {
        match self {
            Self::Connect { error, .. } => Some(error),
            Self::TimedOut(timed_out) => timed_out.connect_error.as_ref(),
            _ => None,
        }
    }

    /// The error behind this one, if there is one and it is an `E`: the connector's, a hook's, or that of a key's setup.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Hook { error, .. } | Self::Setup { error, .. } => error.downcast_ref(),
            _ => self.connect_error()?.downcast_ref(),
        }
    }

    /// Whether time ran out.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut(_))
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
    /// [`is_open`](crate::Connect::is_open) says no, or panicked.
    #[error("the connection is not open")]
    Broken(T),
    /// The pool is over a set of endpoints, and opens its connections itself.
    #[error("the pool is over a set of endpoints, and opens its connections itself")]
    Set(T),
    /// There is an `after_connect` hook, and no tokio runtime to run it on.
    #[error("there is no tokio runtime to run the after_connect hook on")]
    NoRuntime(T),
}

impl<T> AddError<T> {
    /// The same refusal of what the connection is turned into.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> AddError<U> {
        match self {
            Self::Full(conn) => AddError::Full(change(conn)),
            Self::Closed(conn) => AddError::Closed(change(conn)),
            Self::Broken(conn) => AddError::Broken(change(conn)),
            Self::Set(conn) => AddError::Set(change(conn)),
            Self::NoRuntime(conn) => AddError::NoRuntime(change(conn)),
        }
    }
}

impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::Broken(_) => "Broken(..)",
            Self::Set(_) => "Set(..)",
            Self::NoRuntime(_) => "NoRuntime(..)",
        })
    }
}

impl<T> AddError<T> {
    /// The connection.
    pub fn into_connection(self) -> T {
        match self {
            Self::Full(conn)
            | Self::Closed(conn)
            | Self::Broken(conn)
            | Self::Set(conn)
            | Self::NoRuntime(conn) => conn,
        }
    }
}

/// An error's text with those of all its causes behind it, as in `cannot connect: connection refused`: for logs, and
/// for the errors of connectors, whose texts should be complete where those of their drivers leave the cause to
/// [`source`](Error::source).
///
/// Nothing is left out where an error repeats its cause in its own text.
///
/// ```
/// #[derive(Debug, thiserror::Error)]
/// #[error("cannot reach the printer")]
/// struct Unreachable(#[source] std::io::Error);
///
/// let error = Unreachable(std::io::ErrorKind::ConnectionRefused.into());
/// assert_eq!(cenote::error::with_causes(&error), "cannot reach the printer: connection refused");
/// ```
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
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

impl SettingsError {
    /// For the settings of what is built on this crate: a connector, a source.
    pub fn new(
        setting: &'static str,
        value: impl Into<String>,
        accepted: impl Into<String>,
    ) -> Self {
        Self {
            setting,
            value: value.into(),
            accepted: accepted.into(),
        }
    }
}
