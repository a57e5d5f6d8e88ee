//! One active connection among the others, and what is counted of it.

use std::sync::Arc;

use super::Part;
use crate::connect::Multiplex;
use crate::kernel::EndpointNumber;
use crate::policy::sharing::Load;
use crate::shared::active_connection::ActiveConnection;

/// An active connection, and what it carries.
pub(in crate::shared) struct ActiveEntry<C: Multiplex> {
    pub(in crate::shared) conn: Arc<ActiveConnection<C>>,
    /// Cached permits included.
    pub(super) in_flight: usize,
    /// What the connection said last; it is asked outside the lock.
    pub(super) capacity: usize,
    /// From so many leases on it is busy.
    pub(super) busy_at: usize,
    /// Until then a new connection that never had capacity counts as still being opened; 0 once it had.
    pub(super) warm_until: u64,
    /// Which endpoint of a set it is to.
    pub(super) number: Option<EndpointNumber>,
    /// Where it is among those that may carry one more, if it may.
    pub(super) roomy_at: Option<(Part, usize)>,
    /// After so many signals: what was asked before, and arrives later, is no news.
    pub(in crate::shared) asked_after: u64,
    /// Leases it has carried.
    pub(in crate::shared) leases: u64,
    /// Whether it was given a lease since upkeep's last turn, and since when it has none.
    pub(in crate::shared) was_used: bool,
    pub(in crate::shared) idle_since: u64,
}

/// What is counted of an entry, or of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) in_flight: usize,
    /// Those that may serve; and of them, those that are busy, and those that are not ready yet.
    pub(super) serving: usize,
    pub(super) busy: usize,
    pub(super) warming: usize,
    /// Those that carry one lease, and those that carry several at once.
    pub(super) exclusive: usize,
    pub(super) shared: usize,
}

impl<C: Multiplex> ActiveEntry<C> {
    pub(in crate::shared) fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight,
            capacity: self.capacity,
        }
    }

    pub(in crate::shared) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(in crate::shared) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(in crate::shared) fn is_busy(&self) -> bool {
        self.in_flight >= self.busy_at
    }

    /// Whether it carries more than one lease at once.
    pub(in crate::shared) fn is_shared(&self) -> bool {
        self.capacity > 1
    }

    /// Whether it is new and not ready yet: as good as being opened.
    pub(in crate::shared) fn is_warming(&self) -> bool {
        self.warm_until > 0
    }

    pub(super) fn tally(&self, serves: bool) -> Tally {
        let count = |is: bool| usize::from(serves && is);
        Tally {
            in_flight: self.in_flight,
            serving: count(true),
            busy: count(self.is_busy()),
            warming: count(self.is_warming()),
            exclusive: count(self.capacity == 1),
            shared: count(self.is_shared()),
        }
    }

    /// Its part of its endpoint's counts.
    pub(super) fn of_endpoint(&self) -> (u64, u64) {
        let capacity = u32::try_from(self.capacity).unwrap_or(u32::MAX);
        (self.in_flight as u64, capacity.into())
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        self.in_flight += other.in_flight;
        self.serving += other.serving;
        self.busy += other.busy;
        self.warming += other.warming;
        self.exclusive += other.exclusive;
        self.shared += other.shared;
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.in_flight -= other.in_flight;
        self.serving -= other.serving;
        self.busy -= other.busy;
        self.warming -= other.warming;
        self.exclusive -= other.exclusive;
        self.shared -= other.shared;
    }
}
