//! The one shape for every pool of a kind of connection: ours, none, or the user's own.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::sync::Arc;

use crate::error::GetError;
use crate::report::{Snapshot, Status};

/// A boxed future, as object-safe methods return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What every pool of `T`s can do, whatever connects them. Object safe.
///
/// Implemented by [`Pool`](crate::Pool), by [`blocking::Pool`](crate::blocking::Pool), whose gets are awaited as well,
/// by [`SharedPool`](crate::SharedPool) where its connections are handles that can be cloned, and by
/// [`Unpooled`](crate::any::Unpooled). Implement it for a pool of your own, and everything that takes a [`DynPool`] takes yours.
///
/// ```
/// use cenote::GetError;
/// use cenote::any::{BoxFuture, DynLease, DynPool, ErasedPool};
///
/// /// Hands out numbers.
/// struct Counting(std::sync::atomic::AtomicU64);
///
/// impl ErasedPool<u64> for Counting {
///     fn get(&self) -> BoxFuture<'_, Result<DynLease<u64>, GetError>> {
///         let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
///         Box::pin(async move { Ok(DynLease::new(Box::new(number))) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), GetError> {
/// let pool = DynPool::new(Counting(7.into()));
/// assert_eq!(*pool.get().await?, 7);
/// # Ok(())
/// # }
/// ```
pub trait ErasedPool<T>: Send + Sync + 'static {
    /// Leases a connection; see [`Pool::get`](crate::Pool::get). Of a pool over a set, one of any endpoint.
    ///
    /// # Errors
    /// As [`Pool::get`](crate::Pool::get).
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<T>, GetError>>;

    /// The pool as it is now, if it can tell. Default: it can't.
    fn status(&self) -> Option<Status> {
        None
    }

    /// The pool from all sides, if it can tell; see [`Pool::inspect`](crate::Pool::inspect). Default: it can't.
    fn inspect(&self) -> Option<Snapshot> {
        None
    }

    /// Closes the pool and waits for its connections, as [`Pool::close`](crate::Pool::close). Default: nothing to close.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A lease from any pool. Dropping it gives the connection back.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct DynLease<T>(Box<dyn ErasedLease<T>>);

/// A lease without its pool's type.
pub(super) trait ErasedLease<T>: Send {
    fn conn(&self) -> &T;
    fn conn_mut(&mut self) -> &mut T;
    fn discard(self: Box<Self>);
    fn retire(&self);
    fn set_label(&self, label: &'static str);
}

/// A lease of a pool that knows neither discarding nor retiring nor labels.
struct Plain<L>(L);

impl<T, L: DerefMut<Target = T> + Send> ErasedLease<T> for Plain<L> {
    fn conn(&self) -> &T {
        &self.0
    }

    fn conn_mut(&mut self) -> &mut T {
        &mut self.0
    }

    fn discard(self: Box<Self>) {}

    fn retire(&self) {}

    fn set_label(&self, _: &'static str) {}
}

impl<T> DynLease<T> {
    pub(super) fn of(lease: impl ErasedLease<T> + 'static) -> Self {
        Self(Box::new(lease))
    }

    /// A lease of a pool of your own. Dropping `lease` must give the connection back;
    /// [`discard`](Self::discard) can do no more than drop it.
    pub fn new(lease: impl DerefMut<Target = T> + Send + 'static) -> Self {
        Self(Box::new(Plain(lease)))
    }

    /// As [`Lease::discard`](crate::Lease::discard), if the pool knows how; else drops the lease.
    pub fn discard(lease: Self) {
        lease.0.discard();
    }

    /// As [`Lease::retire`](crate::Lease::retire), if the pool knows how; else does nothing.
    pub fn retire(lease: &Self) {
        lease.0.retire();
    }

    /// As [`Lease::set_label`](crate::Lease::set_label), if the pool knows how; else does nothing.
    pub fn set_label(lease: &Self, label: &'static str) {
        lease.0.set_label(label);
    }
}

impl<T> Deref for DynLease<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.conn()
    }
}

impl<T> DerefMut for DynLease<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.conn_mut()
    }
}

impl<T> fmt::Debug for DynLease<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DynLease")
    }
}

/// A pool of `T`s of whatever kind, to be stored and shared. Cheap to clone.
///
/// ```
/// # use cenote::{Connect, GetError, Multiplex, Pool, SharedPool};
/// # use cenote::any::{DynPool, Unpooled};
/// # use cenote::error::SettingsError;
/// /// As the configuration says.
/// fn pool<C>(connector: C, kind: &str) -> DynPool<C::Connection>
/// where
///     C: Multiplex<Connection: Clone>, // `Connect` is enough without the second kind
/// {
///     match kind {
///         "exclusive" => DynPool::new(Pool::new(connector)),
///         "shared" => DynPool::new(SharedPool::new(connector)),
///         _ => DynPool::new(Unpooled::new(connector)),
///     }
/// }
/// ```
pub struct DynPool<T>(Arc<dyn ErasedPool<T>>);

impl<T: 'static> DynPool<T> {
    /// Wraps a pool.
    pub fn new(pool: impl ErasedPool<T>) -> Self {
        Self(Arc::new(pool))
    }

    /// Leases a connection; see [`Pool::get`](crate::Pool::get). Of a pool over a set, one of any endpoint.
    ///
    /// # Errors
    /// As [`Pool::get`](crate::Pool::get).
    #[track_caller]
    pub fn get(&self) -> BoxFuture<'_, Result<DynLease<T>, GetError>> {
        self.0.get()
    }

    /// The pool as it is now, if it can tell.
    pub fn status(&self) -> Option<Status> {
        self.0.status()
    }

    /// The pool from all sides, if it can tell; see [`Pool::inspect`](crate::Pool::inspect).
    pub fn inspect(&self) -> Option<Snapshot> {
        self.0.inspect()
    }

    /// Closes the pool and waits for its connections.
    pub fn close(&self) -> impl Future<Output = ()> + Send + '_ {
        self.0.close()
    }
}

impl<T> Clone for DynPool<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: 'static> fmt::Debug for DynPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DynPool").field(&self.0.status()).finish()
    }
}
