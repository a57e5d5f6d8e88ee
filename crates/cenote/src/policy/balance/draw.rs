//! Candidates drawn at random, each as often as its weight says, without a table that every change of the set would
//! have to rebuild: a place drawn evenly is accepted as often as its weight is of the greatest. Where weights are
//! alike, which is nearly always, that is one comparison more than an even draw.

use super::picker::scaled;
use super::{Candidates, Choice, Chosen, Load, MAX_WEIGHT, Picker};

/// So many places are drawn and refused, and no more than there are candidates, before all are walked through. Where
/// the mean weight is a tenth of the greatest, one draw in 850 comes to that (0.9^64). Both draw by weight, so that the
/// shares are exact however often the walk decides.
pub(super) const TRIES: usize = 64;

/// No place of any list.
const NONE: usize = usize::MAX;

/// A candidate as it was when it was drawn.
#[derive(Clone, Copy)]
pub(super) struct Drawn<E> {
    pub(super) chosen: Chosen<E>,
    pub(super) load: Load,
}

impl<E: Copy> Drawn<E> {
    /// The one at `place`, if it is there.
    #[inline(always)]
    pub(super) fn at(candidates: &impl Candidates<Endpoint = E>, place: usize) -> Option<Self> {
        let (endpoint, load) = candidates.at(place)?;
        let chosen = Chosen { place, endpoint };
        Some(Self { chosen, load })
    }

    /// For rules that compare nothing: this one, and where it has no idle connection another one after it. It is drawn,
    /// not the neighbour: that one would have all the load of an endpoint that is slow or full beside its own.
    #[inline]
    pub(super) fn or_another(
        self,
        candidates: &impl Candidates<Endpoint = E>,
        picker: &mut Picker,
    ) -> Choice<E> {
        let other = if self.load.has_idle() {
            None
        } else {
            draw_beside(candidates, picker, self.chosen.place)
        };
        Choice {
            first: self.chosen,
            second: other.unwrap_or(self).chosen,
        }
    }
}

/// One of those that have a weight.
#[inline(always)]
pub(super) fn draw<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Drawn<C::Endpoint>> {
    draw_beside(candidates, picker, NONE)
}

/// One of those that have a weight, but for the one at `taken`. Inlined where a choice draws two: the call would cost
/// a tenth of a lease.
#[inline(always)]
pub(super) fn draw_beside<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
    taken: usize,
) -> Option<Drawn<C::Endpoint>> {
    let len = candidates.len();
    let others = len - usize::from(taken < len);
    for _ in 0..others.min(TRIES) {
        let number = picker.next_u64();
        let drawn = scaled(number, others);
        let place = drawn + usize::from(drawn >= taken);
        if let Some(drawn) = Drawn::at(candidates, place) {
            // The high bits chose the place, the low ones accept it.
            if u64::from(drawn.load.weight) > number & u64::from(MAX_WEIGHT) {
                return Some(drawn);
            }
        }
    }
    walk(candidates, picker, taken)
}

/// The same by one look at each: every candidate takes the place of the one before it as often as its weight is of all
/// so far.
#[cold]
#[inline(never)]
fn walk<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
    taken: usize,
) -> Option<Drawn<C::Endpoint>> {
    let (mut drawn, mut sum) = (None, 0_usize);
    for place in (0..candidates.len()).filter(|&place| place != taken) {
        let Some(other) = Drawn::at(candidates, place) else {
            continue;
        };
        let weight = other.load.weight as usize;
        sum = sum.saturating_add(weight);
        if picker.below(sum) < weight {
            drawn = Some(other);
        }
    }
    drawn
}
