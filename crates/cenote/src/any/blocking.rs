//! A blocking pool behind [`DynPool`](super::DynPool).

use std::panic::Location;

use super::erased::{BoxFuture, DynLease, ErasedLease, ErasedPool};
use crate::blocking;
use crate::error::GetError;
use crate::report::{Snapshot, Status};

lease!(blocking::Connect, blocking::OwnedLease<C>);

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
