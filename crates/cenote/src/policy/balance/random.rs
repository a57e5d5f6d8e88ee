//! Any candidate, by weight. For pools that are to be uniform as tk_pool's are: what is open is used at random, and
//! what is dialled is one of those with the fewest connections.

use super::draw::draw;
use super::{Candidates, Choice, Picker};

#[inline]
pub(super) fn choose<C: Candidates>(
    candidates: &C,
    picker: &mut Picker,
) -> Option<Choice<C::Endpoint>> {
    let drawn = draw(candidates, picker)?;
    Some(drawn.or_another(candidates, picker))
}
