//! deadpool (managed): by default, which knows no time-outs, and with a wait time-out as a service sets it.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{Manager, Metrics, Pool, RecycleResult};

use super::Subject;
use crate::connector::{Connection, Connector, Setup};

/// As long as Cenote's own default, so that the two do the same for a getter that waits.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Deadpool {
    pool: Pool<Dial>,
}

#[derive(Clone)]
pub struct DeadpoolTimeout {
    pool: Pool<Dial>,
}

struct Dial(Connector);

impl Manager for Dial {
    type Type = Connection;
    type Error = Infallible;

    async fn create(&self) -> Result<Connection, Infallible> {
        self.0.dial().await
    }

    async fn recycle(&self, _: &mut Connection, _: &Metrics) -> RecycleResult<Infallible> {
        Ok(())
    }
}

fn build(setup: &Setup, wait_timeout: Option<Duration>) -> Pool<Dial> {
    Pool::builder(Dial(setup.connector.clone()))
        .max_size(setup.max_size)
        .wait_timeout(wait_timeout)
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is set, the only thing a build can miss")
}

impl Subject for Deadpool {
    const NAME: &'static str = "deadpool";

    async fn open(setup: &Setup) -> Self {
        Self {
            pool: build(setup, None),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}

impl Subject for DeadpoolTimeout {
    const NAME: &'static str = "deadpool_timeout";

    async fn open(setup: &Setup) -> Self {
        Self {
            pool: build(setup, Some(WAIT_TIMEOUT)),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
