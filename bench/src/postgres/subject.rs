//! A way to get `SELECT 1` answered, and what it is given to do it with.

use std::error::Error;

use crate::measure::Failure;

/// Where the server is and how many connections a pool may open.
#[derive(Clone)]
pub struct Target {
    pub config: tokio_postgres::Config,
    pub url: String,
    pub connections: usize,
}

pub type QueryError = Box<dyn Error + Send + Sync>;

pub trait Subject: Clone + Send + Sync + 'static {
    const NAME: &'static str;

    fn open(target: &Target) -> impl Future<Output = Result<Self, Failure>> + Send;

    /// Gets a connection, asks `SELECT 1`, reads the answer and gives the connection back.
    fn select_one(&self) -> impl Future<Output = Result<i32, QueryError>> + Send;

    /// Closes what can be closed; connections end at the latest when the runtime does.
    fn close(self) -> impl Future<Output = ()> + Send {
        async {}
    }
}
