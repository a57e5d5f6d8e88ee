//! r2d2: `test_on_check_out(false)`; all else by default (30 s time-out, filled to `max_size` at build).

use std::convert::Infallible;
use std::fmt::Debug;

use r2d2::{ManageConnection, Pool};

use super::BlockingSubject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct R2d2 {
    pool: Pool<Manager>,
}

struct Manager(Connector);

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<Connection, Infallible> {
        Ok(self.0.open_now())
    }

    fn is_valid(&self, _: &mut Connection) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, _: &mut Connection) -> bool {
        false
    }
}

impl BlockingSubject for R2d2 {
    const NAME: &'static str = "r2d2";

    fn open(setup: &Setup) -> Self {
        let pool = Pool::builder()
            .max_size(u32::try_from(setup.max_size).expect("scenarios keep pools under 2^32"))
            .test_on_check_out(false)
            .build(Manager(setup.connector.clone()))
            .expect("a no-op connector never fails");
        Self { pool }
    }

    fn get(&self) -> Result<impl Sized, impl Debug> {
        self.pool.get()
    }
}
