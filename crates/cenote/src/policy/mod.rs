//! Pure decisions: no I/O, no clock, no global randomness. They take `now` (nanoseconds since the pool
//! began) and a seeded generator, and return what to do.

#[cfg_attr(not(test), expect(dead_code, reason = "no pool of many endpoints yet"))]
pub(crate) mod accrual;
pub(crate) mod backoff;
// Until the kernel of a set asks them.
#[cfg_attr(not(test), expect(dead_code))]
pub(crate) mod balance;
pub(crate) mod budget;
#[cfg_attr(not(test), expect(dead_code, reason = "no pool of many endpoints yet"))]
pub(crate) mod ejection;
pub(crate) mod growth;
pub(crate) mod lifetime;
pub(crate) mod recycle;
#[cfg_attr(not(test), expect(dead_code, reason = "no pool of many endpoints yet"))]
pub(crate) mod shares;
pub(crate) mod sharing;
pub(crate) mod telling;
