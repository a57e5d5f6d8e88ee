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
    #[non_exhaustive]
    NeedsExclusive {
        /// The word in its text that says so.
        word: Box<str>,
    },
    /// The statement calls a function that may change the session, as nobody said otherwise: it was not sent.
    #[error(
        "a shared PostgreSQL session runs no function that may change it, such as `{name}`; \
         take a lease of an exclusive pool (`cenote::Pool` on a `PostgresConnector`) for it, \
         or name it to `PostgresConnector::trust_function` if it leaves a session as it was"
    )]
    #[non_exhaustive]
    UntrustedFunction {
        /// The function, without its schema.
        name: Box<str>,
    },
    /// The text means one thing or another, depending on settings of the session, spells a name in escapes
    /// (`U&"..."`), or ends within a literal or a comment: it was not sent.
    #[error(
        "a shared PostgreSQL session runs no statement that can be read in two ways: \
         one with `U&`, with `\\'` in a plain literal, or with a literal or comment without an end"
    )]
    Ambiguous,
    /// The connection ended before the answer came, for every user of it. Whether the statement ran is not
    /// known.
    #[error("the connection to PostgreSQL at {endpoint} ended: {reason}")]
    #[non_exhaustive]
    Closed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What the server or the network said.
        reason: String,
        /// The driver's own error, if it has one: none where the connection was given up.
        cause: Option<tokio_postgres::Error>,
    },
    /// The reply has another number of rows than was asked for. The statement ran.
    #[error("the statement at {endpoint} returned {rows} rows instead of {wanted}")]
    #[non_exhaustive]
    RowCount {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// How many came.
        rows: usize,
        /// How many may.
        wanted: &'static str,
    },
    /// What the connection would hold for its callers with this reply exceeds
    /// [`reply_bound`](crate::PipelinedConnector::reply_bound): the reply was read and dropped. The statement
    /// ran.
    #[error(
        "the reply from {endpoint} was dropped: the connection holds no more than `reply_bound`, \
         {bound} bytes, for its callers; ask for less at once, poll the calls sent before, \
         or take a lease of an exclusive pool"
    )]
    #[non_exhaustive]
    TooLarge {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// Bytes, for all callers of the connection.
        bound: usize,
    },
    /// The server refused the statement, a parameter is of another type or number than asked for, or
    /// the wire broke.
    #[error("the statement failed at {endpoint}: {}", causes(cause))]
    #[non_exhaustive]
    Failed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The driver's own error.
        cause: tokio_postgres::Error,
    },
}

fn because(word: &str) -> String {
    match word {
        "" => "without words".into(),
        word => format!("with `{word}`"),
    }
}
