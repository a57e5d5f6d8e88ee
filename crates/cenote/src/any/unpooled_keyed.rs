//! No pools by key: a connection for each get, to where the key says.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::erased::{BoxFuture, DynLease};
use super::keyed::ErasedKeyed;
use super::unpooled::{NAME, Unpooled, UnpooledLease};
use crate::connect::Connect;
use crate::error::{BoxError, GetError};
use crate::keyed::set_up;
use crate::settings::CONNECT_TIMEOUT;

/// Connects at every [`get`](Self::get), to where the key says, and closes when the lease is dropped. What
/// [`Unpooled`] is to a pool, this is to [`Keyed`](crate::Keyed).
///
/// ```
/// # use cenote::{Connect, Keyed};
/// # use cenote::any::{DynKeyed, UnpooledKeyed};
/// # use cenote::error::SettingsError;
/// # fn shards<C: Connect>(connector: fn(&u32) -> C, pooled: bool) -> Result<DynKeyed<u32, C::Connection>, SettingsError> {
/// # Ok(
/// if pooled {
///     DynKeyed::new(Keyed::builder(connector).max_total(80).build()?)
/// } else {
///     DynKeyed::new(UnpooledKeyed::new(connector))
/// }
/// # ) }
/// ```
pub struct UnpooledKeyed<K: ?Sized, C: Connect> {
    make: Make<K, C>,
    connect_timeout: Duration,
    next_id: Arc<AtomicU64>,
}

/// Makes the connector for a key.
type Make<K, C> = Box<dyn Fn(&K) -> Result<C, BoxError> + Send + Sync>;

/// What says where a key's connections lead: a connector, or a [`Result`] of one, where the key may be at fault. Not to be
/// implemented elsewhere.
pub trait IntoConnector: HasConnector {}

impl<C: Connect> IntoConnector for C {}

impl<C: Connect, E: Into<BoxError>> IntoConnector for Result<C, E> {}

/// What a connector can be had from.
pub trait HasConnector {
    /// What is had.
    type Connector: Connect;

    fn connector(self) -> Result<Self::Connector, BoxError>;
}

impl<C: Connect> HasConnector for C {
    type Connector = C;

    fn connector(self) -> Result<C, BoxError> {
        Ok(self)
    }
}

impl<C: Connect, E: Into<BoxError>> HasConnector for Result<C, E> {
    type Connector = C;

    fn connector(self) -> Result<C, BoxError> {
        self.map_err(Into::into)
    }
}

impl<K: ?Sized, C: Connect> UnpooledKeyed<K, C> {
    /// Connects with the connector that `make` returns for the key, or a [`Result`] of one, within 3 s. It is called at
    /// every get; a panic in it is an [error](GetError::Setup).
    pub fn new<B: IntoConnector<Connector = C>>(
        make: impl Fn(&K) -> B + Send + Sync + 'static,
    ) -> Self {
        Self::with_timeout(make, CONNECT_TIMEOUT)
    }

    /// As [`new`](Self::new), within `connect_timeout`.
    pub fn with_timeout<B: IntoConnector<Connector = C>>(
        make: impl Fn(&K) -> B + Send + Sync + 'static,
        connect_timeout: Duration,
    ) -> Self {
        Self {
            make: Box::new(move |key| make(key).connector()),
            connect_timeout,
            next_id: Arc::new(AtomicU64::new(1)),
        }
    }

    /// Opens a connection. Dropping the future cancels the dial.
    ///
    /// # Errors
    /// [`GetError::Setup`]: there is no connector for the key; [`GetError::Connect`]; [`GetError::NoRuntime`] outside a
    /// tokio runtime.
    pub async fn get(&self, key: &K) -> Result<UnpooledLease<C>, GetError> {
        let connector = set_up(&NAME.into(), || (self.make)(key))?;
        let next_id = Arc::clone(&self.next_id);
        let unpooled = Unpooled::numbering(connector, self.connect_timeout, next_id);
        unpooled.get().await
    }
}

impl<K: Sync + ?Sized + 'static, C: Connect> ErasedKeyed<K, C::Connection> for UnpooledKeyed<K, C> {
    fn get<'a>(&'a self, key: &'a K) -> BoxFuture<'a, Result<DynLease<C::Connection>, GetError>> {
        Box::pin(async move { UnpooledKeyed::get(self, key).await.map(DynLease::new) })
    }
}

impl<K: ?Sized, C: Connect> fmt::Debug for UnpooledKeyed<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnpooledKeyed")
    }
}
