//! What can go wrong. `Display` says everything: the name, what was asked, and each name server with its own cause.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a source has no answer. The last set stays, and the name servers are asked again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// No name server gave an answer that counts.
    #[error("{name} {record}: {}", Causes(tried))]
    #[non_exhaustive]
    Unanswered {
        /// What was asked for: a name of the search list, say, or that of a service's target.
        name: String,
        /// The type of record: `A`, `AAAA` or `SRV`.
        record: &'static str,
        /// Each name server, in the order asked.
        tried: Vec<Tried>,
    },
    /// More than eight aliases, one behind the other, or in a circle.
    #[error("{name} {record}: more than eight aliases one behind the other")]
    #[non_exhaustive]
    Aliases {
        /// What was asked for.
        name: String,
        /// The type of record.
        record: &'static str,
    },
    /// The system does not say what its name servers are.
    #[error("{name}: the system's name servers are not known: {cause}")]
    #[non_exhaustive]
    System {
        /// What was to be asked for.
        name: String,
        /// What is wrong with its settings.
        cause: String,
    },
}

/// A name server, and why it gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tried {
    /// Where it listens.
    pub server: SocketAddr,
    /// What it said, or that it said nothing.
    pub cause: String,
}

impl Tried {
    pub(crate) fn new(server: SocketAddr, cause: String) -> Self {
        Self { server, cause }
    }

    pub(crate) fn silent(server: SocketAddr, waited: Duration) -> Self {
        Self::new(server, format!("no answer in {waited:.1?}"))
    }
}

struct Causes<'a>(&'a [Tried]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Tried { server, cause }) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{server}: {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_was_asked_and_each_name_server_with_its_cause() {
        let server = |last| SocketAddr::from(([10, 0, 0, last], 53));
        let error = DnsError::Unanswered {
            name: "db.internal.".into(),
            record: "AAAA",
            tried: vec![
                Tried::new(server(1), "Server Failure".into()),
                Tried::silent(server(2), Duration::from_millis(2500)),
            ],
        };
        assert_eq!(
            error.to_string(),
            "db.internal. AAAA: 10.0.0.1:53: Server Failure; 10.0.0.2:53: no answer in 2.5s"
        );
    }
}
