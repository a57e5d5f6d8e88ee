//! HTTP/2 by the h2 crate: many exchanges at once, as streams. A request's reply is polled for by the task that waits for it;
//! one task for each connection, its *driver*, reads and writes.
//!
//! What the pool must know, the driver publishes after each of its turns: how many streams the peer takes, whether it is going
//! away, and whether it answers at all.

mod connection;
mod driver;
mod form;
mod incoming;
mod kept;
mod sending;
mod upload;

use cenote::error::BoxError;

pub(super) use connection::Connection;
pub(super) use incoming::Incoming;
pub(super) use sending::Sending;
pub(super) use upload::Upload;

/// Whether a connection failed because its peer speaks something else.
pub(crate) fn is_foreign(error: &BoxError) -> bool {
    let error = error.downcast_ref::<h2::Error>();
    error.is_some_and(h2::Error::is_library)
}
