//! The futures that `get` and `get_owned` return.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::acquire::{Acquire, FastPath, Limit};
use super::lease::{Lease, OwnedLease};
use crate::connect::Connect;
use crate::error::GetError;

/// A [`Pool::get`](crate::Pool::get) under way.
///
/// Dropping it leaves the queue and loses nothing: a connection granted in that instant goes to the
/// next in line, a dial goes on, and a check ends before its connection is handed on.
#[must_use = "a get does nothing until it is awaited"]
pub struct Get<'a, C: Connect> {
    acquire: Acquire<'a, C>,
}

/// A [`Pool::get_owned`](crate::Pool::get_owned) under way; dropping it is as dropping [`Get`].
#[must_use = "a get does nothing until it is awaited"]
pub struct GetOwned<'a, C: Connect> {
    acquire: Acquire<'a, C>,
}

impl<'a, C: Connect> Get<'a, C> {
    #[inline]
    pub(crate) fn new(acquire: Acquire<'a, C>) -> Self {
        Self { acquire }
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.acquire.limit(Limit::Own(limit));
        self
    }

    /// Waits without end: the caller watches the time, and says when it is [over](Self::time_out).
    pub(crate) fn untimed(mut self) -> Self {
        self.acquire.limit(Limit::None);
        self
    }

    /// Ends it, for its time is up: most often with the error that says so.
    pub(crate) fn time_out(&mut self) -> Result<Lease<'a, C>, GetError> {
        let core = self.acquire.core();
        self.acquire.time_out().map(|token| Lease::new(token, core))
    }
}

impl<'a, C: Connect> GetOwned<'a, C> {
    #[inline]
    pub(crate) fn new(acquire: Acquire<'a, C>) -> Self {
        Self { acquire }
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.acquire.limit(Limit::Own(limit));
        self
    }
}

// The two polls are spelt out, return early and are inlined: a lease that passes through memory on its way
// costs the fast way a third.

impl<'a, C: Connect> Future for Get<'a, C> {
    type Output = Result<Lease<'a, C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let acquire = &mut self.get_mut().acquire;
        let core = acquire.core();
        let stale = match acquire.fast_path() {
            FastPath::Leased(token) => return Poll::Ready(Ok(Lease::new(token, core))),
            FastPath::Stale(token) => Some(token),
            FastPath::Nothing => None,
        };
        acquire
            .poll_slowly(stale, cx)
            .map(|token| token.map(|token| Lease::new(token, core)))
    }
}

impl<C: Connect> Future for GetOwned<'_, C> {
    type Output = Result<OwnedLease<C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let acquire = &mut self.get_mut().acquire;
        let stale = match acquire.fast_path() {
            FastPath::Leased(token) => return Poll::Ready(Ok(OwnedLease::new(token))),
            FastPath::Stale(token) => Some(token),
            FastPath::Nothing => None,
        };
        acquire
            .poll_slowly(stale, cx)
            .map(|token| token.map(OwnedLease::new))
    }
}

impl<C: Connect> fmt::Debug for Get<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("pool", &self.acquire.core().owner.settings.name)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> fmt::Debug for GetOwned<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOwned")
            .field("pool", &self.acquire.core().owner.settings.name)
            .finish_non_exhaustive()
    }
}
