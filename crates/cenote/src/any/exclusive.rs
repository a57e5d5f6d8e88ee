//! An exclusive pool behind [`DynPool`](super::DynPool).

use std::panic::Location;

use super::erased::{BoxFuture, DynLease, ErasedLease, ErasedPool};
use crate::connect::Connect;
use crate::error::GetError;
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
