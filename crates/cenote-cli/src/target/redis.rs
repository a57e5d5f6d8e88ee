//! Redis: a request is an `ECHO` of as many bytes as were asked for.

use cenote_redis::{
    Cmd, PipelinedConnection, PipelinedConnector, RedisConnection, RedisConnector, UrlError,
};

use super::Service;
use crate::failure::{Failure, Stage};

/// A Redis server and the command that users send it.
#[derive(Clone)]
pub struct RedisService {
    connector: RedisConnector,
    echo: Cmd,
}

impl RedisService {
    pub fn new(url: &str, request_size: usize) -> Result<Self, UrlError> {
        let echo = Cmd::new("ECHO").arg("x".repeat(request_size));
        Ok(Self {
            connector: RedisConnector::new(url)?,
            echo,
        })
    }
}

impl Service for RedisService {
    type Connector = RedisConnector;
    type SharedConnector = PipelinedConnector;

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
