//! Connections that many users share: their statements follow each other on the wire without waiting for
//! replies, and the server runs them one by one.
//!
//! Only a statement that stands alone may be sent here, as a session has one transaction, one set of settings
//! and one order of work for all who use it.
//!
//! A call of `connection` encodes its parameters (`params`) and makes a request (`reply`), whose reply is read
//! though the caller is not polled (`unpolled`), as long as there is room for what is held (`account`). Each
//! connection has a watch (`watch`) that goes by its signs of life (`vitals`) and asks the server where those do
//! not tell (`probe`).

mod account;
mod connection;
mod connector;
mod error;
mod params;
mod probe;
mod reply;
mod unpolled;
mod vitals;
mod watch;

pub use connection::PipelinedConnection;
pub use connector::PipelinedConnector;
pub use error::PipelinedError;
