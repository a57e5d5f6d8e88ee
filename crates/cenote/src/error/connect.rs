//! Why a connection could not be opened.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ArcError;

/// Why a connection could not be opened. Cheap to clone: all callers that waited for it share it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connector's error.
    Failed(ArcError),
    /// `connect_timeout` passed.
    #[non_exhaustive]
    TimedOut {
        /// The setting.
        limit: Duration,
        /// What was dialled, if the connector [says](crate::Connect::endpoint).
        endpoint: Option<Arc<str>>,
    },
    /// Endpoints of a set can't be reached: each with why its last dial failed.
    #[non_exhaustive]
    Endpoints {
        /// What each is called, and why; some of them, if there are many.
        failed: Arc<[(Arc<str>, ConnectError)]>,
        /// How many more there are.
        others: usize,
    },
    /// The set has no endpoint that may serve.
    #[non_exhaustive]
    NoEndpoint {
        /// How its discovery stands.
        discovery: Arc<str>,
    },
    /// The connector panicked; the message of the panic.
    Panicked(Arc<str>),
    /// The `after_connect` hook refused the connection.
    Hook(ArcError),
    /// The connection was dead before anyone could use it: `is_open` said no, or its first check failed.
    DeadOnArrival,
    /// The runtime that dialled was shut down meanwhile.
    Aborted,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::TimedOut { limit, endpoint } => {
                match endpoint {
                    Some(endpoint) => write!(f, "{endpoint} took")?,
                    None => f.write_str("it took")?,
                }
                write!(f, " longer than connect_timeout ({limit:?})")
            }
            Self::Endpoints { failed, others } => {
                for (i, (name, error)) in failed.iter().enumerate() {
                    let text = error.to_string();
                    let separator = if i == 0 { "" } else { "; " };
                    // Many connectors name it themselves.
                    match is_named(&text, name) {
                        true => write!(f, "{separator}{text}")?,
                        false => write!(f, "{separator}{name}: {text}")?,
                    }
                }
                match others {
                    0 => Ok(()),
                    others => write!(f, "; and {others} more"),
                }
            }
            Self::NoEndpoint { discovery } => write!(f, "no endpoint is known ({discovery})"),
            Self::Panicked(message) => write!(f, "the connector panicked: {message}"),
            Self::Hook(error) => write!(f, "the after_connect hook failed: {error}"),
            Self::DeadOnArrival => f.write_str("the new connection was dead before its first use"),
            Self::Aborted => f.write_str("the runtime that dialled was shut down"),
        }
    }
}

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) | Self::Hook(error) => error.source(),
            Self::Endpoints { .. }
            | Self::NoEndpoint { .. }
            | Self::TimedOut { .. }
            | Self::Panicked(_)
            | Self::DeadOnArrival
            | Self::Aborted => None,
        }
    }
}

impl ConnectError {
    /// An attempt at `endpoint` that took longer than `limit`.
    pub(crate) fn timed_out(endpoint: Option<Arc<str>>, limit: Duration) -> Self {
        Self::TimedOut { limit, endpoint }
    }

    /// The connector's own error, or that of the `after_connect` hook, if there was one and it is an `E`; of several
    /// endpoints the first.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Failed(error) | Self::Hook(error) => error.downcast_ref(),
            Self::Endpoints { failed, .. } => {
                failed.iter().find_map(|(_, error)| error.downcast_ref())
            }
            _ => None,
        }
    }
}

/// Whether `text` has `name` as a word of its own.
fn is_named(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(is_part) && !after.starts_with(is_part)
    })
}
