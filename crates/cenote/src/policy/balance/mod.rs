//! Which endpoint of a set is looked at for a connection, and which one is dialled.
//!
//! Pure: what an endpoint carries, the random numbers and the time are handed in. The list of candidates may change
//! while a rule looks at it: a place that is gone is passed over, and nothing is concluded from what was seen there
//! before.
//!
//! What every rule keeps:
//!
//! - Shares are by weight: of endpoints that are alike otherwise, and of those that carry nothing, each gets as many
//!   choices as its weight says. Weight 0 gets none (pingora #1006), unless all have weight 0: then they share alike
//!   (pingora #891).
//! - But for the rule that looks at all candidates, a choice takes a few looks, however many there are. Only where
//!   weights are so unlike that drawing by them fails again and again does it take more: [`draw`] says how many.

pub(crate) mod bounded_load;
pub(crate) mod by_key;
pub(crate) mod fewest;
pub(crate) mod key_hash;
pub(crate) mod peak_ewma;

mod draw;
mod least_loaded;
mod load;
mod picker;
mod power_of_two;
mod random;
mod round_robin;

pub(crate) use load::Load;
pub(crate) use picker::Picker;

/// The weight that the greatest of a set is scaled to, and the others with it: with sixteen bits, a draw is accepted or
/// not by bits of the random number that chose the place (gRPC's weighted round robin, gRFC A58, scales as far).
pub(crate) const MAX_WEIGHT: u32 = 65_535;

/// The endpoints that may be chosen, by place: `0..len`. The list changes under the reader: at a place that is gone is
/// `None`.
pub(crate) trait Candidates {
    /// What the list has of an endpoint, so that the one that is chosen need not be looked up again.
    type Endpoint: Copy;

    fn len(&self) -> usize;
    fn at(&self, place: usize) -> Option<(Self::Endpoint, Load)>;
}

/// Where to look for a connection: first here, then there; after that the caller scans on from the second place.
///
/// Both are the same where there is no other, or where a rule that compares nothing expects the first to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice<E> {
    pub(crate) first: Chosen<E>,
    pub(crate) second: Chosen<E>,
}

/// An endpoint, and where it was in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen<E> {
    pub(crate) place: usize,
    pub(crate) endpoint: E,
}

/// The rules there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Of two drawn at random, the one that carries less.
    #[default]
    PowerOfTwo,
    /// Of two drawn at random, the one whose calls take less time with what it carries. For calls that are timed.
    PeakEwma,
    /// Of all, the one that carries least.
    LeastLoaded,
    /// One after the other, a heavy one more often, and smoothly so.
    RoundRobin,
    /// Any.
    Random,
}

impl Rule {
    /// Where to look for a connection. `None`: there is no candidate.
    #[inline]
    pub(crate) fn choose<C: Candidates>(
        self,
        candidates: &C,
        picker: &mut Picker,
    ) -> Option<Choice<C::Endpoint>> {
        match self.choose_by_weight(candidates, picker) {
            Some(choice) => Some(choice),
            None => self.choose_alike(candidates, picker),
        }
    }

    /// `None`: no candidate has a weight.
    #[inline]
    fn choose_by_weight<C: Candidates>(
        self,
        candidates: &C,
        picker: &mut Picker,
    ) -> Option<Choice<C::Endpoint>> {
        match self {
            Rule::PowerOfTwo => power_of_two::by_in_flight(candidates, picker),
            Rule::PeakEwma => power_of_two::by_time(candidates, picker),
            Rule::LeastLoaded => least_loaded::choose(candidates, picker),
            Rule::RoundRobin => round_robin::choose(candidates, picker),
            Rule::Random => random::choose(candidates, picker),
        }
    }

    #[cold]
    #[inline(never)]
    fn choose_alike<C: Candidates>(
        self,
        candidates: &C,
        picker: &mut Picker,
    ) -> Option<Choice<C::Endpoint>> {
        self.choose_by_weight(&Alike(candidates), picker)
    }
}

/// Candidates that all have weight 0, as a rule sees them.
struct Alike<'a, C>(&'a C);

impl<C: Candidates> Candidates for Alike<'_, C> {
    type Endpoint = C::Endpoint;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, place: usize) -> Option<(C::Endpoint, Load)> {
        let (endpoint, load) = self.0.at(place)?;
        let load = Load {
            weight: MAX_WEIGHT,
            ..load
        };
        Some((endpoint, load))
    }
}

#[cfg(test)]
mod tests;
