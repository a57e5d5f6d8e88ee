//! Keys with a bound on what one endpoint carries (V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with
//! Bounded Loads", 2016): a key whose endpoint carries a quarter more than its share goes to the next in its own order,
//! and back as soon as that one has room. A key in great demand is spread over as many endpoints as it needs.

use super::Load;

/// The greatest multiple of its share that an endpoint carries, as a fraction. Near 1, keys move often; at 2, an
/// endpoint has twice the load of the others.
const BOUND: (u128, u128) = (5, 4);

/// What is carried by all those that may be chosen, and what they weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) in_flight: u64,
    pub(crate) weight: u64,
}

/// An endpoint with a share may carry this many whatever its bounded share comes to. Where there is little to carry, a
/// quarter more than the share is next to nothing, and keys would move for the sake of a balance that nobody needs: with
/// as many leases as endpoints, one of four keys.
const FREE: u32 = 4;

impl Total {
    /// With what one more carries.
    pub(crate) fn with(self, load: Load) -> Self {
        Self {
            in_flight: self.in_flight + u64::from(load.in_flight),
            weight: self.weight + u64::from(load.weight),
        }
    }

    /// Whether an endpoint may carry one more: no more, with it, than [`FREE`], or its bounded share rounded up. So one
    /// always may, of those counted.
    fn admits(self, load: Load) -> bool {
        if load.in_flight < FREE && load.weight > 0 {
            return true;
        }
        let (over, under) = BOUND;
        let with_call = u128::from(self.in_flight) + 1;
        u128::from(load.in_flight) * u128::from(self.weight) * under
            < with_call * u128::from(load.weight) * over
    }
}

/// What a key is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) place: usize,
    /// Another comes before it in the key's order, and carries too much.
    pub(crate) is_moved: bool,
}

/// The first endpoint in `order` that is there and is admitted; where none is, the first that is there. `load` is that
/// of a place of the order, and `None` for one that is not to be had now. It looks at each once at most (skipper
/// #4138).
pub(crate) fn first_within(
    total: Total,
    order: impl Iterator<Item = usize>,
    load: impl Fn(usize) -> Option<Load>,
) -> Option<Found> {
    let mut first = None;
    for place in order {
        if let Some(load) = load(place) {
            if total.admits(load) {
                let is_moved = first.is_some();
                return Some(Found { place, is_moved });
            }
            first = first.or(Some(place));
        }
    }
    let place = first?;
    Some(Found {
        place,
        is_moved: true,
    })
}

#[cfg(test)]
mod tests {
    use super::super::by_key::KeyTable;
    use super::super::key_hash::hash_of;
    use super::super::{MAX_WEIGHT, Picker};
    use super::*;

    const LEN: usize = 10;

    /// Endpoints in demand by key.
    struct Set {
        table: KeyTable,
        loads: Vec<Option<Load>>,
    }

    fn set(weights: &[u32]) -> Set {
        let greatest = weights.iter().copied().max().expect("a weight");
        let hashed: Vec<_> = weights
            .iter()
            .zip(0_u32..)
            .map(|(&weight, name)| (hash_of(&name), weight))
            .collect();
        Set {
            table: KeyTable::new(&hashed),
            loads: weights
                .iter()
                .map(|weight| {
                    Some(Load {
                        in_flight: 0,
                        open: u32::MAX,
                        weight: weight * MAX_WEIGHT / greatest,
                        cost: 0.0,
                    })
                })
                .collect(),
        }
    }

    impl Set {
        fn total(&self) -> Total {
            let loads = self.loads.iter().flatten().copied();
            loads.fold(Total::default(), Total::with)
        }

        fn choose(&self, key: u64) -> Option<usize> {
            let order = self.table.order(key);
            let found = first_within(self.total(), order, |place| self.loads[place]);
            found.map(|found| found.place)
        }

        fn lease(&mut self, key: u64) -> usize {
            let place = self.choose(key).expect("an endpoint");
            let load = self.loads[place].as_mut().expect("one that is there");
            load.in_flight += 1;
            place
        }

        fn own_order(&self, key: u64) -> Vec<usize> {
            self.table.order(key).collect()
        }
    }

    #[test]
    fn one_may_carry_its_bounded_share_of_all_with_the_call_rounded_up() {
        // Of ten: an eighth of the leases with the call, and how many an endpoint may have then.
        for (in_flight, may_have) in [
            (0, 4),
            (31, 4),
            (32, 5),
            (39, 5),
            (40, 6),
            (79, 10),
            (80, 11),
        ] {
            let total = Total {
                in_flight,
                weight: 10 * u64::from(MAX_WEIGHT),
            };
            for carried in 0..12 {
                let load = Load {
                    in_flight: carried,
                    open: u32::MAX,
                    weight: MAX_WEIGHT,
                    cost: 0.0,
                };
                assert_eq!(total.admits(load), carried < may_have, "{total:?}");
            }
        }
    }

    /// Where little is carried, keys stay: five leases of different keys over ten endpoints meet now and then.
    #[test]
    fn a_few_leases_move_no_key() {
        let mut picker = Picker::new(1);
        for _ in 0..100 {
            let mut set = set(&[1; LEN]);
            for _ in 0..5 {
                let key = picker.next_u64();
                let own = set.own_order(key)[0];
                if set.loads[own].is_some_and(|load| load.in_flight < FREE) {
                    assert_eq!(set.lease(key), own);
                }
            }
        }
    }

    #[test]
    fn a_key_stays_with_its_endpoint_while_that_has_room() {
        let mut set = set(&[1; LEN]);
        for load in set.loads.iter_mut().flatten() {
            load.in_flight = 8;
        }
        for key in 0..100 {
            assert_eq!(set.choose(key), Some(set.own_order(key)[0]));
        }
    }

    /// The bound of the paper: no endpoint carries more than (1 + 1/4) of the mean, rounded up; but for a few.
    #[test]
    fn one_key_in_great_demand_is_spread_and_no_endpoint_carries_more_than_the_bound() {
        let mut set = set(&[1; LEN]);
        for leases in 1..=1_000_u32 {
            set.lease(7);
            let most = set.loads.iter().flatten().map(|load| load.in_flight).max();
            assert!(most <= Some((5 * leases).div_ceil(4 * LEN as u32).max(FREE)));
        }
        let own = set.own_order(7);
        let carried = |place: usize| set.loads[own[place]].map(|load| load.in_flight);
        assert_eq!((carried(0), carried(9)), (Some(125), Some(0)), "in order");
    }

    #[test]
    fn a_heavy_endpoint_has_its_bound_by_weight() {
        let mut set = set(&[3, 1, 1, 1]);
        let mut picker = Picker::new(1);
        for _ in 0..600 {
            set.lease(picker.next_u64());
        }
        let carried: Vec<_> = set.loads.iter().flatten().map(|l| l.in_flight).collect();
        // Of 600, 300 and 100 are the shares.
        assert!(carried[0] <= 376, "{carried:?}");
        assert!(carried[1..].iter().all(|&n| n <= 126), "{carried:?}");
    }

    /// envoy #38815: keys stuck to the endpoint that was dead.
    #[test]
    fn a_key_goes_to_the_next_in_its_order_while_its_endpoint_is_gone_and_back_later() {
        let mut set = set(&[1; LEN]);
        let own = set.own_order(7);
        let was = set.loads[own[0]].take();
        assert_eq!(set.choose(7), Some(own[1]));
        set.loads[own[0]] = was;
        assert_eq!(set.choose(7), Some(own[0]));
    }

    /// skipper #4138: a walk that did not end.
    #[test]
    fn where_none_is_to_be_had_none_is_chosen() {
        let mut set = set(&[1; LEN]);
        set.loads.fill(None);
        assert_eq!(set.choose(7), None);
    }

    /// A total is of another moment than the loads.
    #[test]
    fn where_none_is_admitted_a_key_stays_with_the_first_that_is_there() {
        let set = set(&[1; LEN]);
        let none = Total {
            in_flight: 0,
            weight: u64::MAX,
        };
        let full = |place: usize| {
            set.loads[place].map(|load| Load {
                in_flight: 9,
                ..load
            })
        };
        let own = set.own_order(7);
        let found = first_within(none, set.table.order(7), full);
        assert_eq!(found.map(|found| found.place), Some(own[0]));
    }
}
