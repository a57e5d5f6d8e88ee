//! Redis: a request is an `ECHO` of as many bytes as were asked for.

use std::sync::Arc;

use cenote_redis::{
    Cmd, PipelinedConnection, PipelinedConnector, RedisConnection, RedisConnector, UrlError,
};
use tokio_rustls::rustls::ClientConfig;

use super::{Service, Url};
use crate::failure::{Failure, Stage};

/// A Redis server and the command that users send it.
#[derive(Clone)]
pub struct RedisService {
    connector: RedisConnector,
    echo: Cmd,
}

impl RedisService {
    pub fn new(
        url: &Url,
        tls: Option<Arc<ClientConfig>>,
        request_size: usize,
    ) -> Result<Self, UrlError> {
        let echo = Cmd::new("ECHO").arg("x".repeat(request_size));
        let connector = RedisConnector::new(url.expose())?;
        let connector = match tls {
            Some(tls) => connector.tls_config(tls),
            None => connector,
        };
        Ok(Self { connector, echo })
    }
}

impl Service for RedisService {
    type Connector = RedisConnector;
    type SharedConnector = PipelinedConnector;

    fn label(&self) -> String {
        self.connector.to_string()
    }

    fn doubt(&self) -> &'static str {
        match self.label().starts_with("rediss:") {
            true => "is this a Redis server, and its port for TLS?",
            false => "is this a Redis server, and its port the one without TLS?",
        }
    }

    fn connector(&self) -> RedisConnector {
        self.connector.clone()
    }

    async fn request(&self, connection: &mut RedisConnection) -> Result<(), Failure> {
        match connection.command(&self.echo).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::of(Stage::Request, &error)),
        }
    }

    fn shared_connector(&self, users: usize) -> PipelinedConnector {
        PipelinedConnector::from(self.connector.clone())
            .max_in_flight(users)
            // In the other modes no request has a time-out either.
            .call_timeout(None)
    }

    async fn shared_request(&self, connection: &PipelinedConnection) -> Result<(), Failure> {
        match connection.command(&self.echo).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::of(Stage::Request, &error)),
        }
    }
}
