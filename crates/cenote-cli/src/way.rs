//! The ways of getting a connection that are compared. Each serves a visit (get a connection, run one
//! request, give it back) and can say at any moment who has what.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cenote::any::Unpooled;
use cenote::endpoints::{Balance, Endpoint, Outcome};
use cenote::error::SettingsError;
use cenote::report::{SetStatus, Status};
use cenote::{Connect, Lease, Pool, SharedLease, SharedPool};

use crate::failure::{Failure, Stage};
use crate::target::{Place, ServerSet, Service};

/// A way of getting connections to one target.
pub trait Way: Send + Sync + 'static {
    /// One user's visit. Dropping the future gives back whatever it holds.
    fn visit(&self) -> impl Future<Output = Result<Visit, Failure>> + Send;

    /// Who has what, now.
    fn gauges(&self) -> Gauges;

    /// How several servers are, now; none where there is one, or where nothing is known of them.
    fn endpoints(&self) -> Option<SetStatus> {
        None
    }

    /// Connections opened so far.
    fn opened(&self) -> u64;

    /// Closes what is open.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// How long a successful visit took.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Until the user had a connection.
    pub wait: Duration,
    /// Until the user had the answer.
    pub total: Duration,
    /// At which of several servers.
    pub endpoint: Option<String>,
}

/// How long users are patient.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To have a connection.
    pub acquire: Duration,
    /// To have one opened.
    pub connect: Duration,
    /// To have an answer; `None`: without end.
    pub request: Option<Duration>,
}

impl Patience {
    /// `request`, or that it took too long.
    async fn with(
        &self,
        request: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        let Some(limit) = self.request else {
            return request.await;
        };
        let late = |_| {
            let limit = humantime::format_duration(limit);
            let message = format!("no answer within {limit} (--request-timeout)");
            Failure::new(Stage::Request, "timed out", message)
        };
        tokio::time::timeout(limit, request).await.map_err(late)?
    }
}

/// Connections and users at one moment.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Gauges {
    pub idle: usize,
    pub leased: usize,
    pub opening: usize,
    /// Users that wait for a connection.
    pub waiters: usize,
}

impl Gauges {
    fn of(status: &Status) -> Self {
        Self {
            idle: status.idle,
            leased: status.leased,
            opening: status.opening,
            waiters: status.waiters,
        }
    }
}

/// Each visit opens a connection and closes it; of several servers, to any.
pub struct NoPool<S: Service> {
    service: S,
    patience: Patience,
    opening: AtomicUsize,
    leased: AtomicUsize,
    opened: AtomicU64,
}

impl<S: Service> NoPool<S> {
    pub fn new(service: S, patience: Patience) -> Self {
        Self {
            service,
            patience,
            opening: AtomicUsize::new(0),
            leased: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        }
    }

    /// To the one server, or to any of several, whose name is told.
    fn connector(&self) -> (S::Connector, Option<String>) {
        let Some(ServerSet {
            discovery,
            connector_to,
            ..
        }) = self.service.set()
        else {
            return (self.service.connector(), None);
        };
        let set = discovery.set();
        let servers = set.endpoints();
        // The source tells its first set at once: it is empty for no visit but, at worst, the first.
        let connector = match servers.len() {
            0 => self.service.connector(),
            several => connector_to(&servers[fastrand::usize(..several)].key),
        };
        let name = connector.endpoint();
        (connector, name)
    }
}

impl<S: Service> Way for NoPool<S> {
    async fn visit(&self) -> Result<Visit, Failure> {
        let asked = Instant::now();
        let (connector, endpoint) = self.connector();
        // Who connects waits for a connection too.
        let limit = self.patience.connect.min(self.patience.acquire);
        let pool = Unpooled::with_timeout(connector, limit);
        let opening = Counted::new(&self.opening);
        let mut connection = pool
            .get()
            .await
            .map_err(|error| Failure::to_get(&error).at(endpoint.clone()))?;
        drop(opening);
        let wait = asked.elapsed();
        self.opened.fetch_add(1, Ordering::Relaxed);
        let leased = Counted::new(&self.leased);
        let request = self.service.request(&mut connection);
        if let Err(failure) = self.patience.with(request).await {
            return Err(failure.at(endpoint));
        }
        let total = asked.elapsed();
        drop(connection);
        drop(leased);
        Ok(Visit {
            wait,
            total,
            endpoint,
        })
    }

    fn gauges(&self) -> Gauges {
        let opening = self.opening.load(Ordering::Relaxed);
        // A user that waits, waits for a connect.
        Gauges {
            idle: 0,
            leased: self.leased.load(Ordering::Relaxed),
            opening,
            waiters: opening,
        }
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    async fn close(&self) {}
}

/// Visits take turns on the connections of a pool; each has one to itself.
pub struct Exclusive<S: Service> {
    service: S,
    pool: Pool<S::Connector>,
    patience: Patience,
    name: Name<S::Connector>,
}

/// What the server of a connection is called, where there are several.
type Name<C> = fn(&C) -> Option<String>;

/// How long closing a pool may take between two runs.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl<S: Service> Exclusive<S> {
    /// Over several servers, `size` is of the connections to each.
    pub fn new(
        service: S,
        size: usize,
        balance: Balance,
        patience: Patience,
    ) -> Result<Self, SettingsError> {
        let (builder, name) = match service.set() {
            None => {
                let builder = Pool::builder(service.connector()).max_size(size);
                let name: Name<S::Connector> = |_| None;
                (builder, name)
            }
            Some(ServerSet {
                discovery,
                connector_to,
                ..
            }) => {
                let connector_to = connector_to.clone();
                let make = move |endpoint: &Endpoint<Place>| connector_to(&endpoint.key);
                let builder = Pool::balanced(discovery.clone(), make)
                    .max_per_endpoint(size)
                    .balance(balance);
                (builder, S::Connector::endpoint as Name<S::Connector>)
            }
        };
        let pool = builder
            .name("stress")
            .acquire_timeout(patience.acquire)
            .connect_timeout(patience.connect)
            // All users may wait: the queue is what is measured.
            .max_waiters(None)
            .build()?;
        Ok(Self {
            service,
            pool,
            patience,
            name,
        })
    }
}

impl<S: Service> Way for Exclusive<S> {
    async fn visit(&self) -> Result<Visit, Failure> {
        let asked = Instant::now();
        let mut lease = self
            .pool
            .get()
            .await
            .map_err(|error| Failure::to_get(&error))?;
        let wait = asked.elapsed();
        let request = self.service.request(&mut lease);
        let answered = self.patience.with(request).await;
        let total = asked.elapsed();
        let endpoint = (self.name)(Lease::connector(&lease));
        if let Err(failure) = answered {
            Lease::timed_outcome(&lease, Outcome::Failed, total - wait);
            Lease::discard(lease);
            return Err(failure.at(endpoint));
        }
        Lease::timed_outcome(&lease, Outcome::Ok, total - wait);
        drop(lease);
        Ok(Visit {
            wait,
            total,
            endpoint,
        })
    }

    fn gauges(&self) -> Gauges {
        Gauges::of(&self.pool.status())
    }

    fn endpoints(&self) -> Option<SetStatus> {
        self.pool.endpoints()
    }

    fn opened(&self) -> u64 {
        self.pool.counters().opened
    }

    async fn close(&self) {
        self.pool.close().timeout(CLOSE_TIMEOUT).await;
    }
}

/// Visits are made at the same time on a few connections that all of them share.
pub struct Shared<S: Service> {
    service: S,
    pool: SharedPool<S::SharedConnector>,
    patience: Patience,
    name: Name<S::SharedConnector>,
}

impl<S: Service> Shared<S> {
    /// Over several servers, `connections` is of those to each.
    pub fn new(
        service: S,
        connections: usize,
        users: usize,
        balance: Balance,
        patience: Patience,
    ) -> Result<Self, SettingsError> {
        // All users at once have room, at one server too where the others fail: what is measured is sharing, not a queue
        // before it.
        let each = users.div_ceil(connections);
        let (builder, name) = match service.set() {
            None => {
                let builder = SharedPool::builder(service.shared_connector(each))
                    .max_size(connections)
                    .min_size(connections);
                let name: Name<S::SharedConnector> = |_| None;
                (builder, name)
            }
            Some(ServerSet {
                discovery,
                shared_connector_to,
                ..
            }) => {
                let connector_to = shared_connector_to.clone();
                let make = move |endpoint: &Endpoint<Place>| connector_to(&endpoint.key, each);
                let builder = SharedPool::balanced(discovery.clone(), make)
                    .max_per_endpoint(connections)
                    .min_size(connections * discovery.set().len())
                    .balance(balance);
                (
                    builder,
                    S::SharedConnector::endpoint as Name<S::SharedConnector>,
                )
            }
        };
        let pool = builder
            .name("stress")
            .acquire_timeout(patience.acquire)
            .connect_timeout(patience.connect)
            .max_waiters(None)
            .build()?;
        Ok(Self {
            service,
            pool,
            patience,
            name,
        })
    }
}

impl<S: Service> Way for Shared<S> {
    async fn visit(&self) -> Result<Visit, Failure> {
        let asked = Instant::now();
        let lease = self
            .pool
            .get()
            .await
            .map_err(|error| Failure::to_get(&error))?;
        let wait = asked.elapsed();
        let request = self.service.shared_request(&lease);
        let answered = self.patience.with(request).await;
        let total = asked.elapsed();
        let endpoint = (self.name)(SharedLease::connector(&lease));
        if let Err(failure) = answered {
            SharedLease::timed_outcome(&lease, Outcome::Failed, total - wait);
            return Err(failure.at(endpoint));
        }
        SharedLease::timed_outcome(&lease, Outcome::Ok, total - wait);
        drop(lease);
        Ok(Visit {
            wait,
            total,
            endpoint,
        })
    }

    fn gauges(&self) -> Gauges {
        Gauges::of(&self.pool.status())
    }

    fn endpoints(&self) -> Option<SetStatus> {
        self.pool.endpoints()
    }

    fn opened(&self) -> u64 {
        self.pool.counters().opened
    }

    async fn close(&self) {
        self.pool.close().timeout(CLOSE_TIMEOUT).await;
    }
}

/// Counts one in a gauge for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(gauge: &'a AtomicUsize) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
