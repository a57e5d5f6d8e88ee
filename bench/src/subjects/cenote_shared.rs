//! Cenote's shared pool: all by default; a connection carries a hundred leases.

use std::convert::Infallible;
use std::fmt::Debug;

use cenote::{Connect, Dial, Multiplex, SharedPool, Verdict};

use super::Subject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct CenoteShared {
    pool: SharedPool<Dialler>,
}

struct Dialler(Connector);

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

impl Multiplex for Dialler {
    fn capacity(&self, _: &Connection) -> usize {
        100
    }
}

impl Subject for CenoteShared {
    const NAME: &'static str = "cenote_shared";

    async fn open(setup: &Setup) -> Self {
        let builder = SharedPool::builder(Dialler(setup.connector.clone()));
        let pool = builder.max_size(setup.max_size).build();
        Self {
            pool: pool.expect("scenarios ask for possible settings"),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
