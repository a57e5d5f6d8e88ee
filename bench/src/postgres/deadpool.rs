//! deadpool-postgres: by default, with its fast recycling (no round trip), and with its statement cache.

use deadpool_postgres::{Manager, Pool, Runtime};
use tokio_postgres::NoTls;

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

#[derive(Clone)]
pub struct Deadpool {
    pool: Pool,
}

#[derive(Clone)]
pub struct DeadpoolPrepared {
    pool: Pool,
}

fn open(target: &Target) -> Result<Pool, Failure> {
    Pool::builder(Manager::new(target.config.clone(), NoTls))
        .max_size(target.connections)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Failure::new(format!("cannot open: {error}")))
}

impl Subject for Deadpool {
    const NAME: &'static str = "deadpool";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target)?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        let client = self.pool.get().await?;
        Ok(client.query_one("SELECT 1", &[]).await?.get(0))
    }

    async fn close(self) {
        self.pool.close();
    }
}

impl Subject for DeadpoolPrepared {
    const NAME: &'static str = "deadpool_prepared";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target)?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached("SELECT 1").await?;
        Ok(client.query_one(&statement, &[]).await?.get(0))
    }

    async fn close(self) {
        self.pool.close();
    }
}
