//! The candidate that carries least, of all: for few endpoints, where two draws often are two slow ones (2 of 4 slow:
//! one choice in six). One that is drawn by weight has the call unless another carries less, so that ties spread.

use super::draw::{Drawn, draw};
use super::{Candidates, Choice, Picker};

pub(super) fn choose(candidates: &impl Candidates, picker: &mut Picker) -> Option<Choice> {
    let drawn = draw(candidates, picker)?;
    // From the drawn one on: of several that carry least, the scan takes the first it meets.
    let others = (drawn.place + 1..candidates.len()).chain(0..drawn.place);
    let least = others
        .filter_map(|place| {
            let load = candidates.load(place)?;
            (load.weight > 0).then_some(Drawn { place, load })
        })
        .reduce(|least, other| {
            if other.load.is_lighter_than(least.load) {
                other
            } else {
                least
            }
        });
    let other = least.unwrap_or(drawn);
    let (first, second) = if drawn.load.gives_way_to(other.load) {
        (other.place, drawn.place)
    } else {
        (drawn.place, other.place)
    };
    Some(Choice { first, second })
}
