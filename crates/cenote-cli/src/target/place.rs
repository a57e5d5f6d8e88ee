//! Where a server without a protocol of its own listens: a host and a port.

use std::fmt;
use std::net::SocketAddr;

/// A host and a port, as in `localhost:7` or `[::1]:7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Without brackets.
    pub host: String,
    pub port: u16,
}

impl Place {
    /// As typed, if it is one.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port > 0)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']')?,
            None if host.contains(':') => return None,
            None => host,
        };
        // A host that is shown must not be the end of a password.
        let is_of_a_host = |letter: char| letter.is_alphanumeric() || "-._:%".contains(letter);
        (!host.is_empty() && host.chars().all(is_of_a_host)).then(|| Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
