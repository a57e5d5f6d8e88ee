//! Which endpoint gets one more connection: of those that may be dialled one with the fewest for its weight, and any of
//! several that have as few, as tk_pool has it. With the fewest first, every endpoint comes to have a connection before
//! any has two; at random among equals, because clients that start together would else all dial the same one.

use super::Picker;

/// What an endpoint has, and whether it may have more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    /// Connections there are.
    pub(crate) open: u32,
    /// Dials under way.
    pub(crate) opening: u32,
    /// As of [`Load`](super::Load): with 0 it is dialled only where all have 0.
    pub(crate) weight: u32,
    /// When the gate opens that failed dials closed, or has opened.
    pub(crate) gate_opens_at: u64,
}

impl Holdings {
    fn connections(self) -> u64 {
        u64::from(self.open) + u64::from(self.opening)
    }

    fn may_be_dialled(self, now: u64, most: u32) -> bool {
        self.connections() < u64::from(most) && self.gate_opens_at <= now
    }
}

/// The place of the endpoint to dial, of those told with their places, if one may be dialled: none has more than `most`
/// connections. One look at each, which a dial is worth; but of ten thousand that have none, each would cost the others
/// such a look: so the first that has none is taken, and who calls begins at a random place.
pub(crate) fn fewest(
    now: u64,
    most: u32,
    endpoints: impl IntoIterator<Item = (usize, Holdings)>,
    picker: &mut Picker,
) -> Option<usize> {
    let (mut by_weight, mut alike) = (Fewest::default(), Fewest::default());
    let mut any_has_weight = false;
    for (place, holdings) in endpoints {
        let (fewest, weight) = match holdings.weight {
            0 => (&mut alike, 1),
            weight => {
                any_has_weight = true;
                (&mut by_weight, u64::from(weight))
            }
        };
        if holdings.may_be_dialled(now, most) {
            if holdings.weight > 0 && holdings.connections() == 0 {
                return Some(place);
            }
            fewest.see(place, holdings.connections(), weight, picker);
        }
    }
    let fewest = if any_has_weight { by_weight } else { alike };
    fewest.found.map(|found| found.place)
}

struct Found {
    place: usize,
    connections: u64,
    weight: u64,
    /// How many have as few, this one among them.
    equals: usize,
}

#[derive(Default)]
struct Fewest {
    found: Option<Found>,
}

impl Fewest {
    fn see(&mut self, place: usize, connections: u64, weight: u64, picker: &mut Picker) {
        let mut equals = 1;
        if let Some(found) = &mut self.found {
            let (seen, kept) = (connections * found.weight, found.connections * weight);
            if seen > kept {
                return;
            }
            if seen == kept {
                found.equals += 1;
                // The last of k equals is the one with chance 1/k, so that each is.
                if picker.below(found.equals) > 0 {
                    return;
                }
                equals = found.equals;
            }
        }
        self.found = Some(Found {
            place,
            connections,
            weight,
            equals,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 4;

    fn holding(open: u32, opening: u32) -> Holdings {
        Holdings {
            open,
            opening,
            weight: 1,
            gate_opens_at: 0,
        }
    }

    fn weighing(weight: u32, open: u32) -> Holdings {
        Holdings {
            weight,
            ..holding(open, 0)
        }
    }

    fn dialled(now: u64, endpoints: &[Holdings], picker: &mut Picker) -> Option<usize> {
        fewest(now, MOST, endpoints.iter().copied().enumerate(), picker)
    }

    /// How often each is dialled, in 9,000 choices.
    fn counts(endpoints: &[Holdings]) -> Vec<u32> {
        let (mut picker, mut counts) = (Picker::new(1), vec![0; endpoints.len()]);
        for _ in 0..9_000 {
            if let Some(place) = dialled(0, endpoints, &mut picker) {
                counts[place] += 1;
            }
        }
        counts
    }

    #[test]
    fn one_with_the_fewest_connections_is_dialled_dials_under_way_included() {
        assert_eq!(
            counts(&[holding(2, 0), holding(0, 1), holding(0, 2), holding(3, 0)]),
            [0, 9_000, 0, 0]
        );
    }

    #[test]
    fn of_several_that_have_as_few_each_is_dialled_as_often() {
        let counts = counts(&[holding(1, 0), holding(2, 0), holding(0, 1), holding(1, 0)]);
        // Three sigma of a share of one third.
        let fair = |count: u32| count.abs_diff(3_000) < 135;
        assert!(
            fair(counts[0]) && fair(counts[2]) && fair(counts[3]),
            "{counts:?}"
        );
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn the_first_that_has_none_is_dialled_and_those_after_it_are_not_looked_at() {
        let (mut picker, mut looks) = (Picker::new(1), 0);
        let endpoints = (0..10_000).map(|place| {
            looks += 1;
            (place, holding(u32::from(place < 3), 0))
        });
        assert_eq!(fewest(0, MOST, endpoints, &mut picker), Some(3));
        assert_eq!(looks, 4);
    }

    #[test]
    fn each_has_its_most_before_none_is_dialled() {
        let (mut picker, mut endpoints) = (Picker::new(1), [holding(0, 0); 5]);
        for dials in 0..5 * MOST {
            let place = dialled(0, &endpoints, &mut picker).expect("one that has room");
            endpoints[place].opening += 1;
            assert_eq!(endpoints[place].opening, dials / 5 + 1, "in turn");
        }
        assert_eq!(dialled(0, &endpoints, &mut picker), None);
    }

    #[test]
    fn heavy_ones_have_as_many_connections_more_as_they_weigh() {
        let mut endpoints = [weighing(3, 0), weighing(1, 0), weighing(1, 0)];
        let mut picker = Picker::new(1);
        for _ in 0..5 {
            let place = dialled(0, &endpoints, &mut picker).expect("one that has room");
            endpoints[place].open += 1;
        }
        assert_eq!(endpoints.map(|one| one.open), [3, 1, 1]);
    }

    #[test]
    fn one_whose_gate_is_closed_is_not_dialled_until_it_opens() {
        let mut picker = Picker::new(1);
        let endpoints = [
            Holdings {
                gate_opens_at: 50,
                ..holding(0, 0)
            },
            holding(3, 0),
        ];
        assert_eq!(dialled(49, &endpoints, &mut picker), Some(1));
        assert_eq!(dialled(50, &endpoints, &mut picker), Some(0));
        assert_eq!(dialled(49, &endpoints[..1], &mut picker), None);
    }

    #[test]
    fn weight_0_is_not_dialled_even_where_no_other_may_be() {
        assert_eq!(counts(&[weighing(0, 0), weighing(1, MOST)]), [0, 0]);
        assert_eq!(counts(&[weighing(0, 0), weighing(1, 3)]), [0, 9_000]);
    }

    #[test]
    fn where_all_have_weight_0_they_are_dialled_alike() {
        assert_eq!(counts(&[weighing(0, 1), weighing(0, 0)]), [0, 9_000]);
    }

    #[test]
    fn of_none_none_is_dialled() {
        assert_eq!(counts(&[]), [0; 0]);
    }
}
