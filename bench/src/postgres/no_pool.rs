//! No pool: a connection per query. The server takes a hundred, so no more than 64 are open at once.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_postgres::NoTls;

use super::subject::{QueryError, Subject, Target};
use crate::measure::Failure;

const AT_ONCE: usize = 64;

#[derive(Clone)]
pub struct NoPool {
    config: Arc<tokio_postgres::Config>,
    permits: Arc<Semaphore>,
}

impl Subject for NoPool {
    const NAME: &'static str = "no_pool";

    async fn open(target: &Target) -> Result<Self, Failure> {
        Ok(Self {
            config: Arc::new(target.config.clone()),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    async fn select_one(&self) -> Result<i32, QueryError> {
        let _permit = self.permits.acquire().await?;
        let (client, connection) = self.config.connect(NoTls).await?;
        let driver = tokio::spawn(connection);
        let row = client.query_one("SELECT 1", &[]).await?;
        drop(client);
        driver.await??;
        Ok(row.get(0))
    }
}
