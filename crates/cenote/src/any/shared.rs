//! A shared pool behind [`DynPool`](super::DynPool), and one per key behind [`DynKeyed`](super::DynKeyed).

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::Location;

use super::erased::{BoxFuture, DynLease, ErasedLease, ErasedPool};
use super::keyed::ErasedKeyed;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::keyed::{Keyed, KeyedStatus};
use crate::report::{Snapshot, Status};
use crate::shared::{SharedLease, SharedPool};

/// A lease dereferences to a clone of the connection, which its holder has alone: so the connection must be a handle, as
/// a [`Mux`](crate::mux::Mux) is, or in an `Arc`.
impl<C: Multiplex<Connection: Clone>> ErasedPool<C::Connection> for SharedPool<C> {
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        let get = self.get_at(Location::caller());
        Box::pin(async move { Ok(DynLease::of(CloneLease::of(get.await?))) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = SharedPool::close(self);
        Box::pin(async move {
            close.await;
        })
    }

    looks!();
}

/// Leases as those of one [`SharedPool`].
impl<Q, K, C> ErasedKeyed<Q, C::Connection> for Keyed<K, SharedPool<C>>
where
    Q: Hash + Eq + ToOwned<Owned = K> + Sync + ?Sized + 'static,
    K: Borrow<Q> + fmt::Debug + Send + Sync + 'static,
    C: Multiplex<Connection: Clone>,
{
    #[track_caller]
    fn get<'a>(&'a self, key: &'a Q) -> BoxFuture<'a, Result<DynLease<C::Connection>, GetError>> {
        let get = Keyed::get(self, key);
        Box::pin(async move { Ok(DynLease::of(CloneLease::of(get.await?))) })
    }

    by_key!();
}

/// A shared lease, and a clone of its connection to be changed. In this order: the clone goes first.
struct CloneLease<C: Multiplex> {
    conn: C::Connection,
    lease: SharedLease<C>,
}

impl<C: Multiplex<Connection: Clone>> CloneLease<C> {
    fn of(lease: SharedLease<C>) -> Self {
        let conn = (*lease).clone();
        Self { conn, lease }
    }
}

impl<C: Multiplex> ErasedLease<C::Connection> for CloneLease<C> {
    fn conn(&self) -> &C::Connection {
        &self.conn
    }

    fn conn_mut(&mut self) -> &mut C::Connection {
        &mut self.conn
    }

    fn discard(self: Box<Self>) {
        let Self { conn, lease } = *self;
        drop(conn);
        SharedLease::discard(lease);
    }

    fn retire(&self) {
        SharedLease::retire(&self.lease);
    }

    /// Of shared leases the pool knows only how many they are.
    fn set_label(&self, _: &'static str) {}
}
