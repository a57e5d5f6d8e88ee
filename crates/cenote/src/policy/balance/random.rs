//! Any candidate, by weight. For pools that are to be uniform as tk_pool's are: what is open is used at random, and
//! what is dialled is one of those with the fewest connections.

use super::draw::draw;
use super::{Candidates, Choice, Turn};

#[inline]
pub(super) fn choose(candidates: &impl Candidates, turn: &mut Turn) -> Option<Choice> {
    let drawn = draw(candidates, turn)?;
    Some(drawn.or_another(candidates, turn))
}
