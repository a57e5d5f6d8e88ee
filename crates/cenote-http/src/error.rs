//! What can go wrong with a request, from its URI to the end of the reply's body.
//!
//! `Display` says everything, the cause's text included, and names the route once; so that a chain of causes repeats
//! nothing, `source` goes on behind the cause whose text is included.

use std::fmt;
use std::io;
use std::time::Duration;

use cenote::error::{ArcError, BoxError, with_causes};
use cenote::net::DialError;
use cenote::{FailureKind, GetError};

use crate::proxy::ProxyError;
use crate::route::Route;
use crate::tls;

/// Why there is no reply, or no whole one. It shows routes, and neither paths nor fields: no secrets.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The parts of the request make none: a URI or a field that is not well-formed.
    #[non_exhaustive]
    Request {
        /// What is wrong.
        source: http::Error,
    },
    /// There is no route to the URI: it names no host, or a scheme that this client does not speak.
    #[non_exhaustive]
    Target {
        /// What is wrong.
        problem: &'static str,
    },
    /// No connection to be had: none came free or could be opened in time, or connecting fails. It names the bound that
    /// was hit.
    #[non_exhaustive]
    NoConnection {
        /// Where to.
        route: Box<Route>,
        /// Why, from the pool of the route.
        source: GetError,
    },
    /// The server cannot be reached; the cause inside [`NoConnection`](Self::NoConnection).
    #[non_exhaustive]
    Dial {
        /// Which step failed, and each address with its own cause.
        source: DialError,
    },
    /// The proxy was reached and opened no tunnel to the server; the cause inside [`NoConnection`](Self::NoConnection),
    /// which names the proxy.
    #[non_exhaustive]
    Proxy {
        /// What it said.
        source: ProxyError,
    },
    /// The TLS handshake failed; the cause inside [`NoConnection`](Self::NoConnection).
    #[non_exhaustive]
    Tls {
        /// The name that was to be verified.
        server_name: Box<str>,
        /// The cause.
        source: io::Error,
    },
    /// The server does not speak HTTP/2, which is all that the [route](crate::HttpVersion::Http2) takes; the cause inside
    /// [`NoConnection`](Self::NoConnection).
    #[non_exhaustive]
    Version {
        /// What it spoke instead, if anything.
        cause: Option<ArcError>,
    },
    /// The request was sent, whole or in part, and its reply did not come, or not whole: the connection ended, or what
    /// came is not HTTP. The server may have acted on the request.
    #[non_exhaustive]
    Exchange {
        /// Where to.
        route: Box<Route>,
        /// What was under way.
        stage: Stage,
        /// The cause.
        cause: ArcError,
    },
    /// The time that [`timeout`](crate::RequestBuilder::timeout) gives passed.
    #[non_exhaustive]
    TimedOut {
        /// Where to.
        route: Box<Route>,
        /// What was under way.
        stage: Stage,
        /// The setting.
        limit: Duration,
    },
    /// The connection cannot go on in another protocol: the request is a CONNECT, the server changed the protocol unasked, or
    /// it could not be changed.
    #[non_exhaustive]
    Upgrade {
        /// Where to.
        route: Box<Route>,
        /// What is wrong.
        problem: Box<str>,
    },
    /// The reply is one to be read: the server did not change the protocol.
    NotUpgraded,
    /// The text of a body is not UTF-8.
    #[non_exhaustive]
    NotText {
        /// Where that is.
        source: std::string::FromUtf8Error,
    },
    /// What was left of a reply took longer, or was longer, than bringing a connection back is worth. No request sees
    /// this: the pool closes the connection for it.
    Unfinished,
}

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Until the head of the reply: waiting for a connection, sending, waiting for the server.
    Head,
    /// While the body of the reply was read.
    Body,
}

impl Error {
    pub(crate) fn target(problem: &'static str) -> Self {
        Self::Target { problem }
    }

    pub(crate) fn upgrade(route: &Route, problem: impl Into<Box<str>>) -> Self {
        Self::Upgrade {
            route: Box::new(route.clone()),
            problem: problem.into(),
        }
    }

    pub(crate) fn exchange(route: &Route, stage: Stage, cause: impl Into<BoxError>) -> Self {
        Self::Exchange {
            route: Box::new(route.clone()),
            stage,
            cause: ArcError::from(cause.into()),
        }
    }

    pub(crate) fn version(cause: Option<BoxError>) -> Self {
        Self::Version {
            cause: cause.map(ArcError::from),
        }
    }

    /// Where the request went to, if it came so far.
    pub fn route(&self) -> Option<&Route> {
        match self {
            Self::NoConnection { route, .. }
            | Self::Exchange { route, .. }
            | Self::TimedOut { route, .. }
            | Self::Upgrade { route, .. } => Some(route),
            Self::Request { .. }
            | Self::Target { .. }
            | Self::Dial { .. }
            | Self::Proxy { .. }
            | Self::Tls { .. }
            | Self::Version { .. }
            | Self::NotText { .. }
            | Self::NotUpgraded
            | Self::Unfinished => None,
        }
    }

    /// Whether time ran out: for a connection, or for the request.
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::NoConnection { source, .. } => source.is_timeout(),
            Self::TimedOut { .. } => true,
            _ => false,
        }
    }

    /// What this says, of a dial, about the next.
    pub(crate) fn classify(&self) -> FailureKind {
        match self {
            Self::Dial { source } => source.classify(),
            Self::Proxy { source } => source.classify(),
            Self::Tls { source, .. } if tls::is_final(source) => FailureKind::Final,
            Self::Version { .. } => FailureKind::Final,
            _ => FailureKind::Transient,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { source } => write!(f, "the request is not well-formed: {source}"),
            Self::Target { problem } => f.write_str(problem),
            // The pool's name is the route.
            Self::NoConnection { source, .. } => source.fmt(f),
            Self::Dial { source } => f.write_str(&with_causes(source)),
            Self::Proxy { source } => source.fmt(f),
            Self::Tls {
                server_name,
                source,
            } => write!(
                f,
                "the TLS handshake with {server_name} failed: {}",
                with_causes(source)
            ),
            Self::Version { cause } => {
                f.write_str("the server does not speak HTTP/2")?;
                match cause {
                    Some(cause) => write!(f, ": {}", with_causes(&**cause)),
                    None => Ok(()),
                }
            }
            Self::Exchange {
                route,
                stage,
                cause,
            } => {
                let what = match stage {
                    Stage::Head => "no reply",
                    Stage::Body => "the reply broke off",
                };
                write!(f, "{route}: {what}: {}", with_causes(&**cause))
            }
            Self::TimedOut {
                route,
                stage,
                limit,
            } => {
                let what = match stage {
                    Stage::Head => "no reply",
                    Stage::Body => "no whole reply",
                };
                write!(f, "{route}: {what} within {limit:?}")
            }
            Self::Upgrade { route, problem } => write!(f, "{route}: {problem}"),
            Self::NotUpgraded => f.write_str("the server did not change the protocol"),
            Self::NotText { source } => write!(f, "the body is not text: {source}"),
            Self::Unfinished => f.write_str("the rest of the last reply did not come in time"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request { source } => std::error::Error::source(source),
            Self::NoConnection { source, .. } => std::error::Error::source(source),
            Self::NotText { source } => std::error::Error::source(source),
            // Their texts are whole.
            Self::Dial { .. }
            | Self::Proxy { .. }
            | Self::Tls { .. }
            | Self::Version { .. }
            | Self::Exchange { .. }
            | Self::Target { .. }
            | Self::TimedOut { .. }
            | Self::Upgrade { .. }
            | Self::NotUpgraded
            | Self::Unfinished => None,
        }
    }
}
