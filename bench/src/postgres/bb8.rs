//! bb8-postgres: by default, which asks the server for a sign of life at every checkout, and without that.

use bb8::Pool;
use bb8_postgres::PostgresConnectionManager;
use tokio_postgres::NoTls;

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

type Manager = PostgresConnectionManager<NoTls>;

#[derive(Clone)]
pub struct Bb8 {
    pool: Pool<Manager>,
}

#[derive(Clone)]
pub struct Bb8Untested {
    pool: Pool<Manager>,
}

async fn open(target: &Target, test_on_check_out: bool) -> Result<Pool<Manager>, Failure> {
    let manager = Manager::new(target.config.clone(), NoTls);
    let size = u32::try_from(target.connections).expect("a pool of ten fits");
    Pool::builder()
        .max_size(size)
        .test_on_check_out(test_on_check_out)
        .build(manager)
        .await
        .map_err(|error| Failure::new(format!("cannot open: {error}")))
}

async fn select_one(pool: &Pool<Manager>) -> Result<i32, QueryError> {
    let client = pool.get().await?;
    Ok(client.query_one("SELECT 1", &[]).await?.get(0))
}

impl Subject for Bb8 {
    const NAME: &'static str = "bb8";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target, true).await?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        select_one(&self.pool).await
    }
}

impl Subject for Bb8Untested {
    const NAME: &'static str = "bb8_untested";

    async fn open(target: &Target) -> Result<Self, Failure> {
        let pool = open(target, false).await?;
        Ok(Self { pool })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        select_one(&self.pool).await
    }
}
