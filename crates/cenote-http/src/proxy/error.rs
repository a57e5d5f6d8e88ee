//! Why a proxy led nowhere.

use std::fmt;

use cenote::FailureKind;
use cenote::error::{BoxError, with_causes};
use http::StatusCode;

/// Why a proxy that was reached opened no tunnel to the server.
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyError {
    /// An HTTP proxy answered CONNECT with a status that is not of success: 407 where it wants credentials, or others; 403
    /// where it does not lead to that server; 502 or 504 where it did not reach it.
    #[non_exhaustive]
    Status {
        /// The status.
        status: StatusCode,
    },
    /// A SOCKS5 proxy wants credentials, or others.
    Credentials,
    /// A SOCKS5 proxy does not lead to that server.
    #[non_exhaustive]
    Refused {
        /// What it says.
        problem: Box<str>,
    },
    /// A SOCKS5 proxy did not reach the server.
    #[non_exhaustive]
    Unreachable {
        /// What it says.
        problem: Box<str>,
    },
    /// The connection to the proxy ended, or what it said is not of its protocol.
    #[non_exhaustive]
    Exchange {
        /// The cause.
        source: BoxError,
    },
}

impl ProxyError {
    pub(crate) fn exchange(source: impl Into<BoxError>) -> Self {
        Self::Exchange {
            source: source.into(),
        }
    }

    /// What this says, of a dial, about the next.
    pub(crate) fn classify(&self) -> FailureKind {
        match self {
            Self::Status { status } => match *status {
                // tinyproxy says the latter of a wrong password.
                StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => {
                    FailureKind::Credentials
                }
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                    FailureKind::Transient
                }
                status if status.is_client_error() => FailureKind::Final,
                _ => FailureKind::Transient,
            },
            Self::Credentials => FailureKind::Credentials,
            Self::Refused { .. } => FailureKind::Final,
            Self::Unreachable { .. } | Self::Exchange { .. } => FailureKind::Transient,
        }
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status } => write!(f, "the proxy answered CONNECT with {status}"),
            Self::Credentials => f.write_str("the proxy wants credentials, or others"),
            Self::Refused { problem } => write!(f, "the proxy does not lead there: {problem}"),
            Self::Unreachable { problem } => {
                write!(f, "the proxy did not reach the server: {problem}")
            }
            Self::Exchange { source } => {
                write!(f, "the proxy opened no tunnel: {}", with_causes(&**source))
            }
        }
    }
}

/// Its text has the causes.
impl std::error::Error for ProxyError {}
