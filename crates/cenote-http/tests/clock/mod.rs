//! Time that a test stops.

use std::sync::mpsc;

/// Stops tokio's clock for as long as this is there: no limit passes, however slow the machine is. On one thread.
pub struct StoppedClock(#[allow(dead_code, reason = "ends the thread")] mpsc::Sender<()>);

impl StoppedClock {
    pub fn new() -> Self {
        let (end, wait) = mpsc::channel();
        // While it runs, a clock that is paused does not go on by itself.
        tokio::task::spawn_blocking(move || wait.recv());
        tokio::time::pause();
        Self(end)
    }
}
