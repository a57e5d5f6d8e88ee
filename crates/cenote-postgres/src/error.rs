//! What can go wrong with a connector's settings, and with opening, checking and resetting a connection.
//!
//! Every error names the endpoint and its cause in one line. No error holds the password.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use cenote::FailureKind;
use cenote::error::with_causes;
use cenote::net::{DialError, HostCause, HostsError};
use tokio_postgres::error::SqlState;

/// Why a [`PostgresConnector`](crate::PostgresConnector) cannot be made from the settings given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The URL's scheme is another one.
    #[error(
        "the PostgreSQL URL starts with `{scheme}://`; \
         give `postgres://user@host/database` or `host=... user=... dbname=...`"
    )]
    #[non_exhaustive]
    Scheme {
        /// What it is.
        scheme: String,
    },
    /// The text is no connection string; the reason names the part.
    #[error("the PostgreSQL connection string is not valid: {reason}")]
    #[non_exhaustive]
    Syntax {
        /// What is wrong with it.
        reason: String,
    },
    /// A setting is missing or has a value that cannot work.
    #[error("the PostgreSQL setting `{setting}` {problem}")]
    #[non_exhaustive]
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
///
/// The texts are complete: each has its causes in it, once, so that none of these errors has a
/// [`source`](StdError::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection came about: the address is wrong, nothing listens there, the server refused the
    /// user, the password or the database, or TLS failed.
    #[error("cannot connect to PostgreSQL at {endpoint}: {cause}")]
    #[non_exhaustive]
    Connect {
        /// The host and port.
        endpoint: Arc<str>,
        /// Why.
        cause: ConnectCause,
    },
    /// None of several hosts gave a connection.
    #[error("cannot connect to PostgreSQL: {failures}")]
    #[non_exhaustive]
    ConnectEach {
        /// Each that was tried, and why it gave none.
        failures: HostsError<ConnectCause>,
    },
    /// The statements of [`PostgresConnector::setup`](crate::PostgresConnector::setup) failed on a new
    /// connection.
    #[error("setting up the session at {endpoint} failed: {}", causes(cause))]
    #[non_exhaustive]
    Setup {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        cause: tokio_postgres::Error,
    },
    /// [`PostgresConnector::setup`](crate::PostgresConnector::setup) was given together with
    /// [`behind_transaction_pooler`](crate::PostgresConnector::behind_transaction_pooler): what it sets would be
    /// met by others, and not by later statements of this connection.
    #[error(
        "`setup` cannot be used with `behind_transaction_pooler` at {endpoint}: \
         give settings to the pooler or the role"
    )]
    #[non_exhaustive]
    SetupBehindPooler {
        /// The hosts and ports.
        endpoint: Arc<str>,
    },
    /// The round trip of a check failed.
    #[error(
        "the connection to PostgreSQL at {endpoint} failed its check: {}",
        causes(cause)
    )]
    #[non_exhaustive]
    Check {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        cause: tokio_postgres::Error,
    },
    /// The server refused a statement of the reset, or the connection broke.
    #[error("resetting the session at {endpoint} failed: {}", causes(cause))]
    #[non_exhaustive]
    Reset {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// The cause.
        cause: tokio_postgres::Error,
    },
    /// The connection was closed while it was checked or reset, and said why.
    #[error("the connection to PostgreSQL at {endpoint} was closed: {reason}")]
    #[non_exhaustive]
    Closed {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What the server or the network said.
        reason: String,
    },
    /// A check found that the server has another role than the one for which the connection was opened.
    #[error("PostgreSQL at {endpoint} has changed its role: {reason}")]
    #[non_exhaustive]
    RoleChanged {
        /// The host and port.
        endpoint: Arc<str>,
        /// To what.
        reason: Unclean,
    },
    /// Notifications came faster than they were taken, and these found no room: the data that they tell of has to be
    /// looked at anew. The next ones are kept again.
    #[error(
        "{lost} notifications from PostgreSQL at {endpoint} were lost: they came faster than they were taken"
    )]
    #[non_exhaustive]
    NotificationsLost {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// How many.
        lost: u64,
    },
    /// The server did not answer while the connection waited for notifications.
    #[error("PostgreSQL at {endpoint} is silent: no answer within {limit:?}")]
    #[non_exhaustive]
    Silent {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A cancel request could not be sent.
    #[error("cannot ask PostgreSQL at {endpoint} to cancel a statement: {cause}")]
    #[non_exhaustive]
    Cancel {
        /// The host and port.
        endpoint: Arc<str>,
        /// Why.
        cause: ConnectCause,
    },
    /// The reset ran, and showed a session that is not fit for another user.
    #[error("the session at {endpoint} cannot be reset: {reason}")]
    #[non_exhaustive]
    Unclean {
        /// The hosts and ports.
        endpoint: Arc<str>,
        /// What was found.
        reason: Unclean,
    },
}

impl Error {
    /// The SQLSTATE that the server refused with, if it did.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Connect { cause, .. } | Self::Cancel { cause, .. } => cause.code(),
            Self::ConnectEach { failures } => {
                failures
                    .failures()
                    .iter()
                    .rev()
                    .find_map(|(_, cause)| match cause {
                        HostCause::Failed(cause) => cause.code(),
                        _ => None,
                    })
            }
            Self::Setup { cause, .. } | Self::Check { cause, .. } | Self::Reset { cause, .. } => {
                cause.code()
            }
            _ => None,
        }
    }

    /// What it says of the next attempt to connect.
    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Connect { cause, .. } => cause.kind(),
            Self::ConnectEach { failures } => failures.classify(ConnectCause::kind),
            Self::Setup { cause, .. } if cause.code().is_some_and(is_of_the_statement) => {
                FailureKind::Final
            }
            Self::SetupBehindPooler { .. } => FailureKind::Final,
            _ => FailureKind::Transient,
        }
    }
}

/// Whether the server would refuse the same statement again: not for want of resources, nor as it shuts down.
fn is_of_the_statement(code: &SqlState) -> bool {
    !["08", "53", "57", "58"]
        .iter()
        .any(|class| code.code().starts_with(class))
}

/// Why one host gave no connection.
///
/// The text has all causes in it, so that there is no [`source`](StdError::source).
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectCause {
    /// No TCP connection, nor one to a socket of the file system.
    Unreachable(DialError),
    /// The peer speaks another protocol.
    #[non_exhaustive]
    NotPostgres {
        /// The beginning of the answer, fit to be shown.
        answer: String,
    },
    /// The connection ended, or broke, before it was known whether the server does TLS.
    Interrupted(io::Error),
    /// `sslmode=require`, and the server does no TLS.
    TlsNotOffered,
    /// The server does TLS, no certificates were given, and the system has no root certificates.
    NoRootCertificates,
    /// The server does TLS, and it failed: its certificate is not trusted or for another host, most often.
    Tls(io::Error),
    /// The server refused, or the connection broke during the login.
    Login(tokio_postgres::Error),
    /// It had not ended after `connect_timeout`, the option of the connection string.
    TimedOut(Duration),
    /// Nothing was answered to the TCP connection for so long, all the time there was.
    Silent(Duration),
    /// A server of another role is asked for, by a [`PostgresCluster`](crate::PostgresCluster) or by
    /// `target_session_attrs`.
    #[non_exhaustive]
    OtherRole {
        /// Whether the server takes writes.
        is_read_only: bool,
    },
}

impl ConnectCause {
    #[cfg(feature = "rustls")]
    pub(crate) fn not_postgres(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let line = text.trim_end().lines().next().unwrap_or_default();
        Self::NotPostgres {
            answer: line.escape_debug().collect(),
        }
    }

    /// The SQLSTATE that the server refused with, if it did.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Login(error) => error.code(),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable(error) => error.classify(),
            // The server's own word that it cannot start a session: `E`, and the text of the error.
            Self::NotPostgres { answer } if is_of_a_server(answer) => FailureKind::Transient,
            Self::NotPostgres { .. }
            | Self::TlsNotOffered
            | Self::NoRootCertificates
            | Self::Tls(_) => FailureKind::Final,
            Self::Interrupted(_) | Self::TimedOut(_) | Self::Silent(_) => FailureKind::Transient,
            Self::OtherRole { .. } => FailureKind::Unsuitable,
            Self::Login(error) => login_kind(error),
        }
    }

    /// Whether another host of the list would say the same.
    pub(crate) fn holds_everywhere(&self) -> bool {
        match self {
            Self::NoRootCertificates => true,
            Self::Login(error) => matches!(
                login_kind(error),
                FailureKind::Credentials | FailureKind::Final
            ),
            _ => false,
        }
    }
}

/// Whether an answer to the request for TLS, fit to be shown, is the error of a PostgreSQL server, of one that cannot
/// start another process for instance. Such a text is translated, and none of it is all in capitals as `ERROR` is.
fn is_of_a_server(answer: &str) -> bool {
    let text = answer.strip_prefix('E');
    text.is_some_and(|text| !text.starts_with(|c: char| c.is_ascii_uppercase()))
}

fn login_kind(error: &tokio_postgres::Error) -> FailureKind {
    match error.code() {
        Some(code) if code.code().starts_with("28") => FailureKind::Credentials,
        Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => FailureKind::Full,
        // No such database; nor a setting of the start-up that exists, or may be given.
        Some(code)
            if ["3D", "22", "42"]
                .iter()
                .any(|class| code.code().starts_with(class)) =>
        {
            FailureKind::Final
        }
        Some(_) => FailureKind::Transient,
        // The driver tells its own refusals by their texts alone: a password is missing, or the method is unknown.
        None => match error.to_string().as_str() {
            "invalid configuration" => FailureKind::Credentials,
            "authentication error"
            | "error parsing response from server"
            | "unexpected message from server" => FailureKind::Final,
            _ => FailureKind::Transient,
        },
    }
}

impl fmt::Display for ConnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => f.write_str(&with_causes(error)),
            Self::NotPostgres { answer } => {
                write!(f, "the answer is `{answer}`: is this a PostgreSQL server?")
            }
            Self::Interrupted(error) => write!(
                f,
                "it was asked for TLS, and the connection ended: {error}; is this a PostgreSQL server?"
            ),
            Self::TlsNotOffered => {
                f.write_str("server does not support TLS, and `sslmode=require` asks for it")
            }
            Self::NoRootCertificates => f.write_str(
                "the server does TLS, and this system has no root certificates to verify it by; install \
                 them, name a file with `sslrootcert`, give `tls_config`, or do without TLS by `sslmode=disable`",
            ),
            Self::Tls(error) => {
                write!(f, "TLS failed: {}", with_causes(error))?;
                let text = error.to_string();
                if text.contains("UnknownIssuer") || text.contains("BadSignature") {
                    f.write_str(
                        "; name the file with its authority's certificate by `sslrootcert`, give \
                         `tls_config`, or do without TLS by `sslmode=disable`",
                    )?;
                }
                Ok(())
            }
            Self::Login(error) => {
                f.write_str(&causes(error))?;
                let said_no_more = error.code().is_none();
                if said_no_more && login_kind(error) == FailureKind::Final {
                    f.write_str("; is this a PostgreSQL server?")?;
                }
                Ok(())
            }
            Self::Silent(limit) => write!(
                f,
                "it takes connections and did not answer within {limit:?}: is this a PostgreSQL server?"
            ),
            Self::TimedOut(limit) => write!(f, "it took longer than connect_timeout ({limit:?})"),
            Self::OtherRole { is_read_only: true } => {
                f.write_str("it is a replica: it takes no writes, and one that does is asked for")
            }
            Self::OtherRole {
                is_read_only: false,
            } => {
                f.write_str("it is a primary: it takes writes, and one that does not is asked for")
            }
        }
    }
}

impl StdError for ConnectCause {}

/// Why a session is not fit for another user even after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclean {
    /// Replies no longer match requests.
    #[error("its replies are out of step with its requests")]
    OutOfStep,
    /// A write was refused (SQLSTATE 25006), and the server takes none any more: another one may have been made the
    /// primary. Not in a session that is read-only on purpose.
    #[error("the server has become read-only")]
    ReadOnly,
    /// The server takes writes now, and a replica is wanted: it has been made the primary.
    #[error("the server has become a primary")]
    Promoted,
    /// `DISCARD ALL` or `DEALLOCATE` dropped statements that the connection counts on.
    #[error("prepared statements that it relies on were deallocated")]
    StatementsLost,
    /// A user kept a clone of it.
    #[error("a clone of it is in use")]
    InUse,
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
    with_causes(error)
}
