//! Where rivals fail a test that Cenote passes: the same steps against both, side by side.
//!
//! What a rival does is asserted as it is in the version of `bench/Cargo.lock`, named in each module: the day it is
//! mended there, its test fails and tells us, and its line in `docs/guarantees.md` goes. Every pool has its own
//! defaults unless a test says otherwise. Time is virtual where the pool runs on tokio's clock.
//!
//! `cargo test --manifest-path bench/Cargo.toml --test rivals --locked`

mod bb8;
mod bb8_wakeups;
mod deadpool;
mod interposed;
mod mobc;
mod server;
