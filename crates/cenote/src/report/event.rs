//! What a pool tells as it happens: why each connection was opened and closed, what failed, who waited, who holds a
//! lease for too long.

use std::panic::Location;
use std::time::Duration;

use super::close_reason::CloseReason;
use super::connection_info::ConnectionInfo;
use crate::error::ConnectError;

/// Something that happened in a pool. Observers are called where it happened, between other work: keep them short.
///
/// What is done for every lease is not told unless [asked for](crate::pool::PoolBuilder::return_events), so that it costs
/// nothing: [`Counters::gets`](crate::report::Counters::gets) counts leases, and those whose callers had to wait are told as
/// [`EventKind::Waited`].
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

/// How a get ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GetOutcome {
    /// It gave a lease.
    Leased,
    /// It gave an error: its time was up, connecting failed, or the pool was closed.
    Failed,
    /// Its caller left: the future was dropped, as a time-out around it does.
    Abandoned,
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
    /// The set of endpoints is another.
    #[non_exhaustive]
    EndpointsChanged {
        /// How often it has changed, this time included.
        version: u64,
        /// Endpoints that were not in it before.
        added: usize,
        /// Endpoints that are not in it any more.
        removed: usize,
        /// Endpoints in it.
        now: usize,
    },
    /// The source of a set fails, for the first time since it last told a set; the last one it told stays.
    #[non_exhaustive]
    DiscoveryFailed {
        /// What the source [calls](crate::endpoints::Discover::name) itself.
        source: &'a str,
        /// Why, with its causes.
        error: &'a str,
        /// How many endpoints are kept.
        kept: usize,
    },
    /// The source of a set, which had failed, tells sets again.
    DiscoveryRecovered,
    /// An endpoint of a set gets no more leases, and its connections are closed as they come back: it has left the set, or
    /// its weight is 0.
    #[non_exhaustive]
    EndpointDraining {
        /// Connections that it has yet.
        connections: usize,
    },
    /// An endpoint of a set has drained for [`drain_timeout`](crate::pool::PoolBuilder::drain_timeout), and leases on it are
    /// out. Told once for each time that it drains, also while nobody calls. It waits for them however long they take, for a
    /// pool takes no lease away: [`Snapshot::holders`](super::Snapshot::holders) says where they were taken.
    #[non_exhaustive]
    EndpointDrainOverdue {
        /// How many.
        leases: usize,
        /// Since the endpoint gets no more of them.
        draining_for: Duration,
    },
    /// An endpoint that has left the set has no connections any more, and is forgotten.
    EndpointDrained,
    /// The ejection of an endpoint of a set is over: it gets one call at a time, until one decides whether it is back.
    EndpointProbing,
    /// An endpoint of a set has no connection any more, and cannot be reached.
    EndpointDown,
    /// An endpoint of a set has no connection any more, and is up, but [not what is wanted](crate::FailureKind::Unsuitable).
    EndpointUnsuitable,
    /// An endpoint of a set is [ejected](crate::endpoints::Ejection), or would be if fewer were.
    EndpointEjected,
    /// An endpoint of a set that was down, or unsuitable, is connected to again, or one that was ejected is back.
    EndpointUp,
    /// So many endpoints of a set are ejected that all which can be reached are used.
    #[non_exhaustive]
    PanicEntered {
        /// How many are ejected.
        ejected: usize,
        /// Of how many that can be reached.
        reachable: usize,
    },
    /// Ejected endpoints are not used any more.
    PanicLeft,
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
        /// What its holder [calls](crate::Lease::set_label) it.
        label: Option<&'static str>,
    },
    /// A lease has ended, and its connection is to be made clean, leased again or closed. Not by itself: see
    /// [`return_events`](crate::pool::PoolBuilder::return_events). Leases that end by
    /// [`discard`](crate::Lease::discard) or [`detach`](crate::Lease::detach) are told as [`Closed`](Self::Closed) alone.
    #[non_exhaustive]
    Returned {
        /// The connection's number.
        id: u64,
        /// How long it was held, to a turn of upkeep: a second at most.
        held_for: Duration,
        /// Where it was taken: the call of `get`.
        call_site: &'static Location<'static>,
        /// What its holder [calls](crate::Lease::set_label) it.
        label: Option<&'static str>,
    },
    /// A get that could not be served at once took longer than [`slow_get`](crate::pool::PoolBuilder::slow_get), and has
    /// ended, one way or the other. Told beside [`Waited`](Self::Waited) and [`TimedOut`](Self::TimedOut), after them.
    #[non_exhaustive]
    SlowGet {
        /// For how long it waited.
        waited: Duration,
        /// The call of `get`.
        call_site: &'static Location<'static>,
        /// How it ended.
        outcome: GetOutcome,
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
    /// A connector took a message of a [one-way pool](crate::one_way) and can make nothing of it, as where a codec cannot
    /// encode it. It is gone.
    #[non_exhaustive]
    MessageRefused {
        /// Why.
        error: &'a str,
    },
    /// A [one-way pool](crate::one_way) has gone with messages that were queued and not handed over to any connection:
    /// nobody waited for its [`close`](crate::one_way::OneWayPool::close), which would have given them back.
    #[non_exhaustive]
    MessagesLost {
        /// How many.
        messages: usize,
    },
}
