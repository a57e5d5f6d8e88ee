//! Pure decisions: no I/O, no clock, no global randomness. They take `now` (nanoseconds since the pool
//! began) and a seeded generator, and return what to do.

pub(crate) mod accrual;
pub(crate) mod backoff;
pub(crate) mod balance;
pub(crate) mod budget;
pub(crate) mod ejection;
pub(crate) mod growth;
pub(crate) mod lifetime;
pub(crate) mod recycle;
pub(crate) mod shares;
pub(crate) mod sharing;
pub(crate) mod suitability;
pub(crate) mod telling;
