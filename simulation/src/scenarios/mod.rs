//! The scenarios, a file each: what is simulated, how long, and what the figures must be.

pub mod beyond_round_robin;
pub mod ejection;
pub mod many_keys;
pub mod name_server;
pub mod rolling_restart;
pub mod sinkhole;
pub mod supermarket;
pub mod two_slow;
