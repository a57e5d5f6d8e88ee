//! Why a message was not taken; it comes back with the error.

use std::fmt;

/// Why a [`OneWayPool`](super::OneWayPool) did not take a message, and the message.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<M> {
    /// As many messages are queued as may be, or others wait for a place: of [`try_send`](super::OneWayPool::try_send)
    /// alone.
    #[error("the queue is full")]
    Full(M),
    /// The pool is closed, before or while waiting for a place.
    #[error("the pool is closed")]
    Closed(M),
    /// There is no tokio runtime to forward messages on: neither the caller's nor one that the pool was used on before and
    /// that still runs.
    #[error("there is no tokio runtime to forward messages on")]
    NoRuntime(M),
}

impl<M> SendError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full(message) | Self::Closed(message) | Self::NoRuntime(message) => message,
        }
    }
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
            Self::NoRuntime(_) => "NoRuntime(..)",
        })
    }
}
