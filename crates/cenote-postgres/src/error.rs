//! What can go wrong with a connector's settings, and with opening, checking and resetting a connection.
//!
//! Every error names the endpoint and its cause in one line. No error holds the password.

use std::error::Error as StdError;
use std::fmt::Write;
use std::sync::Arc;

/// Why a [`PostgresConnector`](crate::PostgresConnector) cannot be made from the settings given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL's scheme is another one.
    #[error(
        "the PostgreSQL URL starts with `{scheme}://`; \
         give `postgres://user@host/database` or `host=... user=... dbname=...`"
    )]
    Scheme {
        /// What it is.
        scheme: String,
    },
    /// The text is no connection string; the reason names the part.
    #[error("the PostgreSQL connection string is not valid: {reason}")]
    Syntax {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting is missing or has a value that cannot work.
    #[error("the PostgreSQL setting `{setting}` {problem}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What is wrong, and what would be accepted.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn setting(setting: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting {
            setting,
            problem: problem.into(),
        }
    }
}

/// An error of a connection as the pool sees it. What a query fails with is [`tokio_postgres::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about: the address is wrong, nothing listens there, the server refused the
    /// user, the password or the database, or TLS failed.
    #[error("cannot connect to PostgreSQL at {endpoint}: {}", causes(source))]
    Connect {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// `sslmode=require` without a `tls_config`, on a system without root certificates. Only with the
    /// feature `rustls`.
    #[error(
        "cannot connect to PostgreSQL at {endpoint}: this system has no root certificates; \
         install them or give `tls_config`"
    )]
    NoRootCertificates {
        /// The hosts and ports.
        endpoint: Arc<str>,
    },
    /// The statements of [`PostgresConnector::setup`](crate::PostgresConnector::setup) failed on a new
    /// connection.
    #[error("setting up the session at {endpoint} failed: {}", causes(source))]
    Setup {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// [`PostgresConnector::setup`](crate::PostgresConnector::setup) was given together with
    /// [`behind_transaction_pooler`](crate::PostgresConnector::behind_transaction_pooler): what it sets would be
    /// met by others, and not by later statements of this connection.
    #[error(
        "`setup` cannot be used with `behind_transaction_pooler` at {endpoint}: \
         give settings to the pooler or the role"
    )]
    SetupBehindPooler {
        /// The hosts and ports.
        endpoint: Arc<str>,
    },
    /// The round trip of a check failed.
    #[error(
        "the connection to PostgreSQL at {endpoint} failed its check: {}",
        causes(source)
    )]
    Check {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// The server refused a statement of the reset, or the connection broke.
    #[error("resetting the session at {endpoint} failed: {}", causes(source))]
    Reset {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        source: tokio_postgres::Error,
    },
    /// The connection was closed while it was checked or reset, and said why.
    #[error("the connection to PostgreSQL at {endpoint} was closed: {reason}")]
    Closed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What the server or the network said.
        reason: String,
    },
    /// The reset ran, and showed a session that is not fit for another user.
    #[error("the session at {endpoint} cannot be reset: {reason}")]
    Unclean {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What was found.
        reason: Unclean,
    },
}

/// Why a session is not fit for another user even after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclean {
    /// Replies no longer match requests.
    #[error("its replies are out of step with its requests")]
    OutOfStep,
    /// `DISCARD ALL` or `DEALLOCATE` dropped statements that the connection counts on.
    #[error("prepared statements that it relies on were deallocated")]
    StatementsLost,
}

/// The error and its causes in one line. `tokio_postgres` says only "db error" by itself.
pub(crate) fn causes(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        let mut text = format!("{} (SQLSTATE {})", db.message(), db.code().code());
        if let Some(detail) = db.detail() {
            let _ = write!(text, ": {detail}");
        }
        return text;
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
