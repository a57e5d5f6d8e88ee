//! A runtime for connections to live on, which can be blocked while their users' goes on.

use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::field::Failure;

/// A runtime on a thread of its own, for connections to live on.
pub struct OtherRuntime {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

impl OtherRuntime {
    /// It runs until this is dropped.
    pub fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new()
            .name("connections".into())
            .spawn(move || runtime.block_on(async { _ = ended.await }))?;
        Ok(Self { handle, _end: end })
    }

    /// For a pool whose connections are to live there.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Blocks it, as a task does that sleeps where it should await.
    pub fn block(&self, length: Duration) {
        self.handle.spawn(async move { thread::sleep(length) });
    }
}
