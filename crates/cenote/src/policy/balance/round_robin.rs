//! One candidate after the other, and by weight: static stride scheduling, as of gRPC's weighted round robin (gRFC
//! A58).
//!
//! A candidate is passed over in those rounds in which its weight, added up round by round, does not come to another
//! [`MAX_WEIGHT`]. There is no table and no state but the thread's position. The heavy ones' choices lie apart instead
//! of in a row (pingora #195), because the light ones' sums begin at different points.

use super::draw::{Drawn, TRIES, draw};
use super::{Candidates, Choice, MAX_WEIGHT, Picker};

/// How far apart the sums of neighbours begin: 2^16 divided by the square of the golden ratio, so that those of any
/// number of neighbours lie evenly apart (Knuth, TAOCP 6.4, on multiplicative hashing). By its complement, 2^16 divided
/// by the ratio itself, a neighbour's choice would come so much earlier that it meets the one of the round before.
const PHASE: u64 = 25_033;

/// The next one that is due. Where the weights are alike that is the next place; else it is looked for as often as a
/// draw tries, once round at most. After that a draw decides: it has the same shares.
#[inline]
pub(super) fn choose<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Choice<C::Endpoint>> {
    let len = candidates.len();
    for _ in 0..len.min(TRIES) {
        let (place, round) = picker.advance(len);
        if let Some(next) = Drawn::at(candidates, place) {
            if is_due(next.load.weight, place, round) {
                return Some(next.or_another(candidates, picker));
            }
        }
    }
    Some(draw(candidates, picker)?.or_another(candidates, picker))
}

#[inline]
fn is_due(weight: u32, place: usize, round: u32) -> bool {
    if weight >= MAX_WEIGHT {
        return true;
    }
    let max = u64::from(MAX_WEIGHT);
    let begin = (place as u64 + 1).wrapping_mul(PHASE) % max;
    let sum = u64::from(weight) * u64::from(round) + begin;
    sum % max >= max - u64::from(weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_as_many_rounds_as_the_greatest_weight_one_is_due_as_often_as_it_weighs() {
        for weight in [0, 1, 2, 13_107, MAX_WEIGHT - 1, MAX_WEIGHT] {
            for (place, start) in [(0, 0), (7, 1_000_000)] {
                let rounds = start..start + MAX_WEIGHT;
                let due = rounds.filter(|&round| is_due(weight, place, round)).count();
                assert_eq!(due, weight as usize);
            }
        }
    }
}
