//! HTTP on one connection: a request goes in, the head of its reply comes out, and then its body. The rest of the crate knows
//! of hyper and h2 only what is named here, so that another codec can take the place of either.
//!
//! [`http1`] carries one exchange at a time, [`http2`] as many as its peer takes. A request is kept in the form that either can
//! send: its URI absolute, its fields free of what is between a caller and us; [`http1`] and [`http2`] make of it what goes
//! over the wire. What a user leaves behind is the connection's to see to: an HTTP/1.1 reply that nobody waits for is read to
//! its end within limits, an HTTP/2 stream is reset.

mod connection;
mod http1;
mod http2;
mod incoming;
mod outgoing;
mod reply;
mod transport;
mod tunnel;

pub(crate) use connection::Connection;
pub(crate) use http1::Target;
pub(crate) use http2::{Gone, SlowStart, gone, is_foreign};
pub(crate) use hyper::upgrade::{OnUpgrade, Upgraded as Switched, on as on_upgrade};
pub(crate) use hyper_util::rt::TokioIo;
pub(crate) use incoming::Incoming;
pub(crate) use outgoing::Outgoing;
pub(crate) use reply::{Failure, Repeat, Reply, Sending, SendingError, Upload};
pub(crate) use transport::Transport;
pub(crate) use tunnel::tunnel;
