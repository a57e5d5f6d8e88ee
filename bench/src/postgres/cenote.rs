//! cenote-postgres: all by default, which resets what needs it and checks what idled; and with its statement cache.

use cenote::Pool;
use cenote_postgres::PostgresConnector;

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

#[derive(Clone)]
pub struct Cenote {
    pool: Pool<PostgresConnector>,
}

#[derive(Clone)]
pub struct CenotePrepared {
    pool: Pool<PostgresConnector>,
}

fn open(target: &Target) -> Result<Pool<PostgresConnector>, Failure> {
    let connector = PostgresConnector::from_config(target.config.clone())
        .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
    Pool::builder(connector)
        .max_size(target.connections)
        .build()
        .map_err(|error| Failure::new(format!("cannot open: {error}")))
}

impl Subject for Cenote {
    const NAME: &'static str = "cenote";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target)?;
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

impl Subject for CenotePrepared {
    const NAME: &'static str = "cenote_prepared";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target)?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        let conn = self.pool.get().await?;
        Ok(conn.query_one_cached("SELECT 1", &[]).await?.get(0))
    }

    async fn close(self) {
        self.pool.close().await;
    }
}
