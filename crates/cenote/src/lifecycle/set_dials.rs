//! What a pool over a set of endpoints knows of its dials, endpoint by endpoint. What to do about it is for
//! [`dial_of_set`](super::dial_of_set).

use super::dialer::{Outage, Telling};
use crate::kernel::EndpointNumber;

/// Guarded by a lock of its own, which is taken after the dialer's; no user code runs under it.
#[derive(Default)]
pub(crate) struct SetDials {
    /// By number: what failed since the last dial there that did not.
    outages: Vec<Option<Box<Outage>>>,
    /// Those of which something failed.
    failing: Vec<EndpointNumber>,
    /// Those that were chosen and had no connection.
    missed: Vec<EndpointNumber>,
    /// Until then no endpoint has room and an open gate, unless [something changes](Self::has_room_again).
    pub(super) full_until: u64,
    /// When the waiters are to be told, if no endpoint can be reached then.
    pub(super) tell_at: Option<Telling>,
    /// Leases have begun of late: endpoints without a connection are dialled though nobody waits.
    pub(super) is_in_use: bool,
}

impl SetDials {
    pub(super) fn outage(&self, number: EndpointNumber) -> Option<&Outage> {
        self.outages.get(number as usize)?.as_deref()
    }

    /// The dials to this endpoint that failed in a row; `first` begins them.
    pub(super) fn outage_or(
        &mut self,
        number: EndpointNumber,
        first: impl FnOnce() -> Outage,
    ) -> &mut Outage {
        let index = number as usize;
        if self.outages.len() <= index {
            self.outages.resize_with(index + 1, || None);
        }
        let (outage, failing) = (&mut self.outages[index], &mut self.failing);
        outage.get_or_insert_with(|| {
            failing.push(number);
            Box::new(first())
        })
    }

    /// Connecting to this endpoint works. What failed is to be dropped when the lock is let go.
    pub(super) fn succeeded(&mut self, number: EndpointNumber) -> Option<Box<Outage>> {
        let ended = self.outages.get_mut(number as usize)?.take()?;
        self.failing.retain(|failing| *failing != number);
        Some(ended)
    }

    /// The endpoint is not to be dialled any more. What failed is to be dropped when the lock is let go.
    pub(super) fn forget(&mut self, number: EndpointNumber) -> Option<Box<Outage>> {
        self.missed.retain(|missed| *missed != number);
        self.succeeded(number)
    }

    /// The endpoint was chosen, and so the pool is in use, and has no connection.
    pub(super) fn missed(&mut self, number: EndpointNumber) {
        self.is_in_use = true;
        if !self.missed.contains(&number) {
            self.missed.push(number);
        }
    }

    /// Those that are to be dialled though nobody waits: of which a connection was missed, or something failed.
    pub(super) fn wanted(
        &mut self,
        has_none: impl Fn(EndpointNumber) -> bool,
    ) -> Vec<EndpointNumber> {
        self.missed.retain(|missed| has_none(*missed));
        let failing = self.failing.iter().filter(|failing| has_none(**failing));
        self.missed.iter().chain(failing).copied().collect()
    }

    pub(super) fn failing(&self) -> &[EndpointNumber] {
        &self.failing
    }

    /// A connection went, a dial ended, or the set changed: one that had no room may have some.
    pub(super) fn has_room_again(&mut self) {
        self.full_until = 0;
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;
    use crate::error::ConnectError;

    fn outage() -> Outage {
        Outage::new(0, ConnectError::Aborted)
    }

    #[test]
    fn what_failed_is_known_by_endpoint_until_one_succeeds() {
        let mut dials = SetDials::default();
        dials.outage_or(3, outage);
        dials.outage_or(1, outage);
        dials.outage_or(3, outage);
        assert_eq!(dials.failing(), [3, 1]);
        assert!(dials.succeeded(3).is_some() && dials.outage(3).is_none());
        assert_eq!(dials.failing(), [1]);
    }

    #[test]
    fn those_without_a_connection_are_wanted_once_each() {
        let mut dials = SetDials::default();
        dials.missed(2);
        dials.missed(2);
        dials.outage_or(5, outage);
        assert_eq!(dials.wanted(|_| true), [2, 5]);
        assert_eq!(dials.wanted(|number| number == 5), [5]);
        assert_eq!(dials.wanted(|_| true), [5], "the other has one by now");
        dials.forget(5);
        assert!(dials.wanted(|_| true).is_empty());
    }
}
