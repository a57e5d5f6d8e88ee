//! HTTP/1.1 by hyper: one exchange at a time.
//!
//! A connection is *idle*, *busy* with one exchange, or *finishing*: its user has left, and the rest of the reply is still to
//! come. A task of its own brings that to an end, within limits, so that neither a body that nobody reads nor a request that was
//! given up costs the connection; until then it carries no lease.

mod connection;
mod finishing;
mod form;
mod sending;

pub(super) use connection::Connection;
pub(crate) use form::Target;
pub(super) use sending::Sending;
