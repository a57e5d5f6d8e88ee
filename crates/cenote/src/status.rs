//! What a pool looks like from outside: its state now, and what happened since it began.

use std::fmt;

use crate::event::CloseReason;

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
    /// Connections it may have.
    pub max_size: usize,
    /// Connections it has: `idle + leased + upkeep`.
    pub size: usize,
    /// Connections without a lease, ready for one.
    pub idle: usize,
    /// Connections in users' hands: with one lease, or of a [`SharedPool`](crate::SharedPool) at least one.
    pub leased: usize,
    /// Connections in the pool's own hands: being checked, reset or closed.
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
    /// Leases that the connections in service could carry at once, by what they said last.
    pub capacity: usize,
    /// Connections that get new leases. Others that are idle rest, and are taken into service, or checked
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
            "{in_flight} leases out, room for {capacity} on {serving} in service, {draining} draining"
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
            "{state}, {size} of {max_size} connections: {idle} idle, {leased} leased, {upkeep} in upkeep; \
             {opening} opening, {waiters} waiting"
        )?;
        match sharing {
            Some(sharing) => write!(f, "; {sharing}"),
            None => Ok(()),
        }
    }
}

/// What happened since the pool began. Exact when nobody is using it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Leases given.
    pub gets: u64,
    /// Times a caller queued: for a connection to come back or to be opened, whether it got one or not.
    pub waited: u64,
    /// Callers that gave up after their time-out.
    pub timed_out: u64,
    /// Callers sent away because `max_waiters` were waiting.
    pub rejected: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connects that failed, timed out or panicked.
    pub connect_failed: u64,
    /// Checks run: before a lease, or while idle.
    pub checks: u64,
    /// Resets run after a lease.
    pub resets: u64,
    /// Leases reported as held for longer than `leak_threshold`.
    pub leaks: u64,
    pub(crate) closed: [u64; CloseReason::ALL.len()],
}

impl Counters {
    /// Connections the pool closed or gave away.
    pub fn closed(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Connections closed for `reason`.
    pub fn closed_by(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed: Vec<_> = CloseReason::ALL
            .iter()
            .map(|&why| (why.as_str(), self.closed_by(why)))
            .collect();
        f.debug_struct("Counters")
            .field("gets", &self.gets)
            .field("waited", &self.waited)
            .field("timed_out", &self.timed_out)
            .field("rejected", &self.rejected)
            .field("opened", &self.opened)
            .field("connect_failed", &self.connect_failed)
            .field("checks", &self.checks)
            .field("resets", &self.resets)
            .field("leaks", &self.leaks)
            .field(
                "closed",
                &closed
                    .into_iter()
                    .filter(|(_, n)| *n > 0)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}
