//! What a thread brings to a choice: its random numbers, and its position in the round. Threads share neither: a common
//! counter would be one line of memory that all of them write.

use fastrand::Rng;

/// Before the first place, which is random, or all threads would begin with the same endpoint.
const NOWHERE: u32 = u32::MAX;

/// A thread's random numbers and its position in the round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picker {
    /// State of a generator.
    random: u64,
    /// The next place.
    place: u32,
    /// How many times the list has been gone through.
    round: u32,
}

impl Picker {
    pub(crate) fn new(seed: u64) -> Self {
        let mut picker = Self {
            random: seed,
            place: NOWHERE,
            round: 0,
        };
        // Generators whose states lie side by side, as those of counted seeds, give numbers that resemble each other.
        picker.random = picker.next_u64();
        picker.round = (picker.next_u64() >> 32) as u32;
        picker
    }

    #[inline]
    pub(crate) fn next_u64(&mut self) -> u64 {
        let mut rng = Rng::with_seed(self.random);
        let number = rng.u64(..);
        self.random = rng.get_seed();
        number
    }

    /// A number below `n`; 0 for `n = 0`.
    #[inline]
    pub(crate) fn below(&mut self, n: usize) -> usize {
        scaled(self.next_u64(), n)
    }

    /// The next place of a list of `len`, and in which round. A list that has become shorter is begun anew, so that
    /// each of its places comes once a round.
    #[inline]
    pub(super) fn advance(&mut self, len: usize) -> (usize, u32) {
        let mut place = self.place as usize;
        if place >= len {
            self.round = self.round.wrapping_add(1);
            place = if self.place == NOWHERE {
                self.below(len)
            } else {
                0
            };
        }
        self.place = (place + 1) as u32;
        (place, self.round)
    }
}

/// The random `number` as one below `n`: its high bits decide, the product's upper half. The bias is `n / 2^64`.
#[inline]
pub(super) fn scaled(number: u64, n: usize) -> usize {
    ((u128::from(number) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_seed_others() {
        let numbers = |seed| {
            let mut picker = Picker::new(seed);
            [(); 8].map(|()| picker.next_u64())
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
    }

    #[test]
    fn seeds_side_by_side_give_numbers_that_are_independent() {
        let (mut one, mut other) = (Picker::new(1), Picker::new(2));
        let same = (0..100_000)
            .filter(|_| one.below(10) == other.below(10))
            .count();
        // Three sigma of a share of one tenth.
        assert!(same.abs_diff(10_000) < 285, "{same}");
    }

    #[test]
    fn numbers_below_a_bound_are_below_it_and_spread_evenly() {
        let (mut picker, mut counts) = (Picker::new(3), [0_u32; 7]);
        for _ in 0..70_000 {
            counts[picker.below(7)] += 1;
        }
        // Three sigma of a share of one seventh.
        assert!(
            counts.iter().all(|count| count.abs_diff(10_000) < 278),
            "{counts:?}"
        );
        assert_eq!([picker.below(0), picker.below(1)], [0, 0]);
    }

    #[test]
    fn a_round_goes_through_all_places_from_a_random_one_on() {
        let starts: Vec<_> = (0..50)
            .map(|seed| Picker::new(seed).advance(10).0)
            .collect();
        assert!((0..10).all(|place| starts.contains(&place)), "{starts:?}");

        let mut picker = Picker::new(1);
        let (start, _) = picker.advance(10);
        for step in 1..100 {
            assert_eq!(picker.advance(10).0, (start + step) % 10);
        }
    }
}
