//! Of two candidates drawn at random the better one (M. Mitzenmacher, "The Power of Two Choices in Randomized Load
//! Balancing", 1996; drawn by weight: Berenbrink et al., "Balls into non-uniform bins", 2010). It looks at two, however
//! many there are (kong #14961), and at two different ones, or a set of two would get half of its calls without a
//! comparison.

use super::draw::{draw, draw_beside};
use super::{Candidates, Choice, Load, Picker};

/// The one that carries less.
#[inline]
pub(super) fn by_in_flight<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Choice<C::Endpoint>> {
    better_of_two(candidates, picker, Load::gives_way_to)
}

/// The one whose calls, with what it carries, take less time.
#[inline]
pub(super) fn by_time<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Choice<C::Endpoint>> {
    better_of_two(candidates, picker, Load::gives_way_by_time_to)
}

#[inline]
fn better_of_two<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
    gives_way: impl FnOnce(Load, Load) -> bool,
) -> Option<Choice<C::Endpoint>> {
    let one = draw(candidates, picker)?;
    let Some(other) = draw_beside(candidates, picker, one.chosen.place) else {
        return Some(Choice {
            first: one.chosen,
            second: one.chosen,
        });
    };
    let (better, worse) = if gives_way(one.load, other.load) {
        (other, one)
    } else {
        (one, other)
    };
    Some(Choice {
        first: better.chosen,
        second: worse.chosen,
    })
}
