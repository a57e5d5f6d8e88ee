//! Why a statement on a shared connection has no answer.

use std::sync::Arc;

use crate::error::causes;

/// Why a statement on a [`PipelinedConnection`](crate::PipelinedConnection) has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelinedError {
    /// The statement depends on the session, or changes it, and others use the session too: it was not sent.
    /// It needs a connection of its own: a lease of a [`cenote::Pool`] on a
    /// [`PostgresConnector`](crate::PostgresConnector).
    #[error(
        "a shared PostgreSQL session runs no statement {}; \
         take a lease of an exclusive pool (`cenote::Pool` on a `PostgresConnector`) for it",
        because(.word)
    )]
    NeedsExclusive {
        /// The word in its text that says so.
        word: Box<str>,
    },
    /// The connection ended before the answer came, for every user of it. Whether the statement ran is not
    /// known.
    #[error("the connection to PostgreSQL at {endpoint} ended: {reason}")]
    Closed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What the server or the network said.
        reason: String,
        /// The driver's own error.
        source: tokio_postgres::Error,
    },
    /// The server refused the statement, a parameter or a row is of another type or number than asked for, or
    /// the wire broke.
    #[error("the statement failed at {endpoint}: {}", causes(source))]
    Failed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The driver's own error.
        source: tokio_postgres::Error,
    },
}

fn because(word: &str) -> String {
    match word {
        "" => "without words".into(),
        word => format!("with `{word}`"),
    }
}
