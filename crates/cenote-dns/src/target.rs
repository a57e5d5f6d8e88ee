//! What an SRV record names.

use std::fmt;
use std::sync::Arc;

/// A target of a service, and what tells it from the others: host and port. Where it is reached is in its endpoint's
/// addresses.
///
/// Its text form is `db1.internal:5432`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Target {
    /// Its name, in lower case and without a last dot, as TLS verifies it.
    pub host: Arc<str>,
    /// The port that the record says.
    pub port: u16,
}

impl Target {
    /// The target of this name, with or without a last dot, in whichever case.
    ///
    /// ```
    /// use cenote_dns::Target;
    ///
    /// assert_eq!(Target::new("DB1.internal.", 5432).to_string(), "db1.internal:5432");
    /// ```
    pub fn new(host: &str, port: u16) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host);
        Self {
            host: host.to_ascii_lowercase().into(),
            port,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
