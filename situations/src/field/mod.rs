//! The servers of a cell, the network before them, and what befalls both.

mod postgres;
mod redis;

pub use postgres::PostgresField;
pub use redis::RedisField;

use std::sync::Arc;
use std::time::Duration;

use cenote_testkit::{Fault, FaultProxy, PostgresServer, RedisServer, ServerError};
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::situation::Situation;

/// Why a cell cannot be played at all.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where a pool's connections go, and the name that its keys and tables have.
#[derive(Clone, Debug)]
pub struct Site {
    /// Through the network of the cell.
    pub url: String,
    /// Of this cell alone.
    pub name: String,
}

/// How late what is sent arrives while a first connection is to be caught half opened.
const HALF_OPENED: Duration = Duration::from_secs(2);

/// One cell's servers and network.
pub trait Field: Send + Sync + 'static {
    /// Where the pool goes.
    fn site(&self) -> &Site;

    /// What stands before the servers.
    fn network(&self) -> &[FaultProxy];

    /// Does to the servers what this situation is, up to the moment from which it lasts.
    fn befall(&self, situation: Situation) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends what lasts.
    fn relieve(&self, situation: Situation) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Tells all who listen on `channel`, by a connection of its own for the purpose.
    fn announce(&self, channel: &str) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Begins a situation.
pub async fn begin(field: &impl Field, situation: Situation) -> Result<(), Failure> {
    let network = field.network();
    match situation {
        Situation::Silent => {
            for proxy in network {
                proxy.set(Fault::Unplugged)?;
            }
        }
        Situation::Swallowed => {
            for proxy in network {
                proxy.set(Fault::BlackHole)?;
            }
        }
        Situation::Reset => network.iter().for_each(FaultProxy::cut),
        Situation::HalfOpen => network.iter().for_each(FaultProxy::strand),
        _ => {}
    }
    if situation.is_of_the_server() {
        field.befall(situation).await?;
    }
    if !matches!(situation, Situation::Silent | Situation::Swallowed) {
        heal(field)?;
    }
    Ok(())
}

/// Ends it, where it lasts.
pub async fn end(field: &impl Field, situation: Situation) -> Result<(), Failure> {
    if situation.is_of_the_server() {
        field.relieve(situation).await?;
    }
    heal(field)
}

/// Everything passes, and at once.
fn heal(field: &impl Field) -> Result<(), Failure> {
    for proxy in field.network() {
        proxy.clear()?;
    }
    Ok(())
}

/// From now on a dial takes so long that it can be caught in the middle.
pub fn slow_down(field: &impl Field) -> Result<(), Failure> {
    for proxy in field.network() {
        proxy.set(Fault::Delay {
            by: HALF_OPENED,
            jitter: Duration::ZERO,
        })?;
    }
    Ok(())
}

/// Whether a dial has begun.
pub fn is_being_dialled(field: &impl Field) -> bool {
    field.network().iter().any(|proxy| proxy.accepted() > 0)
}

/// The servers that cells share which do nothing to them.
#[derive(Debug, Default)]
pub struct Servers {
    postgres: OnceCell<Arc<PostgresServer>>,
    redis: OnceCell<Arc<RedisServer>>,
}

impl Servers {
    async fn postgres(&self) -> Result<Arc<PostgresServer>, Failure> {
        // Each cell has few connections, those it has lost included.
        let start = || async {
            let start = || PostgresServer::builder().max_connections(300).start();
            Ok::<_, Failure>(Arc::new(spawn_blocking(start).await??))
        };
        Ok(self.postgres.get_or_try_init(start).await?.clone())
    }

    async fn redis(&self) -> Result<Arc<RedisServer>, Failure> {
        let start = || async { Ok::<_, Failure>(Arc::new(on_a_thread(RedisServer::start).await?)) };
        Ok(self.redis.get_or_try_init(start).await?.clone())
    }
}

/// The servers' methods block.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ServerError> + Send + 'static,
) -> Result<T, Failure> {
    Ok(spawn_blocking(work).await??)
}
