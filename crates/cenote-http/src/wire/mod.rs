//! HTTP/1.1 on one connection: a request goes in, the head of its reply comes out, and then its body; before that, where it
//! goes through an HTTP proxy, one exchange with that. The rest of the crate knows of hyper only what is named here, so that
//! another codec can take its place.
//!
//! A connection is *idle*, *busy* with one exchange, or has one *unfinished*: its user has left, and the rest of the reply is
//! still to come. [`Connection::finish`] brings that to an end, within limits, so that neither a body that nobody reads nor
//! a request that was given up costs the connection.

mod connection;
mod outgoing;
mod transport;
mod tunnel;

pub(crate) use connection::{Connection, Reply, Sending, SendingError};
pub(crate) use hyper::body::Incoming;
pub(crate) use hyper::upgrade::{OnUpgrade, Upgraded as Switched, on as on_upgrade};
pub(crate) use hyper_util::rt::TokioIo;
pub(crate) use outgoing::Outgoing;
pub(crate) use transport::Transport;
pub(crate) use tunnel::tunnel;
