//! redis-rs: its multiplexed connection, by default.

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use super::subject::{KEY, Subject, Target};
use crate::callers::CallError;

#[derive(Clone)]
pub struct RedisRs {
    connection: MultiplexedConnection,
}

impl Subject for RedisRs {
    const NAME: &'static str = "redis_rs";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let client = redis::Client::open(target.url.as_str())?;
        let connection = client.get_multiplexed_async_connection().await?;
        Ok(Self { connection })
    }

    async fn get(&mut self) -> Result<impl AsRef<[u8]>, CallError> {
        let value: Vec<u8> = self.connection.get(KEY).await?;
        Ok(value)
    }
}
