//! Why a call failed, and why a connection ended.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ArcError;
use crate::plural::plural;

/// Why a call has no reply.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// No reply within `call_timeout`, or the call's own time-out.
    #[non_exhaustive]
    TimedOut {
        /// The time-out.
        limit: Duration,
        /// Whether the peer may have seen the request.
        sent: Sent,
    },
    /// As many requests as may be pending are, and `max_queued` wait for their turn.
    #[non_exhaustive]
    QueueFull {
        /// The setting.
        max_queued: usize,
    },
    /// The connection ended.
    #[non_exhaustive]
    Disconnected {
        /// Why.
        cause: Disconnected,
        /// Whether the peer may have seen the request.
        sent: Sent,
    },
    /// The codec could not encode the request. Nothing was written; the connection is as before.
    Encode(ArcError),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { limit, sent } => write!(f, "no reply within {limit:?}{sent}"),
            Self::QueueFull { max_queued } => write!(
                f,
                "{} queued already, the most there may be (max_queued)",
                plural(*max_queued, "call")
            ),
            Self::Disconnected { cause, sent } => write!(f, "the connection ended: {cause}{sent}"),
            Self::Encode(error) => write!(f, "the request could not be encoded: {error}"),
        }
    }
}

// As all errors here: the causes behind the one whose text is in `Display`.
impl Error for CallError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Disconnected { cause, .. } => cause.source(),
            Self::Encode(error) => error.source(),
            Self::TimedOut { .. } | Self::QueueFull { .. } => None,
        }
    }
}

impl CallError {
    /// A call that had no reply within `limit`: for tests of what is built on a mux.
    pub fn timed_out(limit: Duration, sent: Sent) -> Self {
        Self::TimedOut { limit, sent }
    }

    /// A call whose connection ended: for tests of what is built on a mux.
    pub fn lost(cause: Disconnected, sent: Sent) -> Self {
        Self::Disconnected { cause, sent }
    }

    /// Whether the peer may have seen the request. If not, it is safe to send it again elsewhere.
    pub fn sent(&self) -> Sent {
        match self {
            Self::TimedOut { sent, .. } | Self::Disconnected { sent, .. } => *sent,
            Self::QueueFull { .. } | Self::Encode(_) => Sent::No,
        }
    }
}

/// Whether the peer may have seen a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It has seen nothing of it.
    No,
    /// It may have, and may have acted on it.
    Maybe,
}

/// As the end of a sentence about a request.
impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::No => "; the request was not sent",
            Self::Maybe => "; the request may have arrived",
        })
    }
}

/// Why a connection ended. Every call that was pending learns it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Disconnected {
    /// The peer closed it.
    PeerClosed,
    /// The peer closed it in the middle of a frame.
    CutShort,
    /// Reading or writing failed.
    Io(Arc<io::Error>),
    /// The codec could not make sense of what the peer sent.
    Malformed(ArcError),
    /// More bytes without a whole frame than `max_frame`.
    #[non_exhaustive]
    FrameTooLong {
        /// The setting.
        limit: usize,
    },
    /// A reply with a tag that no pending request has.
    #[non_exhaustive]
    UnknownTag {
        /// The tag.
        tag: u64,
    },
    /// A reply when no request was pending, or one without a tag.
    NoRequest,
    /// The codec could not encode the ping.
    Ping(ArcError),
    /// Silence: not a byte within `ping_timeout` of a ping.
    #[non_exhaustive]
    Silent {
        /// The setting.
        limit: Duration,
    },
    /// Too many calls in a row timed out, or too many whose callers have left were never answered: it took
    /// no new calls any more, and the pending ones have ended.
    #[non_exhaustive]
    Sick {
        /// In a row.
        timed_out: u32,
        /// Requests without a reply whose callers had left.
        abandoned: usize,
    },
    /// Closed from this side: [`Mux::close`](super::Mux::close), or the last handle was dropped.
    Closed,
    /// The codec panicked, or other code that was given to the mux: the ping's, a reply's drop.
    Panicked,
    /// The runtime that the connection lived on was shut down.
    RuntimeGone,
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed it"),
            Self::CutShort => f.write_str("the peer closed it in the middle of a frame"),
            Self::Io(error) => error.fmt(f),
            Self::Malformed(error) => write!(f, "what the peer sent cannot be decoded: {error}"),
            Self::FrameTooLong { limit } => write!(
                f,
                "the peer sent {} without ending a frame, the most there may be (max_frame)",
                plural(*limit, "byte")
            ),
            Self::UnknownTag { tag } => {
                write!(
                    f,
                    "the peer replied to tag {tag}, which no pending request has"
                )
            }
            Self::NoRequest => f.write_str("the peer sent a reply to no request"),
            Self::Ping(error) => write!(f, "the ping could not be encoded: {error}"),
            Self::Silent { limit } => write!(
                f,
                "not a byte from the peer within {limit:?} of a ping (ping_timeout)"
            ),
            Self::Sick {
                timed_out,
                abandoned,
            } => write!(
                f,
                "the peer answers too little: {} in a row timed out, {} left without a reply",
                plural(*timed_out, "call"),
                plural(*abandoned, "call")
            ),
            Self::Closed => f.write_str("it was closed from this side"),
            Self::Panicked => f.write_str("its codec panicked"),
            Self::RuntimeGone => f.write_str("the runtime it lived on was shut down"),
        }
    }
}

impl Error for Disconnected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(error) => error.source(),
            Self::Malformed(error) | Self::Ping(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for Disconnected {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
