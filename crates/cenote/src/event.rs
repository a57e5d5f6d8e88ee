//! What a pool tells: why each connection was opened and closed, what failed, who holds what, who waited.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use crate::error::ConnectError;

/// What is known of a connection. The default is of one that is in no pool: where a connector's methods are called by
/// hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number in this pool, from 1 in the order of opening.
    pub id: u64,
    /// Time since it was opened.
    pub age: Duration,
    /// Time since it last came back from a lease (or was opened), at the moment it was taken; as coarse as
    /// an upkeep turn.
    pub idle_for: Duration,
    /// Leases it has carried, the present one included.
    pub uses: u64,
}

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

/// Something that happened in a pool. Observers are called where it happened, between other work: keep them short.
///
/// What is done for every lease is not told, so that it costs nothing: [`Counters::gets`](crate::Counters::gets) counts
/// leases, and those whose callers had to wait are told as [`EventKind::Waited`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// The pool's name.
    pub pool: &'a str,
    /// What the pool connects to, if the connector [says](crate::Connect::endpoint).
    pub endpoint: Option<&'a str>,
    /// What happened.
    pub kind: EventKind<'a>,
}

/// What happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// A connection was opened.
    #[non_exhaustive]
    Opened {
        /// The connection.
        info: ConnectionInfo,
        /// How long the dial and the `after_connect` hook took.
        took: Duration,
    },
    /// A dial failed.
    #[non_exhaustive]
    ConnectFailed {
        /// Why.
        error: &'a ConnectError,
        /// Failures in a row, this one included.
        failures: u32,
        /// How long the pool waits before it dials again.
        retry_in: Duration,
    },
    /// A connection is leaving the pool.
    #[non_exhaustive]
    Closed {
        /// The connection.
        info: ConnectionInfo,
        /// Why.
        reason: CloseReason,
        /// What went wrong, if something did.
        error: Option<&'a str>,
    },
    /// A lease has been held for longer than `leak_threshold`. Told once for each lease.
    #[non_exhaustive]
    Leaked {
        /// The connection's number.
        id: u64,
        /// How long it has been held.
        held_for: Duration,
        /// Where it was taken: the call of `get`.
        call_site: &'static Location<'static>,
    },
    /// A caller that had to queue has a lease.
    #[non_exhaustive]
    Waited {
        /// For how long it waited.
        waited: Duration,
    },
    /// A caller's time was up.
    #[non_exhaustive]
    TimedOut {
        /// For how long it waited.
        waited: Duration,
    },
    /// A caller was sent away, for `max_waiters` were waiting.
    Rejected,
}
