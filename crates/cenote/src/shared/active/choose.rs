//! Which active connection carries the next lease.

use super::{Active, Part};
use crate::connect::Multiplex;
use crate::kernel::{EndpointNumber, Endpoints};
use crate::policy::sharing::Choice;

/// Where a lease may go.
pub(in crate::shared) struct Found {
    /// Which active connection, if one has room.
    pub(in crate::shared) index: Option<usize>,
    /// An endpoint that was to carry it, and should have one more connection for that.
    pub(in crate::shared) lacking: Option<EndpointNumber>,
}

impl<C: Multiplex> Active<C> {
    /// Which one carries a new lease, of those that have room; of a set, of the endpoint that the policy chooses.
    pub(in crate::shared) fn choose(&mut self, endpoints: Option<&Endpoints>) -> Found {
        match endpoints {
            Some(endpoints) if self.set.is_some() => self.choose_of_set(endpoints),
            _ => Found {
                index: self.choose_of_all(),
                lacking: None,
            },
        }
    }

    fn choose_of_all(&mut self) -> Option<usize> {
        let Self {
            entries,
            roomy,
            chooser,
            ..
        } = self;
        let roomy = &roomy.drawn;
        if roomy.is_empty() {
            return None;
        }
        match chooser.choice() {
            // Any of them: none is looked at in vain.
            Choice::LeastLoaded => {
                let load = |place: usize| entries[roomy[place]].load();
                let place = chooser.choose(roomy.len(), load)?;
                Some(roomy[place])
            }
            // Their order is that of their indices.
            Choice::FirstAvailable => roomy.iter().min().copied(),
            Choice::RoundRobin => chooser.choose(entries.len(), |i| entries[i].load()),
        }
    }

    fn choose_of_set(&mut self, endpoints: &Endpoints) -> Found {
        let none = Found {
            index: None,
            lacking: None,
        };
        let Some(set) = &mut self.set else {
            return none;
        };
        let chosen = set.choose(endpoints);
        let numbers = || chosen.iter().copied().flatten();
        let index = self
            .choose_owed()
            .or_else(|| numbers().find_map(|number| self.choose_at(number)))
            .or_else(|| self.any_of(Part::Drawn))
            .or_else(|| self.any_of(Part::Spare));
        let Some((set, i)) = self.set.as_ref().zip(index) else {
            return none;
        };
        let served = self.entries[i].number;
        let lacks = |number: &EndpointNumber| {
            served.is_some_and(|served| *number != served && set.lacks(endpoints, *number, served))
                && !self.is_warming_at(*number)
        };
        Found {
            index,
            lacking: numbers().find(lacks),
        }
    }

    /// A connection of an endpoint that was passed over. Else one that is used so seldom that its connection is parked
    /// between two uses would never be: it is chosen, another serves, and it is parked again.
    fn choose_owed(&mut self) -> Option<usize> {
        while let Some(number) = self.set.as_mut()?.next_owed() {
            if let Some(i) = self.choose_at(number) {
                return Some(i);
            }
        }
        None
    }

    /// A connection of this endpoint that has room, if it may be given a lease.
    fn choose_at(&mut self, number: EndpointNumber) -> Option<usize> {
        let Self {
            entries,
            set,
            chooser,
            ..
        } = self;
        let endpoint = set.as_mut()?.known_mut(number)?;
        if !endpoint.may_lease() {
            return None;
        }
        let connections = &endpoint.connections;
        let load = |place: usize| entries[connections[place]].load();
        let place = chooser.choose_from(&mut endpoint.next, connections.len(), load)?;
        Some(connections[place])
    }

    /// Whether a connection of this endpoint is new and not ready yet: another would be no sooner.
    fn is_warming_at(&self, number: EndpointNumber) -> bool {
        let endpoint = self.set.as_ref().and_then(|set| set.endpoint(number));
        let mut connections = endpoint.into_iter().flat_map(|known| &known.connections);
        connections.any(|i| self.entries[*i].is_warming())
    }

    /// Any connection of this part that has room.
    fn any_of(&mut self, part: Part) -> Option<usize> {
        let roomy = self.roomy.part(part);
        let set = self.set.as_mut().filter(|_| !roomy.is_empty())?;
        Some(roomy[set.any_below(roomy.len())])
    }
}
