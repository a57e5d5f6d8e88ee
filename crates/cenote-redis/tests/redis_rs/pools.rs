//! Pools of every kind, on a real server.

use cenote::{Pool, SharedPool};
use cenote_redis::{PipelinedConnector, RedisClient, RedisConnector};

/// One connection of each kind, in database 3, so that a mistake of one user would show at the next.
pub struct Pools {
    pub exclusive: Pool<RedisConnector>,
    pub shared: SharedPool<PipelinedConnector>,
    pub client: RedisClient,
}

impl Pools {
    pub fn new(url: &str) -> Self {
        let connector = RedisConnector::new(&format!("{url}/3")).unwrap();
        let exclusive = Pool::builder(connector.clone()).max_size(1);
        let shared = SharedPool::builder(PipelinedConnector::from(connector.clone())).max_size(1);
        let client = RedisClient::builder(connector);
        Self {
            exclusive: exclusive.build().unwrap(),
            shared: shared.build().unwrap(),
            client: client.shared_connections(1).build().unwrap(),
        }
    }
}

/// Runs a scenario on everything that redis-rs can be used on, each time in an empty database.
macro_rules! on_every_connection {
    ($server:expr, $scenario:ident) => {{
        let pools = crate::pools::Pools::new(&$server.url());
        let mut admin = cenote_redis::RedisRs(pools.client.clone());
        let mut clean = async || {
            cenote_redis::redis::cmd("FLUSHDB")
                .exec_async(&mut admin)
                .await
                .unwrap();
        };
        let mut lease = pools.exclusive.get().await.unwrap();
        $scenario(&mut *lease).await;
        clean().await;
        $scenario(&mut cenote_redis::RedisRs(&mut *lease)).await;
        clean().await;
        $scenario(&mut cenote_redis::RedisRs(lease)).await;
        clean().await;
        let owned = pools.exclusive.get_owned().await.unwrap();
        $scenario(&mut cenote_redis::RedisRs(owned)).await;
        clean().await;
        let shared = pools.shared.get().await.unwrap();
        $scenario(&mut &*shared).await;
        clean().await;
        $scenario(&mut cenote_redis::PipelinedConnection::clone(&shared)).await;
        clean().await;
        $scenario(&mut cenote_redis::RedisRs(shared)).await;
        clean().await;
        $scenario(&mut &pools.client).await;
        clean().await;
        $scenario(&mut pools.client.clone()).await;
        clean().await;
        $scenario(&mut cenote_redis::RedisRs(pools.client.clone())).await;
        // No connection was given up for it.
        let closed = [
            pools.exclusive.counters().closed(),
            pools.shared.counters().closed(),
        ];
        assert_eq!(closed, [0, 0]);
    }};
}

pub(crate) use on_every_connection;
