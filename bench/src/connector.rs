//! The connection every subject pools: a no-op that is counted.
//!
//! Owns what a scenario asks of a pool (`Setup`), the connector that opens connections after an optional
//! delay, and the tally of open connections. The connection is one pointer wide, so what a pool adds to it shows.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a scenario asks of a pool; everything else stays at the pool's own defaults.
#[derive(Clone, Default)]
pub struct Setup {
    pub max_size: usize,
    pub min_idle: usize,
    /// How many endpoints the connections are spread over evenly, in pools that are over a set of them.
    pub endpoints: usize,
    /// Raised by the scenarios that queue more getters than a bounded queue takes by default.
    pub unbounded_queue: bool,
    pub connector: Connector,
}

impl Setup {
    /// A pool of `max_size` whose connections open at once.
    pub fn of_size(max_size: usize) -> Self {
        Self {
            max_size,
            ..Self::default()
        }
    }

    /// The same pool over so many endpoints.
    pub fn over(self, endpoints: usize) -> Self {
        Self { endpoints, ..self }
    }

    /// Connections an endpoint has at most.
    pub fn per_endpoint(&self) -> usize {
        self.max_size.div_ceil(self.endpoints)
    }

    /// The same pool with room for any number of waiters.
    pub fn unbounded_queue(self) -> Self {
        Self {
            unbounded_queue: true,
            ..self
        }
    }
}

/// How many connections are open, and how many were ever dialled.
#[derive(Default)]
pub struct Tally {
    open: AtomicUsize,
    dialled: AtomicUsize,
}

impl Tally {
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub fn dialled(&self) -> usize {
        self.dialled.load(Ordering::Relaxed)
    }
}

/// Opens no-op connections, each after `delay`.
#[derive(Clone, Default)]
pub struct Connector {
    pub delay: Duration,
    pub tally: Arc<Tally>,
}

impl Connector {
    /// Dials: waits for the delay (on tokio's clock) if there is one, then opens.
    pub async fn dial(&self) -> Result<Connection, Infallible> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(self.open_now())
    }

    /// Opens at once, for the synchronous pools.
    pub fn open_now(&self) -> Connection {
        self.tally.dialled.fetch_add(1, Ordering::Relaxed);
        self.tally.open.fetch_add(1, Ordering::Relaxed);
        Connection {
            tally: Arc::clone(&self.tally),
        }
    }
}

/// A connection that does nothing but be counted while it is open.
pub struct Connection {
    tally: Arc<Tally>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tally.open.fetch_sub(1, Ordering::Relaxed);
    }
}
