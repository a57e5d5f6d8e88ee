//! Cenote: the client of cenote-redis, with one connection for what can share it; by default otherwise.

use bytes::Bytes;
use cenote_redis::{RedisClient, RedisConnector};

use super::subject::{KEY, Subject, Target};
use crate::callers::CallError;

#[derive(Clone)]
pub struct Cenote {
    client: RedisClient,
}

impl Subject for Cenote {
    const NAME: &'static str = "cenote";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let connector = RedisConnector::new(&target.url)?;
        let client = RedisClient::builder(connector)
            .shared_connections(1)
            .build()?;
        // The first call opens the connection.
        client.get::<Bytes>(KEY).await?;
        Ok(Self { client })
    }

    async fn get(&mut self) -> Result<impl AsRef<[u8]>, CallError> {
        let value: Bytes = self.client.get(KEY).await?;
        Ok(value)
    }
}
