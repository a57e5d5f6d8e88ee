//! What may be under a key: our pools, and what makes them.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::budget::Budget;
use crate::connect::Connect;
#[cfg(feature = "shared")]
use crate::connect::Multiplex;
use crate::error::{BoxError, GetError, SettingsError};
use crate::lifecycle::blueprint::Blueprint;
use crate::lifecycle::close::Close;
use crate::lifecycle::spent::OnSpent;
use crate::pool::{OwnedLease, Pool, PoolBuilder};
use crate::report::{Event, Status};
use crate::rt;
use crate::settings::refuse;
#[cfg(feature = "shared")]
use crate::shared::{SharedLease, SharedPool, SharedPoolBuilder};

/// A pool that may be under a key: [`Pool`] or [`SharedPool`](crate::SharedPool). Not to be implemented elsewhere.
pub trait KeyedPool: Face {}

impl<C: Connect> KeyedPool for Pool<C> {}

#[cfg(feature = "shared")]
impl<C: Multiplex> KeyedPool for SharedPool<C> {}

/// What the pool of a key can be made from: a connector, for an exclusive pool with default settings; a
/// [`PoolBuilder`] or a [`SharedPoolBuilder`](crate::shared::SharedPoolBuilder); or a [`Result`] of one of these, where
/// the key may be at fault. Not to be implemented elsewhere.
pub trait IntoPool: Build {}

impl<C: Connect> IntoPool for C {}

impl<C: Connect> IntoPool for PoolBuilder<C> {}

#[cfg(feature = "shared")]
impl<C: Multiplex> IntoPool for SharedPoolBuilder<C> {}

impl<B: IntoPool, E: Into<BoxError>> IntoPool for Result<B, E> {}

/// What the pool of a key is given by the map that it is in.
#[derive(Debug)]
pub struct Place {
    /// Of all pools; with the key, that of one.
    pub(super) name: Arc<str>,
    pub(super) budget: Option<Budget>,
    pub(super) observers: Arc<[Observer]>,
    pub(super) on_spent: Spent,
}

/// Told of what happens in the pools of all keys.
#[derive(Clone)]
pub struct Observer(Arc<dyn Fn(&Event<'_>) + Send + Sync>);

impl Observer {
    pub(super) fn new(observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observer))
    }
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Observer")
    }
}

/// Told when nothing is left of the pool.
pub(super) struct Spent(pub(super) OnSpent);

impl std::fmt::Debug for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Spent")
    }
}

/// What `make` makes for a key. Its error is the caller's, and so is its panic.
pub(crate) fn set_up<T>(
    pool: &Arc<str>,
    make: impl FnOnce() -> Result<T, BoxError>,
) -> Result<T, GetError> {
    let made =
        rt::calling(make).unwrap_or_else(|panic| Err(format!("it panicked: {panic}").into()));
    made.map_err(|error| GetError::setup(Arc::clone(pool), error.into()))
}

/// A pool that does nothing by itself before it is started.
#[allow(missing_debug_implementations, reason = "cannot be named")]
pub struct Prepared<P> {
    pub(super) pool: P,
    pub(super) start: Box<dyn FnOnce()>,
}

/// What is asked of a pool under a key.
pub trait Face: Send + Sync + 'static {
    /// What a caller is given.
    type Lease: Send + 'static;

    /// A lease, if there is one at once.
    fn take(&self, call_site: &'static Location<'static>) -> Option<Self::Lease>;

    /// A lease, after waiting for `limit` at most, or for `acquire_timeout`.
    fn wait(
        &self,
        call_site: &'static Location<'static>,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Lease, GetError>> + Send;

    fn status(&self) -> Status;

    fn evict(&self);

    fn close(&self) -> Close;

    /// Whether nothing is left of it that a pool made anew would lack.
    fn is_spent(&self) -> bool;
}

/// What a pool can be made from.
pub trait Build {
    /// What it becomes.
    type Pool: KeyedPool;

    fn prepare(self, place: Place) -> Result<Prepared<Self::Pool>, BoxError>;
}

impl<C: Connect> Face for Pool<C> {
    type Lease = OwnedLease<C>;

    #[inline]
    fn take(&self, call_site: &'static Location<'static>) -> Option<OwnedLease<C>> {
        self.take_owned_at(call_site)
    }

    async fn wait(
        &self,
        call_site: &'static Location<'static>,
        limit: Option<Duration>,
    ) -> Result<OwnedLease<C>, GetError> {
        let get = self.get_owned_at(call_site);
        match limit {
            Some(limit) => get.timeout(limit).await,
            None => get.await,
        }
    }

    fn status(&self) -> Status {
        self.status()
    }

    fn evict(&self) {
        self.evict();
    }

    fn close(&self) -> Close {
        self.close()
    }

    fn is_spent(&self) -> bool {
        self.is_spent()
    }
}

#[cfg(feature = "shared")]
impl<C: Multiplex> Face for SharedPool<C> {
    type Lease = SharedLease<C>;

    #[inline]
    fn take(&self, _: &'static Location<'static>) -> Option<SharedLease<C>> {
        self.try_get().ok()
    }

    async fn wait(
        &self,
        call_site: &'static Location<'static>,
        limit: Option<Duration>,
    ) -> Result<SharedLease<C>, GetError> {
        let get = self.get_at(call_site);
        match limit {
            Some(limit) => get.timeout(limit).await,
            None => get.await,
        }
    }

    fn status(&self) -> Status {
        self.status()
    }

    fn evict(&self) {
        self.evict();
    }

    fn close(&self) -> Close {
        self.close()
    }

    fn is_spent(&self) -> bool {
        self.is_spent()
    }
}

impl<C: Connect> Build for C {
    type Pool = Pool<C>;

    fn prepare(self, place: Place) -> Result<Prepared<Pool<C>>, BoxError> {
        Pool::builder(self).prepare(place)
    }
}

impl<C: Connect> Build for PoolBuilder<C> {
    type Pool = Pool<C>;

    fn prepare(mut self, place: Place) -> Result<Prepared<Pool<C>>, BoxError> {
        settle(self.blueprint(), place)?;
        let (pool, start) = self.prepare_pool()?;
        let start = Box::new(start);
        Ok(Prepared { pool, start })
    }
}

#[cfg(feature = "shared")]
impl<C: Multiplex> Build for SharedPoolBuilder<C> {
    type Pool = SharedPool<C>;

    fn prepare(mut self, place: Place) -> Result<Prepared<SharedPool<C>>, BoxError> {
        settle(self.blueprint(), place)?;
        let (pool, start) = self.prepare_pool()?;
        let start = Box::new(start);
        Ok(Prepared { pool, start })
    }
}

impl<B: IntoPool, E: Into<BoxError>> Build for Result<B, E> {
    type Pool = B::Pool;

    fn prepare(self, place: Place) -> Result<Prepared<B::Pool>, BoxError> {
        self.map_err(Into::into)?.prepare(place)
    }
}

/// Gives what is to be a pool its place among the others.
fn settle<C: Connect>(blueprint: &mut Blueprint<C>, place: Place) -> Result<(), SettingsError> {
    let Place {
        name,
        budget,
        observers,
        on_spent: Spent(on_spent),
    } = place;
    if blueprint.budget.is_some() && budget.is_some() {
        let accepted = "one for all keys, on the builder of `Keyed`, or one for each, not both";
        return refuse("budget", "set for one key", accepted);
    }
    blueprint.settings.name = name;
    blueprint.budget = blueprint.budget.take().or(budget);
    for Observer(observer) in observers.iter().cloned() {
        let observer = move |event: &Event<'_>| observer(event);
        blueprint.hooks.add_observer(Box::new(observer));
    }
    blueprint.on_spent = Some(on_spent);
    Ok(())
}
