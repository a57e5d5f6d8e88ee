//! The ways of getting a connection that are compared. Each serves a visit (get a connection, run one
//! request, give it back) and can say at any moment who has what.

use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cenote::error::SettingsError;
use cenote::report::Status;
use cenote::{Lease, Pool, SharedPool};

use crate::failure::Failure;
use crate::target::Service;

/// A way of getting connections to one target.
pub trait Way: Send + Sync + 'static {
    /// One user's visit. Dropping the future gives back whatever it holds.
    fn visit(&self) -> impl Future<Output = Result<Visit, Failure>> + Send;

    /// Who has what, now.
    fn gauges(&self) -> Gauges;

    /// Connections opened so far.
    fn opened(&self) -> u64;

    /// Closes what is open.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// How long a successful visit took.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// Until the user had a connection.
    pub wait: Duration,
    /// Until the user had the answer.
    pub total: Duration,
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

/// Each visit opens a connection and closes it.
pub struct NoPool<S: Service> {
    service: S,
    pool: cenote::any::Unpooled<S::Connector>,
    opening: AtomicUsize,
    leased: AtomicUsize,
    opened: AtomicU64,
}

impl<S: Service> NoPool<S> {
    pub fn new(service: S, connect_timeout: Duration) -> Self {
        let pool = cenote::any::Unpooled::with_timeout(service.connector(), connect_timeout);
        Self {
            service,
            pool,
            opening: AtomicUsize::new(0),
            leased: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
        }
    }
}

impl<S: Service> Way for NoPool<S> {
    async fn visit(&self) -> Result<Visit, Failure> {
        let asked = Instant::now();
        let opening = Counted::new(&self.opening);
        let mut connection = self
            .pool
            .get()
            .await
            .map_err(|error| Failure::to_get(&error))?;
        drop(opening);
        let wait = asked.elapsed();
        self.opened.fetch_add(1, Ordering::Relaxed);
        let leased = Counted::new(&self.leased);
        self.service.request(&mut connection).await?;
        let total = asked.elapsed();
        drop(connection);
        drop(leased);
        Ok(Visit { wait, total })
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
}

/// How long closing a pool may take between two runs.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl<S: Service> Exclusive<S> {
    pub fn new(
        service: S,
        size: usize,
        acquire_timeout: Duration,
        connect_timeout: Duration,
    ) -> Result<Self, SettingsError> {
        let pool = Pool::builder(service.connector())
            .name("stress")
            .max_size(size)
            .acquire_timeout(acquire_timeout)
            .connect_timeout(connect_timeout)
            // All users may wait: the queue is what is measured.
            .max_waiters(None)
            .build()?;
        Ok(Self { service, pool })
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
        if let Err(failure) = self.service.request(&mut lease).await {
            Lease::discard(lease);
            return Err(failure);
        }
        let total = asked.elapsed();
        drop(lease);
        Ok(Visit { wait, total })
    }

    fn gauges(&self) -> Gauges {
        Gauges::of(&self.pool.status())
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
}

impl<S: Service> Shared<S> {
    pub fn new(
        service: S,
        connections: usize,
        users: usize,
        acquire_timeout: Duration,
        connect_timeout: Duration,
    ) -> Result<Self, SettingsError> {
        // All users at once have room: what is measured is sharing, not a queue before it.
        let connector = service.shared_connector(users.div_ceil(connections));
        let pool = SharedPool::builder(connector)
            .name("stress")
            .max_size(connections)
            .min_size(connections)
            .acquire_timeout(acquire_timeout)
            .connect_timeout(connect_timeout)
            .max_waiters(None)
            .build()?;
        Ok(Self { service, pool })
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
        self.service.shared_request(&lease).await?;
        let total = asked.elapsed();
        drop(lease);
        Ok(Visit { wait, total })
    }

    fn gauges(&self) -> Gauges {
        Gauges::of(&self.pool.status())
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
