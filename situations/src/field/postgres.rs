//! PostgreSQL servers of a cell.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use cenote_postgres::tokio_postgres::{self, Client, NoTls, error::SqlState};
use cenote_testkit::{FaultProxy, PostgresServer};

use super::{Failure, Field, Servers, Site, on_a_thread};
use crate::cell::Cell;
use crate::situation::Situation;

/// Few, so that they are soon taken.
const FEW: u32 = 16;

/// One server, or two of which the second takes over.
pub struct PostgresField {
    servers: Vec<Arc<PostgresServer>>,
    network: Vec<FaultProxy>,
    site: Site,
    /// Those that take all connections.
    others: Mutex<Vec<Client>>,
}

impl PostgresField {
    /// For a cell.
    pub async fn new(cell: Cell, repetition: u32, shared: &Servers) -> Result<Self, Failure> {
        let start = |most| on_a_thread(move || most_of(most).start());
        let servers = match cell.situation {
            Situation::Demoted => vec![Arc::new(start(None).await?), Arc::new(start(None).await?)],
            Situation::Full => vec![Arc::new(start(Some(FEW)).await?)],
            situation if situation.is_of_the_server() => vec![Arc::new(start(None).await?)],
            _ => vec![shared.postgres().await?],
        };
        let name = format!("{}_{repetition}", cell.identifier());
        let mut network = Vec::new();
        let mut hosts = String::new();
        for server in &servers {
            let admin = connect(server).await?;
            let table = format!("CREATE TABLE public.{name} (tag int8)");
            admin.batch_execute(&table).await?;
            let proxy = FaultProxy::start(server.addr()).await?;
            let separator = if hosts.is_empty() { "" } else { "," };
            write!(hosts, "{separator}{}", proxy.addr())?;
            network.push(proxy);
        }
        let url = format!("postgres://postgres@{hosts}/postgres?target_session_attrs=read-write");
        Ok(Self {
            servers,
            network,
            site: Site { url, name },
            others: Mutex::default(),
        })
    }

    /// Connects others until the server has no connection free.
    async fn fill(&self) -> Result<(), Failure> {
        loop {
            match connect(&self.servers[0]).await {
                Ok(client) => {
                    let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                    others.push(client);
                }
                Err(error) if error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS) => {
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn most_of(most: Option<u32>) -> cenote_testkit::PostgresBuilder {
    let builder = PostgresServer::builder();
    match most {
        Some(most) => builder.max_connections(most),
        None => builder,
    }
}

/// A connection that passes by the network of the cell.
async fn connect(server: &PostgresServer) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(&server.url(), NoTls).await?;
    // Its end is the client's.
    tokio::spawn(connection);
    Ok(client)
}

impl Field for PostgresField {
    fn site(&self) -> &Site {
        &self.site
    }

    fn network(&self) -> &[FaultProxy] {
        &self.network
    }

    async fn befall(&self, situation: Situation) -> Result<(), Failure> {
        let server = self.servers[0].clone();
        match situation {
            Situation::Frozen => on_a_thread(move || server.stop()).await,
            Situation::Restarted => on_a_thread(move || server.kill()).await,
            Situation::Full => self.fill().await,
            Situation::Demoted => {
                let admin = connect(&server).await?;
                for sql in [
                    "ALTER SYSTEM SET default_transaction_read_only = on",
                    "SELECT pg_reload_conf()",
                ] {
                    admin.simple_query(sql).await?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn relieve(&self, situation: Situation) -> Result<(), Failure> {
        let server = self.servers[0].clone();
        match situation {
            Situation::Frozen => on_a_thread(move || server.cont()).await,
            Situation::Restarted => on_a_thread(move || server.restart()).await,
            Situation::Full => {
                let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                others.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn announce(&self, channel: &str) -> Result<(), Failure> {
        for server in &self.servers {
            let admin = connect(server).await?;
            let notify = format!("NOTIFY {channel}, '{channel}'");
            admin.batch_execute(&notify).await?;
        }
        Ok(())
    }
}
