//! The mux: one connection for many callers.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod anywhere;
mod blocked;
mod calls;
mod cancelling;
mod ending;
mod fuzz;
mod giving_up;
mod hostile;
#[path = "../odd_wakers/mod.rs"]
mod odd_wakers;
mod one_way;
mod order;
mod peer;
mod settings;
mod sick;
mod silent;
mod time;
mod waiting;
mod wakers;
mod wire;
