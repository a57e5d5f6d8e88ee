//! Why connections leave their pools.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a connection left its pool.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum CloseReason {
            $($(#[$doc])* $name,)*
        }

        impl CloseReason {
            /// Every reason.
            pub const ALL: &'static [CloseReason] = &[$(CloseReason::$name),*];

            /// A short name, fit for a metric's label.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(CloseReason::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// Idle for longer than `idle_timeout`.
    IdleTimeout = "idle_timeout",
    /// Older than its `max_lifetime`, jitter taken off.
    MaxLifetime = "max_lifetime",
    /// More idle connections than `max_idle`.
    MaxIdle = "max_idle",
    /// More connections than `max_size` after a resize.
    Resized = "resized",
    /// Another pool of the same [`Budget`](crate::Budget) had a use for its place, or the budget became smaller.
    Budget = "budget",
    /// Sent away by `evict` or `retain`.
    Evicted = "evicted",
    /// Its endpoint is no longer one of the pool's set, or is to get no more, or has other addresses.
    EndpointGone = "endpoint_gone",
    /// Another endpoint of the set should have a connection, and the pool had all that it may have.
    Rebalanced = "rebalanced",
    /// The pool was closed.
    PoolClosed = "pool_closed",
    /// `is_open` said no.
    Broken = "broken",
    /// The check before a lease or while idle failed, panicked or timed out.
    CheckFailed = "check_failed",
    /// The reset after a lease failed, panicked or timed out, or there was no runtime to run it.
    ResetFailed = "reset_failed",
    /// The verdict at return was to close it, or panicked.
    Verdict = "verdict",
    /// A hook of the user's refused it or panicked.
    Hook = "hook",
    /// Its holder retired it.
    Retired = "retired",
    /// The holder discarded it.
    Discarded = "discarded",
    /// The holder panicked with the lease in hand.
    Panicked = "panicked",
    /// The holder took it out of the pool.
    Detached = "detached",
    /// The task that worked on it was cut short, by the end of its runtime.
    Aborted = "aborted",
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
