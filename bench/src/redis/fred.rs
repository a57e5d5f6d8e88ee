//! fred: one client, which pipelines what its users ask at the same time; by default.

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface};
use fred::types::config::Config;

use super::subject::{KEY, Subject, Target};
use crate::callers::CallError;

#[derive(Clone)]
pub struct Fred {
    client: Client,
}

impl Subject for Fred {
    const NAME: &'static str = "fred";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let client = Client::new(Config::from_url(&target.url)?, None, None, None);
        client.init().await?;
        Ok(Self { client })
    }

    async fn get(&mut self) -> Result<impl AsRef<[u8]>, CallError> {
        let value: Bytes = self.client.get(KEY).await?;
        Ok(value)
    }
}
