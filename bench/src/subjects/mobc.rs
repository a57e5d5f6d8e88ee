//! mobc: `test_on_check_out(false)`, and `max_idle` as large as the pool, for its default of 2 closes and reopens
//! connections all the time.

use std::convert::Infallible;
use std::fmt::Debug;

use async_trait::async_trait;
use mobc::{Manager, Pool};

use super::Subject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct Mobc {
    pool: Pool<Dial>,
}

struct Dial(Connector);

#[async_trait]
impl Manager for Dial {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        self.0.dial().await
    }

    async fn check(&self, connection: Connection) -> Result<Connection, Infallible> {
        Ok(connection)
    }
}

impl Subject for Mobc {
    const NAME: &'static str = "mobc";

    async fn open(setup: &Setup) -> Self {
        let max_size = u64::try_from(setup.max_size).expect("a size fits in 64 bits");
        let builder = Pool::builder()
            .max_open(max_size)
            .max_idle(max_size)
            .test_on_check_out(false);
        Self {
            pool: builder.build(Dial(setup.connector.clone())),
        }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
