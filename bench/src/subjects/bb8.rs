//! bb8: `test_on_check_out(false)`; all else by default (30 s time-out, reaper on).

use std::convert::Infallible;
use std::fmt::Debug;

use bb8::{ManageConnection, Pool};

use super::Subject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct Bb8 {
    pool: Pool<Manager>,
}

struct Manager(Connector);

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    async fn connect(&self) -> Result<Connection, Infallible> {
        self.0.dial().await
    }

    async fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl Subject for Bb8 {
    const NAME: &'static str = "bb8";

    async fn open(setup: &Setup) -> Self {
        let max_size = u32::try_from(setup.max_size).expect("scenarios keep pools under 2^32");
        let min_idle = u32::try_from(setup.min_idle).expect("scenarios keep pools under 2^32");
        let builder = Pool::builder()
            .max_size(max_size)
            .min_idle(min_idle)
            .test_on_check_out(false);
        let Ok(pool) = builder.build(Manager(setup.connector.clone())).await;
        Self { pool }
    }

    fn get(&self) -> impl Future<Output = Result<impl Send, impl Debug + Send>> + Send {
        self.pool.get()
    }
}
