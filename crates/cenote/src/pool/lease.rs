//! Leases: the right to use a connection until they are dropped.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::Relaxed;

use super::Pool;
use super::ending;
use super::give_back::give_back;
use super::shared::PoolHeld;
use crate::connect::Connect;
use crate::event::{CloseReason, ConnectionInfo};

/// The right to use a connection, alone, until it is dropped; it then goes back to its pool.
///
/// It dereferences to the connection. What can be done with the lease itself are associated functions, so
/// that they never shadow the connection's methods: `Lease::discard(lease)`.
///
/// Dropping it never blocks and never panics, on any thread, with or without a runtime. Dropped while its
/// holder panics, it takes the connection with it, which may be in any state. Forgotten
/// ([`std::mem::forget`]), it costs its pool one place for good, and
/// [`leak_threshold`](crate::Builder::leak_threshold) reports it.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct Lease<'a, C: Connect> {
    lease: OwnedLease<C>,
    _pool: PhantomData<&'a Pool<C>>,
}

/// As [`Lease`], without a tie to the handle it was taken from: for tasks and structs of their own.
///
/// It holds no counted reference and costs what a [`Lease`] costs. It may outlive the last [`Pool`]
/// handle; the pool is then closed, and so is the connection when it comes back.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct OwnedLease<C: Connect> {
    /// `None` only while the lease ends: `drop`, `discard` and `detach` take it.
    held: Option<PoolHeld<C>>,
}

const HELD: &str = "a lease has its connection until it ends";

impl<C: Connect> OwnedLease<C> {
    #[inline(always)]
    pub(crate) fn new(held: PoolHeld<C>) -> Self {
        Self { held: Some(held) }
    }

    #[inline(always)]
    fn held(&self) -> &PoolHeld<C> {
        self.held.as_ref().expect(HELD)
    }

    /// Closes the connection instead of giving it back: it is broken, or in a state nobody else should
    /// see.
    pub fn discard(mut lease: Self) {
        ending::end(lease.held.take().expect(HELD), CloseReason::Discarded, None);
    }

    /// Takes the connection out of the pool for good; its place is free for another.
    pub fn detach(mut lease: Self) -> C::Connection {
        ending::detach(lease.held.take().expect(HELD))
    }

    /// What the pool knows of the connection.
    pub fn info(lease: &Self) -> ConnectionInfo {
        let (core, notes) = (lease.held().core(), lease.held().notes());
        notes.info(core.owner.clock.now(), notes.leased_at.load(Relaxed))
    }
}

impl<'a, C: Connect> Lease<'a, C> {
    #[inline(always)]
    pub(crate) fn new(held: PoolHeld<C>) -> Self {
        Self {
            lease: OwnedLease::new(held),
            _pool: PhantomData,
        }
    }

    /// Closes the connection instead of giving it back: it is broken, or in a state nobody else should
    /// see.
    ///
    /// ```
    /// # use cenote::{Connect, Lease};
    /// # async fn f<C: Connect<Connection = tokio::net::TcpStream>>(pool: cenote::Pool<C>) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut conn = pool.get().await?;
    /// if conn.set_nodelay(true).is_err() {
    ///     Lease::discard(conn);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(lease: Self) {
        OwnedLease::discard(lease.lease);
    }

    /// Takes the connection out of the pool for good; its place is free for another.
    pub fn detach(lease: Self) -> C::Connection {
        OwnedLease::detach(lease.lease)
    }

    /// What the pool knows of the connection.
    pub fn info(lease: &Self) -> ConnectionInfo {
        OwnedLease::info(&lease.lease)
    }

    /// The same lease without its tie to the pool handle.
    pub fn into_owned(lease: Self) -> OwnedLease<C> {
        lease.lease
    }
}

impl<C: Connect> Drop for OwnedLease<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            give_back(held);
        }
    }
}

impl<C: Connect> Deref for OwnedLease<C> {
    type Target = C::Connection;

    #[inline]
    fn deref(&self) -> &C::Connection {
        &self.held().entry().conn
    }
}

impl<C: Connect> DerefMut for OwnedLease<C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.held.as_mut().expect(HELD).entry_mut().conn
    }
}

impl<C: Connect> Deref for Lease<'_, C> {
    type Target = C::Connection;

    #[inline]
    fn deref(&self) -> &C::Connection {
        &self.lease
    }
}

impl<C: Connect> DerefMut for Lease<'_, C> {
    #[inline]
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.lease
    }
}

impl<C: Connect<Connection: fmt::Debug>> fmt::Debug for OwnedLease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedLease").field(&**self).finish()
    }
}

impl<C: Connect<Connection: fmt::Debug>> fmt::Debug for Lease<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lease").field(&**self).finish()
    }
}
