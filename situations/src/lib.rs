//! What the field does to a pool of connections, as a table: twelve situations that befall a connection in six
//! states, for PostgreSQL and Redis, exclusive and shared; 288 cells. Each that can be has a bound within which service
//! is as before, with a pool's default settings, and a check that no reply and no state of a session reaches another
//! user than its own. Those that cannot be say why, and that is tried out.
//!
//! Real servers, behind a proxy that does what networks do; real time.
//!
//! [`Situation`] and [`State`] say what each is; [`Cell::applies`] what must hold. [`play`] plays one.
//!
//! The program plays all and judges the times (`cargo run --release -p cenote-situations -- --help`); the package's
//! test plays some and asserts that service comes back, whenever.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod bound;
mod cell;
mod field;
mod journal;
mod other_runtime;
mod outcome;
mod play;
pub mod report;
mod situation;
mod state;
mod subject;
mod target;
mod trouble;
mod users;

pub use bound::{ALLOWANCE, Bound, OUTER_LIMIT};
pub use cell::{Applies, Cell, Database, Kind};
pub use field::{Failure, Servers};
pub use outcome::Outcome;
pub use play::play;
pub use situation::{LASTS, Situation};
pub use state::State;
