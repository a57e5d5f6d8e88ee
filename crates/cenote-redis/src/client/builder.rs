//! The settings of a client that most users need; the others are its pools'.

use std::time::Duration;

use cenote::{Pool, SettingsError, SharedPool};

use super::RedisClient;
use crate::connector::RedisConnector;
use crate::pipelined::PipelinedConnector;

/// Sets up a [`RedisClient`].
///
/// ```
/// use std::time::Duration;
/// use cenote_redis::{RedisClient, RedisConnector};
///
/// # fn client() -> Result<RedisClient, Box<dyn std::error::Error>> {
/// let connector = RedisConnector::new("redis://127.0.0.1:6379")?.client_name("shop")?;
/// let redis = RedisClient::builder(connector)
///     .name("shop")
///     .shared_connections(1)
///     .exclusive_connections(20)
///     .call_timeout(Duration::from_secs(2))
///     .build()?;
/// # Ok(redis)
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
#[derive(Debug)]
pub struct ClientBuilder {
    pipelined: PipelinedConnector,
    exclusive: RedisConnector,
    name: String,
    shared_connections: usize,
    exclusive_connections: usize,
    acquire_timeout: Option<Duration>,
}

impl ClientBuilder {
    pub(super) fn new(connector: RedisConnector) -> Self {
        Self {
            pipelined: connector.clone().into(),
            exclusive: connector,
            name: "redis".to_owned(),
            // A server runs one command at a time: the second is for load, and takes over when the first is old.
            shared_connections: 2,
            exclusive_connections: 10,
            acquire_timeout: Some(Duration::from_secs(5)),
        }
    }

    /// The name that errors and reports carry. Default: "redis".
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How many connections ordinary commands may share; another is opened when all are busy. At least 1.
    /// Default: 2.
    pub fn shared_connections(mut self, most: usize) -> Self {
        self.shared_connections = most;
        self
    }

    /// How many connections there may be for commands that wait, subscriptions and exclusive leases. At least 1.
    /// Default: 10.
    pub fn exclusive_connections(mut self, most: usize) -> Self {
        self.exclusive_connections = most;
        self
    }

    /// How long to wait for a connection. `None`: without end. Default: 5 s.
    pub fn acquire_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.acquire_timeout = limit.into();
        self
    }

    /// How many commands one shared connection carries at once; see
    /// [`PipelinedConnector::max_in_flight`]. Default: 1,024.
    pub fn max_in_flight(mut self, commands: usize) -> Self {
        self.pipelined = self.pipelined.max_in_flight(commands);
        self
    }

    /// How long a command on a shared connection may wait for its reply; see
    /// [`PipelinedConnector::call_timeout`]. Default: 30 s.
    pub fn call_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.pipelined = self.pipelined.call_timeout(limit);
        self
    }

    /// The client. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// A setting that can't work.
    pub fn build(self) -> Result<RedisClient, SettingsError> {
        let shared = SharedPool::builder(self.pipelined)
            .name(format!("{} shared", self.name))
            .max_size(self.shared_connections)
            .acquire_timeout(self.acquire_timeout)
            .build()?;
        let exclusive = Pool::builder(self.exclusive)
            .name(format!("{} exclusive", self.name))
            .max_size(self.exclusive_connections)
            .acquire_timeout(self.acquire_timeout)
            .build()?;
        Ok(RedisClient::of_pools(shared, exclusive))
    }
}
