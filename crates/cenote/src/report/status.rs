//! What a pool looks like from outside, now.

use std::fmt;

use crate::plural::plural;

/// Whether a pool gives leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolState {
    /// It does.
    Open,
    /// Not until [`Pool::resume`](crate::Pool::resume); callers queue.
    Paused,
    /// Never again.
    Closed,
}

impl fmt::Display for PoolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Closed => "closed",
        })
    }
}

/// A pool at one moment. Exact when nobody is using it; under way, each number is right for some moment
/// of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether it gives leases.
    pub state: PoolState,
    /// Connections it may have; over a [set](crate::Pool::balanced), as many as the endpoints that may serve can have, if
    /// that is less.
    pub max_size: usize,
    /// Connections it has: `idle + leased + upkeep`.
    pub size: usize,
    /// Connections without a lease, ready for one.
    pub idle: usize,
    /// Connections in users' hands: with one lease, or of a [`SharedPool`](crate::SharedPool) at least one.
    pub leased: usize,
    /// Connections in the pool's own hands: being checked, reset or closed; or of a [`SharedPool`](crate::SharedPool) not
    /// ready, and without a lease.
    pub upkeep: usize,
    /// Connections being opened. `size + opening` never exceeds `max_size`, unless that was lowered while
    /// more were leased.
    pub opening: usize,
    /// Callers that wait.
    pub waiters: usize,
    /// Of a [`SharedPool`](crate::SharedPool): how leases share the connections.
    pub sharing: Option<Sharing>,
}

/// How leases share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sharing {
    /// Leases out, those on draining connections included.
    pub in_flight: usize,
    /// Leases that the active connections could carry at once, by what they said last.
    pub capacity: usize,
    /// Connections that get new leases. Others that are idle are parked, and are made active, or checked
    /// before, when the load asks for more.
    pub serving: usize,
    /// Connections that get no new leases and leave once those they carry have ended.
    pub draining: usize,
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            in_flight,
            capacity,
            serving,
            draining,
        } = self;
        write!(
            f,
            "{} out, room for {capacity} on {serving} in service, {draining} draining",
            plural(*in_flight, "lease")
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            state,
            max_size,
            size,
            idle,
            leased,
            upkeep,
            opening,
            waiters,
            sharing,
        } = self;
        write!(
            f,
            "{state}, {size} of {}: {idle} idle, {leased} leased, {upkeep} in upkeep; {opening} opening, \
             {waiters} waiting",
            plural(*max_size, "connection")
        )?;
        match sharing {
            Some(sharing) => write!(f, "; {sharing}"),
            None => Ok(()),
        }
    }
}
