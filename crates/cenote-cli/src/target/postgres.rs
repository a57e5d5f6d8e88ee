//! PostgreSQL: a request is a `SELECT` of as many bytes as were asked for, in one round trip, prepared by
//! nobody, so that it costs the same in every mode.

use cenote_postgres::tokio_postgres::types::Type;
use cenote_postgres::{
    ConfigError, PgConnection, PipelinedConnection, PipelinedConnector, PostgresConnector,
};
use tokio_rustls::rustls::ClientConfig;

use super::{Service, Url};
use crate::failure::{Failure, Stage};

const STATEMENT: &str = "SELECT $1";

/// A PostgreSQL server and the statement that users send it.
#[derive(Clone)]
pub struct PostgresService {
    connector: PostgresConnector,
    text: String,
}

impl PostgresService {
    /// With `tls` the server is asked for TLS in any case, unless the URL has an `sslmode` of its own.
    pub fn new(
        url: &Url,
        tls: Option<&ClientConfig>,
        request_size: usize,
    ) -> Result<Self, ConfigError> {
        let connector = match tls {
            None => PostgresConnector::new(url.expose())?,
            Some(tls) => {
                let url = match url.option("sslmode") {
                    Some(_) => url.clone(),
                    None => url.with_option("sslmode", "require"),
                };
                PostgresConnector::new(url.expose())?.tls_config(tls.clone())
            }
        };
        Ok(Self {
            connector,
            text: "x".repeat(request_size),
        })
    }
}

impl Service for PostgresService {
    type Connector = PostgresConnector;
    type SharedConnector = PipelinedConnector;

    fn label(&self) -> String {
        format!("postgres://{}", self.connector)
    }

    fn doubt(&self) -> &'static str {
        "is this a PostgreSQL server?"
    }

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
