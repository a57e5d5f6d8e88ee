//! Chaos: what befalls the embedded servers while users are at work, and how long that was felt.
//!
//! `schedule` says what is to happen, from a seed; `player` has it happen; `recovery` says of each step what it cost.

mod player;
mod recovery;
mod schedule;

pub use self::player::Chaos;
pub use self::recovery::{Felt, felt};
pub use self::schedule::Schedule;
