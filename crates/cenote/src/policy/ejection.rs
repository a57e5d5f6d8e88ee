//! Which ejections take effect, over all endpoints of a set.
//!
//! That an endpoint cannot be reached, or is not what is wanted, is a *fact*: it is not used, whatever becomes of the others
//! (envoy #12076, istio #34605). That it is ejected is an *opinion*, drawn from calls that failed ([`accrual`](super::accrual)), and one that
//! may be about something else: the network of this process, a request that fails everywhere, a load that is too much
//! for all and more so for those that are left. So opinion is believed as long as it condemns the few:
//!
//! **Ejections take effect while some priority level keeps at least half of its endpoints that can be reached. Otherwise
//! none does: panic mode.**
//!
//! One rule is cap and panic mode in one. Of the endpoints of a level never more than half are ejected, unless another
//! level stands in for it; never the last that can be reached; and where all are thought bad all are used, which is no
//! worse than without ejection (linkerd2 #11493, #7768). A cap that leaves some out beyond it, as Envoy's 10 %, has the load
//! of those that are thought bad fall on whichever came last, and needs panic mode all the same.
//!
//! Endpoints that cannot be reached are not part of the half: of ten of which five are gone, one in five is ejected. That
//! leaves four with the load of ten, and if they fail under it, that is panic mode.

use std::collections::BTreeMap;
use std::fmt;

/// Whether an endpoint can be used, by fact and by opinion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Availability {
    Up,
    /// It can be reached, but its calls fail: ejected, or not yet back by its probe.
    Ejected,
    /// It cannot be reached.
    Down,
    /// It can be reached, and is not what is wanted.
    Unsuitable,
}

impl Availability {
    /// Whether calls go there.
    pub(crate) fn is_used(self, panic: Option<PanicMode>) -> bool {
        match self {
            Self::Up => true,
            Self::Ejected => panic.is_some(),
            Self::Down | Self::Unsuitable => false,
        }
    }

    /// Whether calls could go there, whatever is thought of it: a fact.
    pub(crate) fn is_fit(self) -> bool {
        !matches!(self, Self::Down | Self::Unsuitable)
    }
}

/// The share of a level's reachable endpoints that must be left for ejections to take effect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PanicThreshold(pub(crate) f64);

impl Default for PanicThreshold {
    /// Half, as Envoy and Finagle have it.
    fn default() -> Self {
        Self(0.5)
    }
}

/// So many of the endpoints that can be reached are ejected that all of them are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanicMode {
    pub(crate) ejected: usize,
    pub(crate) reachable: usize,
}

impl fmt::Display for PanicMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ejected, reachable } = self;
        write!(f, "panic: {ejected} of {reachable} out, all used")
    }
}

/// What is reachable of one level, and ejected of that.
#[derive(Clone, Copy, Default)]
struct Level {
    reachable: usize,
    ejected: usize,
}

impl Level {
    fn keeps(self, PanicThreshold(share): PanicThreshold) -> bool {
        let left = self.reachable - self.ejected;
        left > 0 && left as f64 >= share * self.reachable as f64
    }
}

/// Whether the set is in panic mode, by the priority and availability of each endpoint that is to get calls.
pub(crate) fn decide(
    threshold: PanicThreshold,
    endpoints: impl IntoIterator<Item = (u16, Availability)>,
) -> Option<PanicMode> {
    let mut levels = BTreeMap::<u16, Level>::new();
    for (priority, availability) in endpoints {
        let level = levels.entry(priority).or_default();
        level.reachable += usize::from(availability.is_fit());
        level.ejected += usize::from(availability == Availability::Ejected);
    }
    let ejected = levels.values().map(|level| level.ejected).sum();
    if ejected == 0 || levels.values().any(|level| level.keeps(threshold)) {
        return None;
    }
    let reachable = levels.values().map(|level| level.reachable).sum();
    Some(PanicMode { ejected, reachable })
}

#[cfg(test)]
mod tests {
    use super::Availability::{Down, Ejected, Unsuitable, Up};
    use super::*;

    /// Of one level.
    fn of(counts: [(usize, Availability); 3]) -> Option<PanicMode> {
        let endpoints = counts.into_iter().flat_map(|(n, one)| vec![(0, one); n]);
        decide(PanicThreshold::default(), endpoints)
    }

    fn panic(ejected: usize, reachable: usize) -> Option<PanicMode> {
        Some(PanicMode { ejected, reachable })
    }

    #[test]
    fn ejections_take_effect_while_half_of_the_endpoints_are_left() {
        for (up, ejected) in [(4, 0), (3, 1), (2, 2), (1, 1), (2, 1), (100, 100)] {
            assert_eq!(
                of([(up, Up), (ejected, Ejected), (0, Down)]),
                None,
                "{up} + {ejected}"
            );
        }
        for (up, ejected) in [(1, 3), (1, 2), (2, 3), (99, 101)] {
            let expected = panic(ejected, up + ejected);
            assert_eq!(of([(up, Up), (ejected, Ejected), (0, Down)]), expected);
        }
    }

    /// linkerd2 #11493: with all circuits open every call failed at once.
    #[test]
    fn where_all_are_ejected_all_are_used() {
        for count in 1..100 {
            let expected = panic(count, count);
            assert_eq!(of([(0, Up), (count, Ejected), (0, Down)]), expected);
        }
    }

    /// linkerd2 #7768.
    #[test]
    fn the_last_endpoint_that_can_be_reached_is_never_ejected_whatever_the_threshold() {
        for threshold in [0.0, 0.5, 1.0, f64::NAN, f64::NEG_INFINITY, f64::INFINITY] {
            for down in 0..5 {
                let endpoints = [vec![(0, Ejected)], vec![(0, Down); down]].concat();
                let panics = decide(PanicThreshold(threshold), endpoints);
                assert_eq!(panics, panic(1, 1), "{threshold}");
            }
        }
    }

    /// envoy #12076: the cap on ejections kept hosts in that could not be reached.
    #[test]
    fn what_cannot_be_reached_is_never_used_and_keeps_no_other_in() {
        assert_eq!(of([(4, Up), (1, Ejected), (5, Down)]), None);
        assert_eq!(of([(0, Up), (0, Ejected), (9, Down)]), None);
        let panics = of([(1, Up), (2, Ejected), (7, Down)]);
        assert_eq!(panics, panic(2, 3));
        for panics in [None, panics] {
            assert!(!Down.is_used(panics) && !Unsuitable.is_used(panics));
            assert!(Up.is_used(panics));
            assert_eq!(Ejected.is_used(panics), panics.is_some());
        }
    }

    #[test]
    fn a_level_may_be_ejected_whole_where_another_stands_in_for_it() {
        let levels = |levels: &[(usize, usize, usize)]| {
            let endpoints = levels
                .iter()
                .zip(0..)
                .flat_map(|(&(up, ejected, down), level)| {
                    let of = |n, one| vec![(level, one); n];
                    [of(up, Up), of(ejected, Ejected), of(down, Down)].concat()
                });
            decide(PanicThreshold::default(), endpoints)
        };
        assert_eq!(
            levels(&[(0, 3, 0), (1, 0, 0)]),
            None,
            "two primaries and a backup"
        );
        assert_eq!(levels(&[(1, 3, 0), (4, 4, 0)]), None);
        assert_eq!(levels(&[(1, 3, 0), (1, 3, 0)]), panic(6, 8));
        assert_eq!(
            levels(&[(0, 3, 0), (0, 0, 5)]),
            panic(3, 3),
            "none of its endpoints can be reached"
        );
    }

    /// envoy #2671, #10770: hosts that are ejected get calls, and nothing says why.
    #[test]
    fn panic_mode_says_what_it_is() {
        let panics = of([(1, Up), (3, Ejected), (2, Down)]).unwrap();
        assert_eq!(panics.to_string(), "panic: 3 of 4 out, all used");
    }
}
