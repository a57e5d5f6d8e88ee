//! The client: a page of code, for the parts are there.
//!
//! A pool for each shard, of views and of the table: large for reads, small for writes, and over whatever addresses the
//! shard is at; the views of one shard share it. So connections are kept by address and shard, as in Noria. A request for
//! several shards goes to all of them at once; the first error wins, and the rest is cancelled.

use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Balance, Endpoint, IntoDiscovery};
use cenote::error::SettingsError;
use cenote::mux::{CallError, MuxBuilder, MuxConnect};
use cenote::net::Host;
use cenote::settings::Backoff;
use cenote::{GetError, SharedPool};
use futures::future::try_join_all;

use super::protocol::{ClientCodec, Reply, Request};

/// Connections to where a shard of the views is read, and to where one of a table is written.
pub const READERS: usize = 16;
pub const WRITERS: usize = 2;
/// Requests that may be pending on a connection, and callers that may wait for a pool: 8,192 and 1,024 a shard of views.
pub const PENDING: usize = 512;
pub const QUEUE: usize = 1_024;

type Worker = MuxConnect<Host, Request, Reply>;

fn worker(address: SocketAddr, patience: Duration) -> Worker {
    let settings = MuxBuilder::new()
        .max_in_flight(PENDING)
        .call_timeout(patience);
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

/// What a shard's pool is called, how many connections it has, and what it is over.
fn pool(
    name: String,
    connections: usize,
    addresses: impl IntoDiscovery<Key = SocketAddr>,
    patience: Duration,
) -> Result<SharedPool<Worker>, SettingsError> {
    let connect = move |at: &Endpoint<SocketAddr>| worker(at.key, patience);
    SharedPool::balanced(addresses, connect)
        .name(name)
        // All of them from the first call on, over all addresses together.
        .min_size(connections)
        .max_size(connections)
        .max_per_endpoint(connections)
        .balance(Balance::PowerOfTwo)
        .max_waiters(QUEUE)
        .acquire_timeout(patience)
        .backoff(Backoff::new(
            Duration::from_millis(10),
            Duration::from_millis(100),
        ))
        .build()
}

pub struct Store {
    views: Vec<SharedPool<Worker>>,
    table: Vec<SharedPool<Worker>>,
}

impl Store {
    /// `views` and `table` tell where their shards are, in order; `patience` is for how long a request waits for a connection,
    /// and then for its reply.
    pub fn new<S: IntoDiscovery<Key = SocketAddr>>(
        views: impl IntoIterator<Item = S>,
        table: impl IntoIterator<Item = S>,
        patience: Duration,
    ) -> Result<Self, SettingsError> {
        let views = (0..).zip(views);
        let table = (0..).zip(table);
        Ok(Self {
            views: views
                .map(|(shard, at)| pool(format!("views, shard {shard}"), READERS, at, patience))
                .collect::<Result<_, _>>()?,
            table: table
                .map(|(shard, at)| pool(format!("table, shard {shard}"), WRITERS, at, patience))
                .collect::<Result<_, _>>()?,
        })
    }

    async fn ask(pool: &SharedPool<Worker>, request: Request) -> Result<Reply, StoreError> {
        let connection = pool.get().await?;
        match connection.call(request).await? {
            Reply::Unknown(what) => Err(StoreError::Unknown(what)),
            reply => Ok(reply),
        }
    }

    /// The rows under one key, from its shard.
    pub async fn lookup(&self, view: &str, key: u64) -> Result<Vec<String>, StoreError> {
        let view = view.to_owned();
        let shard = &self.views[shard(key, self.views.len())];
        match Self::ask(shard, Request::Lookup { view, key }).await? {
            Reply::Rows(rows) => Ok(rows),
            other => Err(StoreError::Unexpected(other)),
        }
    }

    /// The rows under many keys, from all their shards at once. The first error wins; what is under way to the other shards
    /// then is dropped, whose replies reach nobody.
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
        let shard = &self.table[shard(key, self.table.len())];
        match Self::ask(shard, request).await? {
            Reply::Written => Ok(()),
            other => Err(StoreError::Unexpected(other)),
        }
    }

    /// How many requests are under way, or wait for a connection.
    pub fn load(&self) -> usize {
        let pools = self.views.iter().chain(&self.table);
        pools.map(SharedPool::load).sum()
    }

    /// How many connections are open, for reading and for writing.
    pub fn connections(&self) -> (usize, usize) {
        let open = |pools: &[SharedPool<Worker>]| pools.iter().map(|pool| pool.status().size).sum();
        (open(&self.views), open(&self.table))
    }
}

fn shard(key: u64, shards: usize) -> usize {
    (key % shards as u64) as usize
}
