//! A pool per key: keys that come and go, bounds on all of them, and that none has another's connection.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Bounds on the connections of all keys together.
mod bounds;
/// Gets that are dropped, after every number of polls.
mod cancelling;
/// The end of one key's pool, or of all.
mod ending;
/// When a key is forgotten, and when not.
mod forgetting;
/// That a lease is of the key that was asked for.
mod identity;
/// What is wrong with a key's settings, and user code that panics.
mod making;
/// Random scripts against a naive reference.
mod play;
#[path = "../proof/scripts.rs"]
mod scripts;
#[path = "../server/mod.rs"]
mod server;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::keyed::KeyedBuilder;
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::{Connect, ConnectionInfo, Dial, Keyed, Pool, Verdict};
use server::{Conn, Refused, Server};

/// A server for each key, made when first asked for.
pub struct Servers<K> {
    by_key: Arc<Mutex<HashMap<K, Server>>>,
    all: Arc<All>,
}

/// Connections and dials of all keys now, and the most there ever were.
#[derive(Default)]
struct All {
    open: AtomicUsize,
    most: AtomicUsize,
}

/// Counts as one of all from the dial to the drop.
struct OneOfAll(Arc<All>);

impl OneOfAll {
    fn begin(all: &Arc<All>) -> Self {
        let now = all.open.fetch_add(1, SeqCst) + 1;
        all.most.fetch_max(now, SeqCst);
        Self(Arc::clone(all))
    }
}

impl Drop for OneOfAll {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

impl<K> Clone for Servers<K> {
    fn clone(&self) -> Self {
        Self {
            by_key: Arc::clone(&self.by_key),
            all: Arc::clone(&self.all),
        }
    }
}

/// Opens connections of one key.
pub struct Opener<K> {
    pub key: K,
    server: Server,
    all: Arc<All>,
}

/// A connection that knows for which key it was opened.
pub struct Opened<K> {
    pub key: K,
    pub conn: Conn,
    _one_of_all: OneOfAll,
}

impl<K: Clone + Eq + Hash + std::fmt::Debug + Send + Sync + 'static> Servers<K> {
    pub(crate) fn new() -> Self {
        Self {
            by_key: Arc::default(),
            all: Arc::default(),
        }
    }

    pub fn at(&self, key: &K) -> Server {
        let mut servers = self.by_key.lock().unwrap();
        servers.entry(key.clone()).or_default().clone()
    }

    /// Connections and dials of all keys now.
    pub fn open(&self) -> usize {
        self.all.open.load(SeqCst)
    }

    /// The most there ever were at once.
    pub fn most(&self) -> usize {
        self.all.most.load(SeqCst)
    }

    pub fn opener(&self, key: &K) -> Opener<K> {
        Opener {
            key: key.clone(),
            server: self.at(key),
            all: Arc::clone(&self.all),
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
        let one_of_all = OneOfAll::begin(&self.all);
        let conn = self.server.connect(dial).await?;
        Ok(Opened {
            key: self.key.clone(),
            conn,
            _one_of_all: one_of_all,
        })
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

    async fn reset(&self, opened: &mut Opened<K>, info: &ConnectionInfo) -> Result<(), Refused> {
        self.server.reset(&mut opened.conn, info).await
    }

    async fn close(&self, opened: Opened<K>, info: &ConnectionInfo) {
        let Opened {
            conn, _one_of_all, ..
        } = opened;
        self.server.close(conn, info).await;
    }

    fn leaving(&self, opened: &mut Opened<K>, info: &ConnectionInfo, reason: CloseReason) {
        self.server.leaving(&mut opened.conn, info, reason);
    }
}
