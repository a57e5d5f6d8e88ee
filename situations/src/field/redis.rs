//! Redis servers of a cell.

use std::sync::{Arc, Mutex, PoisonError};

use cenote::{Connect, Dial};
use cenote_redis::{Cmd, RedisConnection, RedisConnector, RedisError};
use cenote_testkit::{FaultProxy, RedisServer};

use super::{Failure, Field, Servers, Site, on_a_thread};
use crate::cell::Cell;
use crate::situation::Situation;
use crate::target::big_value;

/// Few, so that they are soon taken.
const FEW: u32 = 16;

/// One server, or two of which the second takes over the address.
pub struct RedisField {
    servers: Vec<Arc<RedisServer>>,
    network: [FaultProxy; 1],
    site: Site,
    /// Those that take all connections.
    others: Mutex<Vec<RedisConnection>>,
}

impl RedisField {
    /// For a cell.
    pub async fn new(cell: Cell, repetition: u32, shared: &Servers) -> Result<Self, Failure> {
        let start = || on_a_thread(RedisServer::start);
        let servers = match cell.situation {
            Situation::Demoted => vec![Arc::new(start().await?), Arc::new(start().await?)],
            Situation::Full => {
                let start = || RedisServer::builder().max_clients(FEW).start();
                vec![Arc::new(on_a_thread(start).await?)]
            }
            situation if situation.is_of_the_server() => vec![Arc::new(start().await?)],
            _ => vec![shared.redis().await?],
        };
        let name = format!("{}_{repetition}", cell.identifier());
        for server in &servers {
            let mut admin = connect(server).await?;
            admin.command(&big_value(&name)).await?;
        }
        let proxy = FaultProxy::start(servers[0].addr()).await?;
        let url = format!("redis://{}", proxy.addr());
        Ok(Self {
            servers,
            network: [proxy],
            site: Site { url, name },
            others: Mutex::default(),
        })
    }

    /// Connects others until the server has no connection free.
    async fn fill(&self) -> Result<(), Failure> {
        let full = |error: &RedisError| error.to_string().contains("max number of clients");
        loop {
            match connect(&self.servers[0]).await {
                Ok(client) => {
                    let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
                    others.push(client);
                }
                Err(error) if full(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A connection that passes by the network of the cell.
async fn connect(server: &RedisServer) -> Result<RedisConnection, RedisError> {
    let connector = RedisConnector::new(&server.url()).expect("the URL of a server of our own");
    connector.connect(&Dial::new()).await
}

impl Field for RedisField {
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
                let master = self.servers[1].addr();
                self.network[0].redirect(master);
                let mut admin = connect(&server).await?;
                let replicate = Cmd::new("REPLICAOF")
                    .arg(master.ip().to_string())
                    .arg(master.port());
                admin.command(&replicate).await?;
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
            let mut admin = connect(server).await?;
            let publish = Cmd::new("PUBLISH").arg(channel).arg(channel);
            admin.command(&publish).await?;
        }
        Ok(())
    }
}
