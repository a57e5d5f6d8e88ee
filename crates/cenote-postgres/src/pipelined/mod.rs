//! Connections that many users share: their statements follow each other on the wire without waiting for
//! replies, and the server runs them one by one.
//!
//! Only a statement that stands alone may be sent here, as a session has one transaction, one set of settings
//! and one order of work for all who use it.

mod connection;
mod connector;
mod error;

pub use connection::PipelinedConnection;
pub use connector::PipelinedConnector;
pub use error::PipelinedError;
