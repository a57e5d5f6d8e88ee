//! The addresses of a name, as the system looks them up.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::discover::Discover;
use super::polling::Polling;
use super::set::{Endpoint, EndpointSet};
use crate::error::SettingsError;

/// The addresses of a `host:port`, looked up again and again by the system's own resolver (`getaddrinfo`), and so by
/// `/etc/hosts` and whatever else it is set to: each address is an endpoint.
///
/// The system tells neither how long an answer is good for nor weights; for these there is DNS itself. What is kept for
/// its name by a cache on the way is as old as that cache lets it be.
///
/// A name without addresses is an error, whatever is set for empty sets.
///
/// One question is under way at a time, however often it is asked to [refresh](super::Discovery::refresh).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cenote::endpoints::{Discovery, Lookup};
/// use std::time::Duration;
///
/// let mut discovery = Discovery::start(Lookup::new("localhost:5432")?.every(Duration::from_secs(10)))?;
/// let set = discovery.changed().await.expect("looked up for as long as there is a handle");
/// assert!(set.endpoints().iter().all(|endpoint| endpoint.key.port() == 5432));
/// # Ok(()) }
/// ```
pub struct Lookup {
    name: String,
    /// From one question to the next.
    every: Duration,
    polling: Polling<io::Result<Vec<SocketAddr>>>,
}

/// Between two questions, by default.
const EVERY: Duration = Duration::from_secs(30);
/// Between two questions at least, and after a failure.
const AT_LEAST: Duration = Duration::from_secs(1);
/// After so long a question counts as failed. The system's resolver cannot be told to give up, so its answer is waited for
/// before the next is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a [`Lookup`] has no addresses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// The system said so.
    #[error("{name}: the addresses were not found")]
    Failed {
        /// What was looked up.
        name: String,
        /// What the system says.
        source: io::Error,
    },
    /// There are none.
    #[error("{name}: it has no addresses")]
    Empty {
        /// What was looked up.
        name: String,
    },
    /// The system has not answered yet.
    #[error("{name}: no answer in {PATIENCE:?}")]
    TimedOut {
        /// What was looked up.
        name: String,
    },
}

impl Lookup {
    /// Looks up `host:port`, every 30 s, after a failure every second.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no host or no port in it.
    pub fn new(host_and_port: impl Into<String>) -> Result<Self, SettingsError> {
        let name = host_and_port.into();
        let is_whole = name
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_whole {
            return Err(SettingsError {
                setting: "host_and_port",
                value: format!("{name:?}"),
                accepted: "a host and a port, such as \"db.internal:5432\"".into(),
            });
        }
        Ok(Self {
            name,
            every: EVERY,
            polling: Polling::new(AT_LEAST),
        })
    }

    /// How often it is looked up. A second at least, whatever is said here. Default: 30 s.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.every = interval.max(AT_LEAST);
        self
    }

    /// What the system's answer means.
    fn understand(
        &self,
        answer: Option<io::Result<Vec<SocketAddr>>>,
    ) -> Result<EndpointSet<SocketAddr>, LookupError> {
        let name = self.name.clone();
        match answer {
            None => Err(LookupError::TimedOut { name }),
            Some(Err(source)) => Err(LookupError::Failed { name, source }),
            Some(Ok(addresses)) if addresses.is_empty() => Err(LookupError::Empty { name }),
            Some(Ok(addresses)) => {
                let endpoint = |address| Endpoint::new(address).addresses([address]);
                Ok(addresses.into_iter().map(endpoint).collect())
            }
        }
    }
}

impl Discover for Lookup {
    type Key = SocketAddr;
    type Error = LookupError;

    async fn next(&mut self) -> Option<Result<EndpointSet<SocketAddr>, LookupError>> {
        let Self { name, polling, .. } = self;
        let ask = || {
            let name = name.clone();
            async move { Ok(tokio::net::lookup_host(name).await?.collect()) }
        };
        let answer = polling.answer_within(PATIENCE, ask).await;
        let answer = self.understand(answer);
        if answer.is_ok() {
            self.polling.ask_in(self.every);
        }
        Some(answer)
    }

    fn name(&self) -> String {
        format!("name {}", self.name)
    }

    fn refresh(&mut self) {
        self.polling.refresh();
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lookup")
            .field("name", &self.name)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
