//! The client: a page of code, for the parts are there.
//!
//! One shared pool for each (address, shard): large for reads, small for writes; views of one worker share an
//! address and so a pool. A request for several shards goes to all of them at once, and the first error wins.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use cenote::error::SettingsError;
use cenote::mux::{CallError, MuxBuilder, MuxConnect};
use cenote::net::Host;
use cenote::settings::Backoff;
use cenote::{GetError, SharedPool};
use futures::future::try_join_all;

use super::protocol::{ClientCodec, Reply, Request};

/// Connections to where views are read, and to where a shard of a table is written.
const READERS: usize = 16;
const WRITERS: usize = 2;
/// Requests that may be pending on a connection, and getters that may wait for a pool.
const PENDING: usize = 512;
const QUEUE: usize = 1_024;

type Worker = MuxConnect<Host, Request, Reply>;

fn worker(address: SocketAddr) -> Worker {
    let settings = MuxBuilder::new()
        .max_in_flight(PENDING)
        .call_timeout(Duration::from_secs(1));
    MuxConnect::tagged(Host::from(address), ClientCodec).settings(settings)
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Get(#[from] GetError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the store has no {0}")]
    Unknown(String),
    #[error("the worker gave an answer to another question: {0:?}")]
    Unexpected(Reply),
}

type Key = (SocketAddr, usize);

pub struct Store {
    pools: HashMap<Key, SharedPool<Worker>>,
    views: Vec<Key>,
    table: Vec<Key>,
}

impl Store {
    /// `views` and `table` are the addresses of their shards, in order.
    pub fn new(views: &[SocketAddr], table: &[SocketAddr]) -> Result<Self, SettingsError> {
        let keys =
            |addresses: &[SocketAddr]| -> Vec<Key> { addresses.iter().copied().zip(0..).collect() };
        let (views, table) = (keys(views), keys(table));
        let sizes = views.iter().map(|key| (*key, READERS));
        let sizes = sizes.chain(table.iter().map(|key| (*key, WRITERS)));
        let pools = sizes.map(|(key, size)| {
            let pool = SharedPool::builder(worker(key.0))
                .name(format!("{}, shard {}", key.0, key.1))
                .max_size(size)
                .max_waiters(QUEUE)
                .acquire_timeout(Duration::from_secs(1))
                .backoff(Backoff::new(
                    Duration::from_millis(10),
                    Duration::from_millis(100),
                ))
                .build()?;
            Ok((key, pool))
        });
        Ok(Self {
            pools: pools.collect::<Result<_, SettingsError>>()?,
            views,
            table,
        })
    }

    async fn ask(&self, key: Key, request: Request) -> Result<Reply, StoreError> {
        let connection = self.pools[&key].get().await?;
        match connection.call(request).await? {
            Reply::Unknown(what) => Err(StoreError::Unknown(what)),
            reply => Ok(reply),
        }
    }

    /// The rows under one key, from its shard.
    pub async fn lookup(&self, view: &str, key: u64) -> Result<Vec<String>, StoreError> {
        let view = view.to_owned();
        let shard = self.views[shard(key, self.views.len())];
        match self.ask(shard, Request::Lookup { view, key }).await? {
            Reply::Rows(rows) => Ok(rows),
            other => Err(StoreError::Unexpected(other)),
        }
    }

    /// The rows under many keys, from all their shards at once. The first error wins.
    pub async fn lookup_all(&self, view: &str, keys: &[u64]) -> Result<Vec<String>, StoreError> {
        let rows = try_join_all(keys.iter().map(|&key| self.lookup(view, key))).await?;
        Ok(rows.concat())
    }

    pub async fn insert(&self, table: &str, key: u64, value: &str) -> Result<(), StoreError> {
        let request = Request::Insert {
            table: table.to_owned(),
            key,
            value: value.to_owned(),
        };
        let shard = self.table[shard(key, self.table.len())];
        match self.ask(shard, request).await? {
            Reply::Written => Ok(()),
            other => Err(StoreError::Unexpected(other)),
        }
    }

    /// How many connections are open, for reading and for writing.
    pub fn connections(&self) -> (usize, usize) {
        let open = |keys: &[Key]| keys.iter().map(|key| self.pools[key].status().size).sum();
        (open(&self.views), open(&self.table))
    }
}

fn shard(key: u64, shards: usize) -> usize {
    (key % shards as u64) as usize
}
