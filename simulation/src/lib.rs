//! Pools over sets of endpoints under load, simulated and held against what is published of such pools, or promised of
//! this one. The pool is the real one; the servers are simulated (`service`), and time is tokio's, which stands still
//! while anything is to be done. A [`Scenario`] is a function of a seed: the same seed, the same figures.
//!
//! `cargo xtask simulate` plays them at full length; `tests/` plays shorter ones in less than a minute.

#![forbid(unsafe_code)]

pub mod figure;
pub mod page;
pub mod report;

// How numbers are written, and the charts of [`page`], are those of `cenote stress`.
#[path = "../../crates/cenote-cli/src/format.rs"]
pub mod format;

mod load;
mod measure;
mod policy;
mod scenario;
mod scenarios;
mod service;

pub use figure::{Figure, Must, Unit};
pub use scenario::{Length, Outcome, Plot, Scenario};
