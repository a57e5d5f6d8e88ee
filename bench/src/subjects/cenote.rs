//! Cenote: all by default, with its time-outs, its bounded queue and its counters on; leases borrowed and owned.

use std::convert::Infallible;
use std::fmt::Debug;

use cenote::pool::PoolBuilder;
use cenote::{Budget, Connect, Dial, Pool, Verdict};

use super::Subject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct Cenote {
    pool: Pool<Dialler>,
}

#[derive(Clone)]
pub struct CenoteOwned {
    pool: Pool<Dialler>,
}

pub struct Dialler(pub Connector);

impl Connect for Dialler {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Connection, Infallible> {
        self.0.dial().await
    }

    fn verdict(&self, _: &mut Connection) -> Verdict {
        Verdict::Reuse
    }
}

fn builder(setup: &Setup) -> PoolBuilder<Dialler> {
    let builder = Pool::builder(Dialler(setup.connector.clone()))
        .max_size(setup.max_size)
        .min_idle(setup.min_idle);
    match setup.unbounded_queue {
        true => builder.max_waiters(None),
        false => builder,
    }
}

/// A pool with nothing around it.
pub fn open(setup: &Setup) -> Pool<Dialler> {
    build(builder(setup))
}

fn build(builder: PoolBuilder<Dialler>) -> Pool<Dialler> {
    builder
        .build()
        .expect("scenarios ask for possible settings")
}

impl Cenote {
    /// A pool whose connections count against a budget.
    pub fn under(budget: &Budget, setup: &Setup) -> Self {
        Self {
            pool: build(builder(setup).budget(budget)),
        }
    }
}

impl Subject for Cenote {
    const NAME: &'static str = "cenote";

    async fn open(setup: &Setup) -> Self {
        Self { pool: open(setup) }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}

impl Subject for CenoteOwned {
    const NAME: &'static str = "cenote_owned";

    async fn open(setup: &Setup) -> Self {
        Self { pool: open(setup) }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get_owned()
    }
}
