//! Our own pools behind [`DynPool`](super::DynPool).

use std::panic::Location;

use super::erased::{BoxFuture, DynLease, ErasedLease, ErasedPool};
use crate::blocking;
use crate::connect::{Connect, Multiplex};
use crate::error::GetError;
use crate::pool::{OwnedLease, Pool};
use crate::report::{Snapshot, Status};
use crate::shared::{SharedLease, SharedPool};

/// What all three can do, in their own words.
macro_rules! looks {
    () => {
        fn status(&self) -> Option<Status> {
            Some(Self::status(self))
        }

        fn inspect(&self) -> Option<Snapshot> {
            Some(Self::inspect(self))
        }
    };
}

/// Leases that give their connection to one holder.
macro_rules! lease {
    ($connect:path, $lease:ty) => {
        impl<C: $connect> ErasedLease<C::Connection> for $lease {
            fn conn(&self) -> &C::Connection {
                self
            }

            fn conn_mut(&mut self) -> &mut C::Connection {
                self
            }

            fn discard(self: Box<Self>) {
                Self::discard(*self);
            }

            fn retire(&self) {
                Self::retire(self);
            }

            fn set_label(&self, label: &'static str) {
                Self::set_label(self, label);
            }
        }
    };
}

lease!(Connect, OwnedLease<C>);
lease!(blocking::Connect, blocking::OwnedLease<C>);

impl<C: Connect> ErasedPool<C::Connection> for Pool<C> {
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        let get = self.get_owned_at(Location::caller());
        Box::pin(async move { Ok(DynLease::of(get.await?)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = Pool::close(self);
        Box::pin(async move {
            close.await;
        })
    }

    looks!();
}

/// A lease dereferences to a clone of the connection, which its holder has alone: so the connection must be a handle, as
/// a [`Mux`](crate::mux::Mux) is, or in an `Arc`.
impl<C: Multiplex<Connection: Clone>> ErasedPool<C::Connection> for SharedPool<C> {
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        let get = self.get_at(Location::caller());
        Box::pin(async move {
            let lease = get.await?;
            let conn = (*lease).clone();
            Ok(DynLease::of(CloneLease { conn, lease }))
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = SharedPool::close(self);
        Box::pin(async move {
            close.await;
        })
    }

    looks!();
}

/// A shared lease, and a clone of its connection to be changed. In this order: the clone goes first.
struct CloneLease<C: Multiplex> {
    conn: C::Connection,
    lease: SharedLease<C>,
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

/// A get is awaited; what is done with the connection blocks, as its driver does.
impl<C: blocking::Connect> ErasedPool<C::Connection> for blocking::Pool<C> {
    #[track_caller]
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        let get = self.get_async_at(Location::caller());
        Box::pin(async move { Ok(DynLease::of(get.await?)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let close = self.closing();
        Box::pin(async move {
            close.await;
        })
    }

    looks!();
}
