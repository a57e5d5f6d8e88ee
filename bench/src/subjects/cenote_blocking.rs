//! Cenote's pool for threads: all by default, as the asynchronous one.

use std::convert::Infallible;
use std::fmt::Debug;

use cenote::Verdict;
use cenote::blocking::{Connect, Pool};

use super::BlockingSubject;
use crate::connector::{Connection, Connector, Setup};

#[derive(Clone)]
pub struct CenoteBlocking {
    pool: Pool<Dial>,
}

struct Dial(Connector);

impl Connect for Dial {
    type Connection = Connection;
    type Error = Infallible;

    fn connect(&self) -> Result<Connection, Infallible> {
        Ok(self.0.open_now())
    }

    fn verdict(&self, _: &mut Connection) -> Verdict {
        Verdict::Reuse
    }
}

impl BlockingSubject for CenoteBlocking {
    const NAME: &'static str = "cenote_blocking";

    fn open(setup: &Setup) -> Self {
        let pool = Pool::builder(Dial(setup.connector.clone()))
            .max_size(setup.max_size)
            .build()
            .expect("scenarios ask for possible settings");
        Self { pool }
    }

    fn get(&self) -> Result<impl Sized, impl Debug> {
        self.pool.get()
    }
}
