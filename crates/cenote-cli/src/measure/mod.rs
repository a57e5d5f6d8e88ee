//! Running users against one way of connecting, and what is learnt from it.

mod endpoints;
mod errors;
mod load;
mod observer;
mod recorder;

pub use self::endpoints::{Condition, Endpoints, History, Point, Since};
pub use self::errors::ErrorCount;
pub use self::load::{Measured, Stop, measure};
pub use self::observer::Sample;
pub use self::recorder::Latencies;
