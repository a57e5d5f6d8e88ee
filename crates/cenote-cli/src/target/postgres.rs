//! PostgreSQL: a request is a `SELECT` of as many bytes as were asked for, in one round trip, prepared by
//! nobody, so that it costs the same in every mode.

use cenote_postgres::tokio_postgres::types::Type;
use cenote_postgres::{
    ConfigError, PgConnection, PipelinedConnection, PipelinedConnector, PostgresConnector,
};

use super::Service;
use crate::failure::{Failure, Stage};

const STATEMENT: &str = "SELECT $1";

/// A PostgreSQL server and the statement that users send it.
#[derive(Clone)]
pub struct PostgresService {
    connector: PostgresConnector,
    text: String,
}

impl PostgresService {
    pub fn new(url: &str, request_size: usize) -> Result<Self, ConfigError> {
        Ok(Self {
            connector: PostgresConnector::new(url)?,
            text: "x".repeat(request_size),
        })
    }
}

impl Service for PostgresService {
    type Connector = PostgresConnector;
    type SharedConnector = PipelinedConnector;

    fn connector(&self) -> PostgresConnector {
        self.connector.clone()
    }

    async fn request(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let rows = connection
            .query_typed(STATEMENT, &[(&self.text, Type::TEXT)])
            .await;
        match rows {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::of(Stage::Request, &error)),
        }
    }

    fn shared_connector(&self, users: usize) -> PipelinedConnector {
        PipelinedConnector::from(self.connector.clone()).capacity(users)
    }

    async fn shared_request(&self, connection: &PipelinedConnection) -> Result<(), Failure> {
        let rows = connection
            .query_typed(STATEMENT, &[(&self.text, Type::TEXT)])
            .await;
        match rows {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::of(Stage::Request, &error)),
        }
    }
}
