//! sqlx: by default, which caches prepared statements and asks for a sign of life at every checkout.

use sqlx::postgres::{PgPool, PgPoolOptions};

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

#[derive(Clone)]
pub struct Sqlx {
    pool: PgPool,
}

impl Subject for Sqlx {
    const NAME: &'static str = "sqlx";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let size = u32::try_from(target.connections).expect("a pool of ten fits");
        let pool = PgPoolOptions::new()
            .max_connections(size)
            .connect(&target.url)
            .await
            .map_err(|error| Failure::new(format!("cannot open: {error}")))?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        Ok(sqlx::query_scalar("SELECT 1").fetch_one(&self.pool).await?)
    }

    async fn close(self) {
        self.pool.close().await;
    }
}
