//! An exclusive pool behind [`DynPool`](super::DynPool), and one per key behind [`DynKeyed`](super::DynKeyed).

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::Location;

use super::erased::{BoxFuture, DynLease, ErasedLease, ErasedPool};
use super::keyed::ErasedKeyed;
use crate::connect::Connect;
use crate::error::GetError;
use crate::keyed::{Keyed, KeyedStatus};
use crate::pool::{OwnedLease, Pool};
use crate::report::{Snapshot, Status};

lease!(Connect, OwnedLease<C>);

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

impl<Q, K, C> ErasedKeyed<Q, C::Connection> for Keyed<K, Pool<C>>
where
    Q: Hash + Eq + ToOwned<Owned = K> + Sync + ?Sized + 'static,
    K: Borrow<Q> + fmt::Debug + Send + Sync + 'static,
    C: Connect,
{
    #[track_caller]
    fn get<'a>(&'a self, key: &'a Q) -> BoxFuture<'a, Result<DynLease<C::Connection>, GetError>> {
        let get = Keyed::get(self, key);
        Box::pin(async move { Ok(DynLease::of(get.await?)) })
    }

    by_key!();
}
