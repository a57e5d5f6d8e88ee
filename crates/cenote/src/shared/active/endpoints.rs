//! What the endpoints of a set have among the active connections, and how far each may serve.

use std::ops::Range;

use super::Active;
use crate::connect::Multiplex;
use crate::kernel::{Admission, EndpointNumber};
use crate::policy::sharing::Load;
use crate::shared::active_connection::ActiveConnection;
use crate::shared::set::Trial;

impl<C: Multiplex> Active<C> {
    /// Of the connections of the endpoint of the one at `i`: what they carry, and which of them it is.
    pub(in crate::shared) fn loads_at_endpoint_of(&self, i: usize) -> Option<(Vec<Load>, usize)> {
        let connections = &self.endpoint_at(i)?.connections;
        let place = connections.iter().position(|index| *index == i)?;
        let loads = connections.iter().map(|index| self.entries[*index].load());
        Some((loads.collect(), place))
    }

    /// The endpoint with this number, which was passed over as it had no active connection, has one.
    pub(in crate::shared) fn owe(&mut self, number: Option<EndpointNumber>) {
        if let Some((set, number)) = self.set.as_mut().zip(number) {
            set.owe(number);
        }
    }

    /// A lease has ended on a connection that drains.
    pub(in crate::shared) fn vacate_draining(&mut self, conn: &ActiveConnection<C>) {
        if let Some((set, number)) = self.set.as_mut().zip(conn.endpoint()) {
            set.endpoint_mut(number).draining_in_flight -= 1;
        }
    }

    /// Leases on the connections of this endpoint.
    pub(in crate::shared) fn in_flight_at(&self, number: EndpointNumber) -> usize {
        let endpoint = self.set.as_ref().and_then(|set| set.endpoint(number));
        endpoint.map_or(0, |known| {
            (known.in_flight + known.draining_in_flight) as usize
        })
    }

    /// Leases that have begun so far at these endpoints, as far as they were ever used.
    pub(in crate::shared) fn leases_at(&self, endpoints: Range<EndpointNumber>) -> Vec<u64> {
        let its = |number| {
            let endpoint = self.set.as_ref()?.endpoint(number)?;
            let active = endpoint.connections.iter();
            Some(endpoint.carried + active.map(|i| self.entries[*i].leases).sum::<u64>())
        };
        endpoints.map_while(its).collect()
    }

    /// A connection of this endpoint, if it has one.
    pub(in crate::shared) fn first_at(&self, number: EndpointNumber) -> Option<usize> {
        self.set
            .as_ref()?
            .endpoint(number)?
            .connections
            .first()
            .copied()
    }

    /// Which connection of this endpoint is given up for another endpoint: the one that carries least, if it is not the
    /// last, and none is on its way out already.
    pub(in crate::shared) fn to_give_up_at(&self, number: EndpointNumber) -> Option<usize> {
        let endpoint = self.set.as_ref()?.endpoint(number)?;
        if endpoint.draining_in_flight > 0 || endpoint.connections.len() < 2 {
            return None;
        }
        let in_flight = |i: &usize| self.entries[*i].in_flight;
        endpoint.connections.iter().copied().min_by_key(in_flight)
    }

    /// Whether the one at `i` serves, and would leave its endpoint with another.
    pub(in crate::shared) fn is_spare(&self, i: usize) -> bool {
        let siblings = match self.endpoint_at(i) {
            Some(endpoint) => endpoint.connections.len(),
            None => self.entries.len(),
        };
        siblings > 1 && self.counts(i)
    }

    /// Whether any of them [is](Self::is_spare).
    pub(in crate::shared) fn any_is_spare(&self) -> bool {
        (0..self.entries.len()).any(|i| self.is_spare(i))
    }

    /// From now on the endpoint may serve so far.
    pub(in crate::shared) fn admit(&mut self, number: EndpointNumber, admission: Admission) {
        let Some(set) = &mut self.set else {
            return;
        };
        if set.endpoint(number).map(|known| known.admission) == Some(admission) {
            return;
        }
        let connections = set.endpoint_mut(number).connections.clone();
        for i in &connections {
            let tally = self.tally(*i);
            self.totals.subtract(tally);
        }
        if let Some(set) = &mut self.set {
            set.endpoint_mut(number).admission = admission;
        }
        for i in connections {
            let tally = self.tally(i);
            self.totals.add(tally);
            self.relist(i);
        }
    }

    /// The lease of this trial has ended, of an endpoint that may be on another by now, or on none.
    pub(in crate::shared) fn end_trial(&mut self, number: EndpointNumber, trial: Trial) {
        if let Some(set) = &mut self.set {
            set.endpoint_mut(number).end_trial(trial);
        }
        self.relist_on_trial(number);
    }

    /// The endpoint is on another trial than the one before.
    pub(in crate::shared) fn begin_trial(&mut self, number: EndpointNumber) {
        if let Some(set) = &mut self.set {
            set.endpoint_mut(number).begin_trial();
        }
        self.relist_on_trial(number);
    }
}
