//! What the proxy tells its connections, and how a connection ends.

use super::Fault;
use std::io;
use tokio::sync::watch::Receiver;
use tokio::sync::watch::error::RecvError;

/// What holds for all connections now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Control {
    pub(crate) fault: Fault,
    /// Every connection accepted before the latest cut is to be reset.
    pub(crate) cuts: u64,
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

/// Ends when a connection accepted after so many cuts is to be reset, or when the proxy is gone.
pub(crate) async fn severed(mut control: Receiver<Control>, cuts: u64) -> Ended {
    let struck = |now: &Control| now.fault == Fault::Reset || now.cuts != cuts;
    match control.wait_for(struck).await {
        Ok(_) => Ended::ByReset,
        Err(error) => closed(error),
    }
}
