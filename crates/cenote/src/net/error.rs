//! Why no socket to a host came about: which step failed, and each address with its own cause.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::host::Host;
use crate::connect::FailureKind;

/// Why [`Dialer::connect`](super::Dialer::connect) gave no socket.
///
/// Where there is one cause, `source` leads to it; where each of several addresses has its own, the text names all.
/// An [`io::Error`] can be made of it, which keeps all of that.
#[derive(Debug)]
#[non_exhaustive]
pub enum DialError {
    /// The name could not be looked up.
    #[non_exhaustive]
    Lookup {
        /// The host.
        host: Host,
        /// What the resolver said.
        source: io::Error,
    },
    /// The resolver did not answer before the dial's deadline.
    #[non_exhaustive]
    LookupTimedOut {
        /// The host.
        host: Host,
        /// How long it had.
        limit: Duration,
    },
    /// The host has no address.
    NoAddress {
        /// The host.
        host: Host,
    },
    /// Nothing accepted a connection at any address.
    #[non_exhaustive]
    Unreachable {
        /// The host.
        host: Host,
        /// Each address, in the order in which they were tried.
        failures: Vec<AddressError>,
    },
    /// Nothing accepted a connection on the Unix socket.
    #[non_exhaustive]
    Path {
        /// The host.
        host: Host,
        /// The cause.
        source: io::Error,
    },
}

/// Why nothing came about at one address.
#[derive(Debug)]
#[non_exhaustive]
pub struct AddressError {
    /// The address.
    pub address: SocketAddr,
    /// The cause; of the kind [`TimedOut`](io::ErrorKind::TimedOut) when the address did not answer before the
    /// dial's deadline.
    pub error: io::Error,
}

impl DialError {
    /// The host.
    pub fn host(&self) -> &Host {
        match self {
            Self::Lookup { host, .. }
            | Self::LookupTimedOut { host, .. }
            | Self::NoAddress { host }
            | Self::Unreachable { host, .. }
            | Self::Path { host, .. } => host,
        }
    }

    /// What kind of failure it is, for [`Connect::classify`](crate::Connect::classify):
    /// [`Final`](FailureKind::Final) when the resolver says that there is no such host, else
    /// [`Transient`](FailureKind::Transient).
    pub fn classify(&self) -> FailureKind {
        match self {
            Self::Lookup { source, .. } if says_no_such_host(source) => FailureKind::Final,
            _ => FailureKind::Transient,
        }
    }

    /// The kind that all its causes have in common.
    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Lookup { source, .. } | Self::Path { source, .. } => source.kind(),
            Self::LookupTimedOut { .. } => io::ErrorKind::TimedOut,
            Self::NoAddress { .. } => io::ErrorKind::NotFound,
            Self::Unreachable { failures, .. } => match failures.as_slice() {
                [first, others @ ..]
                    if others
                        .iter()
                        .all(|one| one.error.kind() == first.error.kind()) =>
                {
                    first.error.kind()
                }
                _ => io::ErrorKind::Other,
            },
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { host, .. } => write!(f, "cannot look up the host of {host}"),
            Self::LookupTimedOut { host, limit } => {
                write!(
                    f,
                    "looking up the host of {host} took longer than {limit:?}"
                )
            }
            Self::NoAddress { host } => write!(f, "{host} has no address"),
            Self::Path { host, .. } => write!(f, "cannot connect to {host}"),
            Self::Unreachable { host, failures } => {
                write!(f, "cannot connect to {host}")?;
                match failures.as_slice() {
                    [only] if is_named_by(&only.address, host) => Ok(()),
                    [only] => write!(f, " at {}", only.address),
                    several => {
                        for (i, AddressError { address, error }) in several.iter().enumerate() {
                            let before = if i == 0 { ": " } else { "; " };
                            write!(f, "{before}{address}: {error}")?;
                        }
                        Ok(())
                    }
                }
            }
        }
    }
}

/// Whether the host's text is the address already.
fn is_named_by(address: &SocketAddr, host: &Host) -> bool {
    host.to_string() == address.to_string()
}

impl Error for DialError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lookup { source, .. } | Self::Path { source, .. } => Some(source),
            Self::Unreachable { failures, .. } => match failures.as_slice() {
                [only] => Some(&only.error),
                _ => None,
            },
            Self::LookupTimedOut { .. } | Self::NoAddress { .. } => None,
        }
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

/// Whether a resolver's error is its answer that the name does not exist, rather than the lack of an answer.
///
/// The standard library keeps the resolver's code to itself, so the texts of the C libraries decide; one that is
/// not known here counts as no answer, after which another attempt is made.
fn says_no_such_host(error: &io::Error) -> bool {
    const NO_SUCH_HOST: [&str; 5] = [
        "Name or service not known",
        "No address associated with hostname",
        "nodename nor servname provided, or not known",
        "Name does not resolve",
        "No such host is known",
    ];
    let text = error.to_string();
    NO_SUCH_HOST.iter().any(|known| text.contains(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable(host: Host, failures: &[(&str, io::ErrorKind)]) -> DialError {
        let failure = |(address, kind): &(&str, io::ErrorKind)| AddressError {
            address: address.parse().expect("an address"),
            error: (*kind).into(),
        };
        DialError::Unreachable {
            host,
            failures: failures.iter().map(failure).collect(),
        }
    }

    fn lookup(text: &str) -> DialError {
        DialError::Lookup {
            host: Host::new("db", 1),
            source: io::Error::other(format!("failed to lookup address information: {text}")),
        }
    }

    #[test]
    fn one_cause_is_the_source_and_not_in_the_text() {
        let refused = [("10.0.0.1:1", io::ErrorKind::ConnectionRefused)];
        let error = unreachable(Host::new("db", 1), &refused);
        assert_eq!(error.to_string(), "cannot connect to db:1 at 10.0.0.1:1");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("connection refused")
        );
    }

    #[test]
    fn an_address_that_is_the_host_is_named_once() {
        let refused = [("10.0.0.1:1", io::ErrorKind::ConnectionRefused)];
        let error = unreachable(Host::new("10.0.0.1", 1), &refused);
        assert_eq!(error.to_string(), "cannot connect to 10.0.0.1:1");
    }

    #[test]
    fn each_of_several_causes_is_in_the_text() {
        let failures = [
            ("10.0.0.1:1", io::ErrorKind::ConnectionRefused),
            ("[::1]:1", io::ErrorKind::TimedOut),
        ];
        let error = unreachable(Host::new("db", 1), &failures);
        assert_eq!(
            error.to_string(),
            "cannot connect to db:1: 10.0.0.1:1: connection refused; [::1]:1: timed out"
        );
        assert!(error.source().is_none());
    }

    #[test]
    fn as_an_io_error_it_keeps_its_text_its_kind_and_its_source() {
        let refused = [("10.0.0.1:1", io::ErrorKind::ConnectionRefused)];
        let error = io::Error::from(unreachable(Host::new("db", 1), &refused));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "cannot connect to db:1 at 10.0.0.1:1");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("connection refused")
        );
    }

    #[test]
    fn a_host_that_does_not_exist_is_final_and_a_resolver_without_an_answer_is_not() {
        assert_eq!(
            lookup("Name or service not known").classify(),
            FailureKind::Final
        );
        let temporary = lookup("Temporary failure in name resolution");
        assert_eq!(temporary.classify(), FailureKind::Transient);
    }
}
