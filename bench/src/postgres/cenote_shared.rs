//! cenote-postgres with its pipelined connections in a shared pool: all by default, every statement prepared.

use cenote::SharedPool;
use cenote_postgres::{PipelinedConnector, PostgresConnector};

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

#[derive(Clone)]
pub struct CenoteShared {
    pool: SharedPool<PipelinedConnector>,
}

impl Subject for CenoteShared {
    const NAME: &'static str = "cenote_shared";

    /// Of the connections that it may open it opens one, and a second when more than 750 use that at once.
    async fn open(target: &Target) -> Result<Self, Failure> {
        let connector = PostgresConnector::from_config(target.config.clone())
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        let pool = SharedPool::builder(PipelinedConnector::from(connector))
            .build()
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        let conn = self.pool.get().await?;
        Ok(conn.query_one("SELECT 1", &[]).await?.get(0))
    }

    async fn close(self) {
        self.pool.close().await;
    }
}
