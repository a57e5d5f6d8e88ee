//! What a policy sees of an endpoint, and how two of them compare.
//!
//! Candidates are drawn by weight already. To compare them by (in flight + 1) / weight as well would count the weight
//! twice: of weights 3 and 1 that carry nothing, the heavy one would get all. So the one drawn first has the call,
//! unless the other carried less *even with the call* than the first does without. For equal weights this is the
//! comparison of what is in flight; of endpoints that carry nothing none gives way, so that their shares are those of
//! the draw.

/// What a policy sees of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Load {
    /// Leases out.
    pub(crate) in_flight: u32,
    /// Connections there are, idle and leased.
    pub(crate) open: u32,
    /// Its share of the load against the others': `0..=MAX_WEIGHT`. 0 gets none; the greatest of a set is scaled to
    /// [`MAX_WEIGHT`](super::MAX_WEIGHT) by the caller, off the hot path.
    pub(crate) weight: u32,
    /// The time that a call is expected to take, in seconds, for rules that go by it; 0 while nothing is known.
    pub(crate) cost: f32,
}

impl Load {
    /// Whether there is a connection to be had. It may be gone by the time of the look.
    #[inline]
    pub(crate) fn has_idle(self) -> bool {
        self.in_flight < self.open
    }

    /// Whether this one, drawn first, leaves the call to `other`. One without an idle connection does so wherever the
    /// other has one, or a full light endpoint would win over idle heavy ones.
    #[inline]
    pub(super) fn gives_way_to(self, other: Self) -> bool {
        if self.has_idle() == other.has_idle() {
            let (own, others) = self.burdens(other);
            own > others
        } else {
            other.has_idle()
        }
    }

    /// The same by time: what each carries counts as long as its calls take. Where nothing is known of one, it is taken
    /// for as fast as the other, so that what is in flight decides. A guess would be wrong by orders of magnitude for
    /// somebody: where calls take a millisecond, one of a second starves the new endpoint (linkerd2-proxy #167), and
    /// one of nothing sends it all calls until its first reply.
    #[inline]
    pub(super) fn gives_way_by_time_to(self, other: Self) -> bool {
        if self.has_idle() == other.has_idle() {
            let (own, others) = self.burdens(other);
            let (own_cost, others_cost) = match (self.known_cost(), other.known_cost()) {
                (Some(own), Some(others)) => (own, others),
                _ => (1.0, 1.0),
            };
            own as f32 * own_cost > others as f32 * others_cost
        } else {
            other.has_idle()
        }
    }

    #[inline]
    fn known_cost(self) -> Option<f32> {
        (self.cost > 0.0).then_some(self.cost)
    }

    /// What this one carries and what `other` would with the call, each by weight, and made comparable without a
    /// division: `in_flight / weight + 1 / greater weight` against `(other.in_flight + 1) / other.weight`, times both
    /// weights.
    #[inline]
    fn burdens(self, other: Self) -> (u64, u64) {
        let own = u64::from(self.in_flight) * u64::from(other.weight)
            + u64::from(self.weight.min(other.weight));
        let others = (u64::from(other.in_flight) + 1) * u64::from(self.weight);
        (own, others)
    }

    /// Whether this one would carry less than `other`, if each had the call; with an idle connection before without.
    pub(super) fn is_lighter_than(self, other: Self) -> bool {
        if self.has_idle() == other.has_idle() {
            let with_call = |load: Self| u64::from(load.in_flight) + 1;
            with_call(self) * u64::from(other.weight) < with_call(other) * u64::from(self.weight)
        } else {
            self.has_idle()
        }
    }
}
