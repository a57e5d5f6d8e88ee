//! The one shape for pools by key, of a kind of connection: ours, none, or the user's own.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::erased::{BoxFuture, DynLease};
use crate::error::GetError;
use crate::keyed::KeyedStatus;

/// What all pools of `T`s by key can do, whatever connects them. Object safe.
///
/// Implemented by [`Keyed`](crate::Keyed), of exclusive pools, and of shared ones where their connections are handles that
/// can be cloned; and by [`UnpooledKeyed`](crate::any::UnpooledKeyed). `K` is the key or what that borrows as, so that a
/// `Keyed<String, _>` may be asked by `str`. Implement it for pools of your own, and everything that takes a [`DynKeyed`]
/// takes yours.
///
/// ```
/// use std::collections::HashMap;
/// use std::io;
/// use std::sync::Arc;
///
/// use cenote::GetError;
/// use cenote::any::{BoxFuture, DynKeyed, DynLease, DynPool, ErasedKeyed};
///
/// /// Shards that are known from the start, each with a pool of its own.
/// struct Shards<T>(HashMap<u32, DynPool<T>>);
///
/// impl<T: 'static> ErasedKeyed<u32, T> for Shards<T> {
///     fn get<'a>(&'a self, shard: &'a u32) -> BoxFuture<'a, Result<DynLease<T>, GetError>> {
///         match self.0.get(shard) {
///             Some(pool) => pool.get(),
///             None => {
///                 let unknown = io::Error::other(format!("there is no shard {shard}"));
///                 let error = GetError::setup("shards", Arc::new(unknown));
///                 Box::pin(async { Err(error) })
///             }
///         }
///     }
///
///     fn close(&self) -> BoxFuture<'_, ()> {
///         Box::pin(async {
///             for pool in self.0.values() {
///                 pool.close().await;
///             }
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let shards: DynKeyed<u32, String> = DynKeyed::new(Shards(HashMap::new()));
/// let error = shards.get(&7).await.map(drop).unwrap_err();
/// assert!(error.to_string().contains("there is no shard 7"));
/// # }
/// ```
pub trait ErasedKeyed<K: ?Sized, T>: Send + Sync + 'static {
    /// Leases a connection of the key's pool; see [`Keyed::get`](crate::Keyed::get).
    ///
    /// # Errors
    /// As [`Keyed::get`](crate::Keyed::get).
    #[track_caller]
    fn get<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<DynLease<T>, GetError>>;

    /// All pools as they are now, if they can tell. Default: they can't.
    fn status(&self) -> Option<KeyedStatus> {
        None
    }

    /// Closes all pools and waits for their connections, as [`Keyed::close`](crate::Keyed::close). Default: nothing to
    /// close.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Pools of `T`s by key, of whatever kind, to be stored and shared. Cheap to clone.
///
/// ```
/// # use cenote::{Connect, Keyed, Multiplex, Pool, SharedPool};
/// # use cenote::any::{DynKeyed, UnpooledKeyed};
/// # use cenote::error::SettingsError;
/// /// As the configuration says.
/// fn tenants<C>(
///     connector: impl Fn(&str) -> C + Send + Sync + 'static,
///     kind: &str,
/// ) -> Result<DynKeyed<str, C::Connection>, SettingsError>
/// where
///     C: Multiplex<Connection: Clone>, // `Connect` is enough without the second kind
/// {
///     Ok(match kind {
///         "exclusive" => {
///             let pool = move |tenant: &String| Pool::builder(connector(tenant)).max_size(5);
///             DynKeyed::new(Keyed::builder(pool).max_total(80).build()?)
///         }
///         "shared" => {
///             let pool = move |tenant: &String| SharedPool::builder(connector(tenant)).max_size(2);
///             DynKeyed::new(Keyed::builder(pool).max_total(80).build()?)
///         }
///         _ => DynKeyed::new(UnpooledKeyed::new(connector)),
///     })
/// }
/// ```
pub struct DynKeyed<K: ?Sized, T>(Arc<dyn ErasedKeyed<K, T>>);

impl<K: ?Sized + 'static, T: 'static> DynKeyed<K, T> {
    /// Wraps pools by key.
    pub fn new(pools: impl ErasedKeyed<K, T>) -> Self {
        Self(Arc::new(pools))
    }

    /// Leases a connection of the key's pool; see [`Keyed::get`](crate::Keyed::get).
    ///
    /// # Errors
    /// As [`Keyed::get`](crate::Keyed::get).
    #[track_caller]
    pub fn get<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<DynLease<T>, GetError>> {
        self.0.get(key)
    }

    /// All pools as they are now, if they can tell.
    pub fn status(&self) -> Option<KeyedStatus> {
        self.0.status()
    }

    /// Closes all pools and waits for their connections.
    pub fn close(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.close()
    }
}

impl<K: ?Sized, T> Clone for DynKeyed<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: ?Sized + 'static, T: 'static> fmt::Debug for DynKeyed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynKeyed").field(&self.0.status()).finish()
    }
}
