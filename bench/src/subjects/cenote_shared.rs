//! Cenote's shared pool: all by default; a connection carries a hundred leases. Over a set of endpoints with one connection
//! each; and of one endpoint with as many connections, of which each carries one lease, so that all serve.

use std::convert::Infallible;
use std::fmt::Debug;

use cenote::endpoints::{EndpointSet, fixed};
use cenote::{Connect, Dial, Multiplex, SharedPool, Verdict};
use tokio::task::yield_now;

use super::{Subject, refused};
use crate::connector::{Connection, Connector, Setup};
use crate::measure::Outcome;

#[derive(Clone)]
pub struct CenoteShared {
    pool: SharedPool<Dialler>,
}

#[derive(Clone)]
pub struct CenoteSharedOfSet {
    pool: SharedPool<Dialler>,
    connector: Connector,
}

#[derive(Clone)]
pub struct CenoteSharedOfOne {
    pool: SharedPool<Dialler>,
}

struct Dialler {
    connector: Connector,
    capacity: usize,
}

impl Connect for Dialler {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Connection, Infallible> {
        self.connector.dial().await
    }

    fn verdict(&self, _: &mut Connection) -> Verdict {
        Verdict::Reuse
    }
}

impl Dialler {
    /// One whose connections carry so many leases.
    fn carrying(capacity: usize, setup: &Setup) -> Self {
        Self {
            connector: setup.connector.clone(),
            capacity,
        }
    }
}

impl Multiplex for Dialler {
    fn capacity(&self, _: &Connection) -> usize {
        self.capacity
    }
}

impl Subject for CenoteShared {
    const NAME: &'static str = "cenote_shared";

    async fn open(setup: &Setup) -> Self {
        let builder = SharedPool::builder(Dialler::carrying(100, setup));
        let pool = builder.max_size(setup.max_size).build();
        Self {
            pool: pool.expect("scenarios ask for possible settings"),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}

impl Subject for CenoteSharedOfSet {
    const NAME: &'static str = "cenote_shared";

    async fn open(setup: &Setup) -> Self {
        let endpoints = EndpointSet::of(0..setup.endpoints as u32);
        let making = setup.clone();
        let builder =
            SharedPool::balanced(fixed(endpoints), move |_| Dialler::carrying(100, &making));
        let pool = builder.max_per_endpoint(setup.per_endpoint()).build();
        Self {
            pool: pool.expect("scenarios ask for possible settings"),
            connector: setup.connector.clone(),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }

    /// An endpoint has its connection once it was chosen, and not before.
    async fn fill(&self, count: usize) -> Outcome<()> {
        while self.connector.tally.open() < count {
            drop(self.get().await.map_err(refused)?);
            yield_now().await;
        }
        // Until those that were opened last carry leases as well.
        for _ in 0..20 * count {
            drop(self.get().await.map_err(refused)?);
        }
        Ok(())
    }
}

impl Subject for CenoteSharedOfOne {
    const NAME: &'static str = "cenote_shared_one";

    async fn open(setup: &Setup) -> Self {
        let builder = SharedPool::builder(Dialler::carrying(1, setup));
        let pool = builder.max_size(setup.max_size).build();
        Self {
            pool: pool.expect("scenarios ask for possible settings"),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
