//! HTTP/2 by the h2 crate: many exchanges at once, as streams. A request's reply is polled for by the task that waits for it;
//! one task for each connection, its *driver*, reads and writes.
//!
//! What the pool must know, the driver publishes after each of its turns: how many streams the peer takes, whether it is going
//! away, and whether it answers at all.

mod connection;
mod doubt;
mod driver;
mod form;
mod incoming;
mod kept;
mod sending;
mod slow_start;
mod upload;

use std::error::Error;

use cenote::error::BoxError;
use h2::Reason;

pub(super) use connection::Connection;
pub(super) use incoming::Incoming;
pub(super) use sending::Sending;
pub(crate) use slow_start::SlowStart;
pub(super) use upload::Upload;

/// Whether a connection failed because its peer speaks something else.
pub(crate) fn is_foreign(error: &BoxError) -> bool {
    let error = error.downcast_ref::<h2::Error>();
    error.is_some_and(h2::Error::is_library)
}

/// How a peer ended a connection on which nothing was sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// It said that it goes away, and for no error.
    Told,
    /// Without a word.
    Silent,
}

/// How the peer ended the connection, if it is that which failed it.
pub(crate) fn gone(error: &(dyn Error + Send + Sync + 'static)) -> Option<Gone> {
    let error = error.downcast_ref::<h2::Error>()?;
    let is_told = error.is_remote() && error.is_go_away();
    if is_told && error.reason() == Some(Reason::NO_ERROR) {
        Some(Gone::Told)
    } else if error.is_io() {
        Some(Gone::Silent)
    } else {
        None
    }
}
