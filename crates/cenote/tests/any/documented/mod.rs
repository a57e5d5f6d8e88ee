//! The connectors that the documentation shows are right, for they are what a new user copies first. They stand here a
//! second time, which `pages` checks.

mod asynchronous;
mod blocking;
mod pages;
mod server;

use std::time::{Duration, Instant};

/// Waits for something that other threads bring about.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "{what}: not within 30 s"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
