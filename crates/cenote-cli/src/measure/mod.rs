//! Running users against one way of connecting, and what is learnt from it.

mod load;
mod observer;
mod recorder;

pub use self::load::{Measured, Stop, measure};
pub use self::observer::Sample;
pub use self::recorder::{ErrorCount, Latencies};
