//! A pool per key: keys that come and go, bounds on all of them, and that none has another's connection.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Bounds on the connections of all keys together.
mod bounds;
/// The end of one key's pool, or of all.
mod ending;
/// When a key is forgotten, and when not.
mod forgetting;
/// That a lease is of the key that was asked for.
mod identity;
/// What is wrong with a key's settings, and user code that panics.
mod making;
#[path = "../server/mod.rs"]
mod server;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use cenote::keyed::KeyedBuilder;
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::{Connect, ConnectionInfo, Dial, Keyed, Pool, Verdict};
use server::{Conn, Refused, Server};

/// A server for each key, made when first asked for.
pub struct Servers<K>(Arc<Mutex<HashMap<K, Server>>>);

impl<K> Clone for Servers<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Opens connections of one key.
pub struct Opener<K> {
    pub key: K,
    server: Server,
}

/// A connection that knows for which key it was opened.
pub struct Opened<K> {
    pub key: K,
    pub conn: Conn,
}

impl<K: Clone + Eq + Hash + std::fmt::Debug + Send + Sync + 'static> Servers<K> {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    pub fn at(&self, key: &K) -> Server {
        let mut servers = self.0.lock().unwrap();
        servers.entry(key.clone()).or_default().clone()
    }

    /// Connections and dials of all keys now.
    pub fn open(&self) -> usize {
        self.0.lock().unwrap().values().map(Server::open).sum()
    }

    pub fn opener(&self, key: &K) -> Opener<K> {
        Opener {
            key: key.clone(),
            server: self.at(key),
        }
    }

    /// Pools with settings as `set` says.
    pub fn keyed(
        &self,
        set: impl Fn(PoolBuilder<Opener<K>>) -> PoolBuilder<Opener<K>> + Send + Sync + 'static,
    ) -> KeyedBuilder<K, Pool<Opener<K>>> {
        let servers = self.clone();
        Keyed::builder(move |key: &K| set(Pool::builder(servers.opener(key)))).name("tenants")
    }
}

impl<K: Clone + Send + Sync + 'static> Connect for Opener<K> {
    type Connection = Opened<K>;
    type Error = Refused;

    async fn connect(&self, dial: &Dial) -> Result<Opened<K>, Refused> {
        let conn = self.server.connect(dial).await?;
        let key = self.key.clone();
        Ok(Opened { key, conn })
    }

    fn is_open(&self, opened: &Opened<K>) -> bool {
        self.server.is_open(&opened.conn)
    }

    fn verdict(&self, opened: &mut Opened<K>) -> Verdict {
        self.server.verdict(&mut opened.conn)
    }

    async fn check(&self, opened: &mut Opened<K>, info: &ConnectionInfo) -> Result<(), Refused> {
        self.server.check(&mut opened.conn, info).await
    }

    fn leaving(&self, opened: &mut Opened<K>, info: &ConnectionInfo, reason: CloseReason) {
        self.server.leaving(&mut opened.conn, info, reason);
    }
}
