//! The candidate that carries least, of all: for few endpoints, where two draws often are two slow ones (2 of 4 slow:
//! one choice in six). One that is drawn by weight has the call unless another carries less, so that ties spread.

use super::draw::{Drawn, draw};
use super::{Candidates, Choice, Picker};

pub(super) fn choose<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Choice<C::Endpoint>> {
    let drawn = draw(candidates, picker)?;
    // From the drawn one on: of several that carry least, the scan takes the first it meets.
    let place = drawn.chosen.place;
    let others = (place + 1..candidates.len()).chain(0..place);
    let least = others
        .filter_map(|place| Drawn::at(candidates, place))
        .filter(|other| other.load.weight > 0)
        .reduce(|least, other| {
            if other.load.is_lighter_than(least.load) {
                other
            } else {
                least
            }
        });
    let other = least.unwrap_or(drawn);
    let (first, second) = if drawn.load.gives_way_to(other.load) {
        (other.chosen, drawn.chosen)
    } else {
        (drawn.chosen, other.chosen)
    };
    Some(Choice { first, second })
}
