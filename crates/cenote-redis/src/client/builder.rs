//! The settings of a client: its own, and those of both its pools.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cenote::error::SettingsError;
use cenote::pool::PoolBuilder;
use cenote::report::Event;
use cenote::settings::{Backoff, ConnectFailures};
use cenote::shared::SharedPoolBuilder;
use cenote::{Pool, SharedPool};

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
    both: OfBoth,
    observers: Vec<Observer>,
}

#[derive(Clone)]
struct Observer(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// Settings that go to both pools as they are, or stay at the pools' defaults.
macro_rules! of_both {
    ($($(#[$doc:meta])* $name:ident($argument:ty as $kept:ty);)*) => {
        #[derive(Debug, Default)]
        struct OfBoth {
            $($name: Option<$kept>,)*
        }

        impl OfBoth {
            fn exclusive(&self, mut pool: PoolBuilder<RedisConnector>) -> PoolBuilder<RedisConnector> {
                $(if let Some(value) = self.$name {
                    pool = pool.$name(value);
                })*
                pool
            }

            fn shared(
                &self,
                mut pool: SharedPoolBuilder<PipelinedConnector>,
            ) -> SharedPoolBuilder<PipelinedConnector> {
                $(if let Some(value) = self.$name {
                    pool = pool.$name(value);
                })*
                pool
            }
        }

        impl ClientBuilder {
            $($(#[$doc])*
            pub fn $name(mut self, value: $argument) -> Self {
                self.both.$name = Some(value.into());
                self
            })*
        }
    };
}

of_both! {
    /// How long to wait for a connection. `None`: without end. Default: 5 s.
    acquire_timeout(impl Into<Option<Duration>> as Option<Duration>);
    /// Callers that may wait for a connection at once, of each kind; one more fails with
    /// [`GetError::QueueFull`](cenote::GetError::QueueFull). `None`: no bound. Default: 10,000.
    max_waiters(impl Into<Option<usize>> as Option<usize>);
    /// Closes a connection that nobody has used for this long. `None`: never. Default: 10 min.
    idle_timeout(impl Into<Option<Duration>> as Option<Duration>);
    /// Closes a connection this old once nobody uses it; a shared one gets no new callers from then on. `None`:
    /// never. Default: 30 min.
    max_lifetime(impl Into<Option<Duration>> as Option<Duration>);
    /// The share of `max_lifetime` that chance may take off, so that connections opened together do not end
    /// together. Default: 0.1.
    lifetime_jitter(f64 as f64);
    /// Checks a connection by `PING` before its next use when nobody has used it for this long. `None`: never.
    /// Default: 1 s.
    check_after_idle(impl Into<Option<Duration>> as Option<Duration>);
    /// Checks connections that nobody uses this often, in the background. `None`: never. Default: 2 min. TCP
    /// keepalive, which watches those in use as well, is the [`dialer`](RedisConnector::dialer)'s.
    keepalive(impl Into<Option<Duration>> as Option<Duration>);
    /// How long opening a connection may take, the login included. Default: the pools'.
    connect_timeout(Duration as Duration);
    /// How long a check may take. Default: 5 s.
    check_timeout(Duration as Duration);
    /// How long a reset of an exclusive connection may take, for which the replies that are still due are read.
    /// Default: 5 s.
    reset_timeout(Duration as Duration);
    /// How long a goodbye may take. Default: 5 s.
    close_timeout(Duration as Duration);
    /// How long to wait after failed connects. Default: 100 ms to 5 s, full jitter.
    backoff(Backoff as Backoff);
    /// When callers learn that connecting fails. Default: the pools'.
    connect_failures(ConnectFailures as ConnectFailures);
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
            both: OfBoth::default(),
            observers: Vec::new(),
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

    /// Called with everything that happens to connections of both kinds, each of which counts its own from 1:
    /// [`Event::pool`] tells which. Several are called in the order given, whatever happens in those before; a panic is
    /// ignored. For an observer of either kind, make the pools by hand:
    /// [`of_pools`](RedisClient::of_pools).
    ///
    /// ```
    /// use cenote::report::EventKind;
    /// use cenote_redis::{RedisClient, RedisConnector};
    ///
    /// # fn client() -> Result<RedisClient, Box<dyn std::error::Error>> {
    /// let connector = RedisConnector::new("redis://127.0.0.1:6379")?;
    /// let redis = RedisClient::builder(connector)
    ///     .on_event(|event| {
    ///         if let EventKind::ConnectFailed { error, .. } = &event.kind {
    ///             eprintln!("{}: {error}", event.pool);
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok(redis)
    /// # }
    /// ```
    pub fn on_event(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.observers.push(Observer(Arc::new(observer)));
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
        let mut shared = SharedPool::builder(self.pipelined)
            .name(format!("{} shared", self.name))
            .max_size(self.shared_connections);
        let mut exclusive = Pool::builder(self.exclusive)
            .name(format!("{} exclusive", self.name))
            .max_size(self.exclusive_connections);
        for Observer(observer) in self.observers {
            let same = observer.clone();
            shared = shared.on_event(move |event| observer(event));
            exclusive = exclusive.on_event(move |event| same(event));
        }
        let shared = self.both.shared(shared).build()?;
        let exclusive = self.both.exclusive(exclusive).build()?;
        Ok(RedisClient::of_pools(shared, exclusive))
    }
}
