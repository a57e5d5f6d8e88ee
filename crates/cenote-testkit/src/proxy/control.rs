//! What the proxy tells its connections, and how a connection ends.

use super::Fault;
use std::future::pending;
use std::io;
use tokio::sync::watch::Receiver;
use tokio::sync::watch::error::RecvError;

/// What holds for all connections now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    pub(crate) fault: Fault,
    /// Every connection accepted before the latest cut is to be reset.
    pub(crate) cuts: u64,
    /// Every connection accepted before the latest of these is to be stranded.
    pub(crate) strandings: u64,
}

impl Control {
    /// Whether a connection that was accepted under `then` can carry nothing any more, without a word.
    fn has_stranded(&self, then: &Self) -> bool {
        self.fault == Fault::Unplugged || self.strandings != then.strandings
    }

    /// Whether it is to be reset.
    fn has_cut(&self, then: &Self) -> bool {
        self.fault == Fault::Reset || self.cuts != then.cuts
    }
}

/// How a connection is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Closed, as a process that ends closes its sockets.
    Quietly,
    /// Reset on both sides.
    ByReset,
}

impl Ended {
    /// What one side did to the proxy, the other side gets to feel.
    pub(crate) fn by_error(_: io::Error) -> Self {
        Self::ByReset
    }
}

/// The proxy is gone.
pub(crate) fn closed(_: RecvError) -> Ended {
    Ended::Quietly
}

/// Ends when a connection accepted under `then` is to be reset, or when the proxy is gone.
pub(crate) async fn severed(mut control: Receiver<Control>, then: Control) -> Ended {
    match control.wait_for(|now| now.has_cut(&then)).await {
        Ok(_) => Ended::ByReset,
        Err(error) => closed(error),
    }
}

/// Ends when a connection accepted under `then` is to be stranded; never when the proxy is gone.
pub(crate) async fn stranded(mut control: Receiver<Control>, then: Control) {
    if control
        .wait_for(|now| now.has_stranded(&then))
        .await
        .is_err()
    {
        pending().await
    }
}
