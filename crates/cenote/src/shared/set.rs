//! The endpoints of a set, as a shared pool has them: what each carries by the leases on its active connections, and which
//! one is chosen by that. Part of the state, under its lock.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::kernel::{Admission, EndpointNumber, Endpoints, Record};
use crate::policy::balance::{Candidates, Choice, Load, Picker, Rule};

/// By number.
pub(super) struct SharedSet {
    endpoints: Vec<SharedEndpoint>,
    /// Those that were passed over for want of an active connection and have one by now: each has one lease to come,
    /// before the policy is heeded.
    owed: VecDeque<EndpointNumber>,
    rule: Rule,
    picker: Picker,
}

/// An endpoint, by its active connections.
pub(super) struct SharedEndpoint {
    /// The indices of its active connections, the oldest first.
    pub(super) connections: Vec<usize>,
    /// Leases on them, and how many they could carry; each connection's capacity counts as [`u32::MAX`] at most, so that
    /// the sum is exact.
    pub(super) in_flight: u64,
    pub(super) capacity: u64,
    /// Leases on its connections that drain.
    pub(super) draining_in_flight: u64,
    /// Leases that its connections carried which are active no more.
    pub(super) carried: u64,
    /// How far it may serve, as the pool was told last.
    pub(super) admission: Admission,
    /// Which trial it is on, or was on last; and whether that one's lease is out.
    trial: Trial,
    is_let_out: bool,
    /// Where round robin goes on among its connections.
    pub(super) next: usize,
}

/// One trial among those of an endpoint. Its one lease carries it: leases from before may last for longer than the trial,
/// and it is not to wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial(NonZeroU32);

impl Trial {
    const FIRST: Self = Self(NonZeroU32::MIN);

    fn next(self) -> Self {
        self.0.checked_add(1).map_or(Self::FIRST, Self)
    }
}

impl SharedEndpoint {
    fn new() -> Self {
        Self {
            connections: Vec::new(),
            in_flight: 0,
            capacity: 0,
            draining_in_flight: 0,
            carried: 0,
            admission: Admission::Barred,
            trial: Trial::FIRST,
            is_let_out: false,
            next: 0,
        }
    }

    /// Whether it may be given a lease, if one of its connections has room: on trial one at a time.
    pub(super) fn may_lease(&self) -> bool {
        match self.admission {
            Admission::Drawn | Admission::Spare => true,
            Admission::Trial => !self.is_let_out,
            Admission::Aside | Admission::Barred => false,
        }
    }

    /// Whether its connections count as serving: on trial it carries one lease whatever room it has.
    pub(super) fn counts(&self) -> bool {
        matches!(self.admission, Admission::Drawn | Admission::Spare)
    }

    /// A trial begins: one lease may be given, whatever became of that of the trial before.
    pub(super) fn begin_trial(&mut self) {
        self.trial = self.trial.next();
        self.is_let_out = false;
    }

    /// It is given a lease: that of its trial, if it is on one.
    pub(super) fn let_out(&mut self) -> Option<Trial> {
        (self.admission == Admission::Trial).then(|| {
            self.is_let_out = true;
            self.trial
        })
    }

    /// The lease of this trial has ended.
    pub(super) fn end_trial(&mut self, trial: Trial) {
        if trial == self.trial {
            self.is_let_out = false;
        }
    }

    /// As the policy sees it: what is open is what it has room for, and with the leases of one connection it may be full
    /// while it carries less than others. On trial, what it carries from before counts for nothing.
    fn load(&self) -> (u32, u32) {
        let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        match (self.admission, self.may_lease()) {
            (Admission::Trial, true) => (0, clamp(self.capacity)),
            (_, true) => (clamp(self.in_flight), clamp(self.capacity)),
            (_, false) => (clamp(self.in_flight), 0),
        }
    }
}

impl SharedSet {
    pub(super) fn new(rule: Rule, picker: Picker) -> Self {
        Self {
            endpoints: Vec::new(),
            owed: VecDeque::new(),
            rule,
            picker,
        }
    }

    pub(super) fn endpoint(&self, number: EndpointNumber) -> Option<&SharedEndpoint> {
        self.endpoints.get(number as usize)
    }

    pub(super) fn known_mut(&mut self, number: EndpointNumber) -> Option<&mut SharedEndpoint> {
        self.endpoints.get_mut(number as usize)
    }

    /// Numbers there are.
    #[cfg(all(test, not(cenote_loom)))]
    pub(super) fn len(&self) -> EndpointNumber {
        self.endpoints.len() as EndpointNumber
    }

    /// As [`endpoint`](Self::endpoint), made if it was not known yet.
    pub(super) fn endpoint_mut(&mut self, number: EndpointNumber) -> &mut SharedEndpoint {
        let number = number as usize;
        if self.endpoints.len() <= number {
            self.endpoints.resize_with(number + 1, SharedEndpoint::new);
        }
        &mut self.endpoints[number]
    }

    /// The endpoint with this number was passed over.
    pub(super) fn owe(&mut self, number: EndpointNumber) {
        if !self.owed.contains(&number) {
            self.owed.push_back(number);
        }
    }

    /// The next that was passed over, if the policy may choose it still.
    pub(super) fn next_owed(&mut self) -> Option<EndpointNumber> {
        while let Some(number) = self.owed.pop_front() {
            if self
                .endpoint(number)
                .is_some_and(|known| known.admission.is_drawn())
            {
                return Some(number);
            }
        }
        None
    }

    /// The endpoints that are to be looked at first, in this order.
    pub(super) fn choose(&mut self, endpoints: &Endpoints) -> [Option<EndpointNumber>; 2] {
        let drawn = Drawn {
            endpoints,
            shared: &self.endpoints,
        };
        match self.rule.choose(&drawn, &mut self.picker) {
            Some(Choice { first, second }) => {
                [first, second].map(|chosen| Some(chosen.endpoint.number()))
            }
            None => [None, None],
        }
    }

    /// By which rule endpoints are drawn, if each draw is random, so that it makes no difference which thread draws.
    pub(super) fn random_rule(&self) -> Option<Rule> {
        match self.rule {
            Rule::PowerOfTwo | Rule::PeakEwma | Rule::Random => Some(self.rule),
            // One looks at all; the others go on where the last stopped.
            Rule::LeastLoaded | Rule::RoundRobin => None,
        }
    }

    /// Whether an endpoint has a lease to come before the policy is heeded.
    pub(super) fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    pub(super) fn new_picker(&mut self) -> Picker {
        Picker::new(self.picker.next_u64())
    }

    /// Any number below `n`.
    pub(super) fn any_below(&mut self, n: usize) -> usize {
        self.picker.below(n)
    }

    /// Whether the endpoint with this number should have one more connection: it has none, or none with room though it
    /// carries less for its share than the one that served in its place, whose lease is counted. And whether anything can
    /// be done about it that was not done.
    pub(super) fn lacks(
        &self,
        endpoints: &Endpoints,
        number: EndpointNumber,
        served: EndpointNumber,
    ) -> bool {
        let own = self.endpoint(number);
        let own = own.filter(|own| !own.connections.is_empty());
        // Most often it has some, and is looked at no further.
        if own.is_some_and(|own| own.in_flight < own.capacity || own.admission == Admission::Trial)
        {
            return false;
        }
        let record = endpoints.record(number);
        if !record.has_idle() && record.is_missed() {
            return false;
        }
        let Some(own) = own else {
            return true;
        };
        let share = |number| u64::from(endpoints.record(number).share.load(Relaxed));
        let carried = self
            .endpoint(served)
            .map_or(0, |served| served.in_flight.saturating_sub(1));
        share(served) == 0
            || own.in_flight.saturating_mul(share(served)) < carried.saturating_mul(share(number))
    }
}

/// The drawn endpoints, as the policy sees them.
struct Drawn<'a> {
    endpoints: &'a Endpoints,
    shared: &'a [SharedEndpoint],
}

impl<'a> Candidates for Drawn<'a> {
    type Endpoint = &'a Record;

    #[inline(always)]
    fn len(&self) -> usize {
        self.endpoints.drawn()
    }

    #[inline(always)]
    fn at(&self, place: usize) -> Option<(&'a Record, Load)> {
        let record = self.endpoints.record_at(place)?;
        let shared = self.shared.get(record.number() as usize);
        let (in_flight, open) = shared.map_or((0, 0), SharedEndpoint::load);
        let load = Load {
            in_flight,
            open,
            weight: record.share.load(Relaxed),
            cost: f32::from_bits(record.cost.load(Relaxed)),
        };
        Some((record, load))
    }
}
