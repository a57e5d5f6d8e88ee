//! One shape for every pool of a kind of connection: ours, none, or the user's own.

use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

use crate::connect::Connect;
use crate::error::GetError;
use crate::pool::{OwnedLease, Pool};
use crate::report::Status;

/// A boxed future, as object-safe methods return them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What every pool of `T`s can do, whatever connects them. Object safe.
///
/// Implemented by [`Pool`], by [`Unpooled`](crate::Unpooled) and by [`DynPool`]; implement it for a pool of
/// your own and everything that takes a [`DynPool`] takes yours.
///
/// ```
/// use cenote::{ErasedPool, BoxFuture, DynLease, DynPool, GetError};
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
    /// Leases a connection; see [`Pool::get`].
    ///
    /// # Errors
    /// As [`Pool::get`].
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<T>, GetError>>;

    /// The pool as it is now, if it can tell. Default: it can't.
    fn status(&self) -> Option<Status> {
        None
    }

    /// Closes the pool and waits for its connections, as [`Pool::close`]. Default: nothing to close.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A lease from any pool. Dropping it gives the connection back.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct DynLease<T>(Box<dyn ErasedLease<T>>);

/// A lease without its pool's type.
trait ErasedLease<T>: Send {
    fn conn(&self) -> &T;
    fn conn_mut(&mut self) -> &mut T;
    fn discard(self: Box<Self>);
    fn retire(&self);
}

impl<C: Connect> ErasedLease<C::Connection> for OwnedLease<C> {
    fn conn(&self) -> &C::Connection {
        self
    }

    fn conn_mut(&mut self) -> &mut C::Connection {
        self
    }

    fn discard(self: Box<Self>) {
        OwnedLease::discard(*self);
    }

    fn retire(&self) {
        OwnedLease::retire(self);
    }
}

/// A lease of a pool that knows neither discarding nor retiring.
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
}

impl<T> DynLease<T> {
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
pub struct DynPool<T>(Arc<dyn ErasedPool<T>>);

impl<T: 'static> DynPool<T> {
    /// Wraps a pool.
    pub fn new(pool: impl ErasedPool<T>) -> Self {
        Self(Arc::new(pool))
    }

    /// Leases a connection; see [`Pool::get`].
    ///
    /// # Errors
    /// As [`Pool::get`].
    #[track_caller]
    pub fn get(&self) -> BoxFuture<'_, Result<DynLease<T>, GetError>> {
        self.0.get()
    }

    /// The pool as it is now, if it can tell.
    pub fn status(&self) -> Option<Status> {
        self.0.status()
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

impl<C: Connect> ErasedPool<C::Connection> for Pool<C> {
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        let get = self.get_owned_at(Location::caller());
        Box::pin(async move { Ok(DynLease(Box::new(get.await?))) })
    }

    fn status(&self) -> Option<Status> {
        Some(Pool::status(self))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = Pool::close(self);
        Box::pin(async move {
            close.await;
        })
    }
}
