//! The futures that `get` and `get_owned` return.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::checkout::{Checkout, FirstLook, Limit};
use super::lease::{Lease, OwnedLease};
use crate::connect::Connect;
use crate::error::GetError;

/// A [`Pool::get`](crate::Pool::get) under way.
///
/// Dropping it leaves the queue and loses nothing: a connection granted in that instant goes to the
/// next in line, a dial goes on, and a check ends before its connection is handed on.
#[must_use = "a get does nothing until it is awaited"]
pub struct Get<'a, C: Connect> {
    checkout: Checkout<'a, C>,
}

/// A [`Pool::get_owned`](crate::Pool::get_owned) under way; dropping it is as dropping [`Get`].
#[must_use = "a get does nothing until it is awaited"]
pub struct GetOwned<'a, C: Connect> {
    checkout: Checkout<'a, C>,
}

impl<'a, C: Connect> Get<'a, C> {
    #[inline]
    pub(crate) fn new(checkout: Checkout<'a, C>) -> Self {
        Self { checkout }
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.checkout.limit(Limit::Own(limit));
        self
    }

    /// Waits without end: the caller watches the time.
    pub(crate) fn untimed(mut self) -> Self {
        self.checkout.limit(Limit::None);
        self
    }
}

impl<'a, C: Connect> GetOwned<'a, C> {
    #[inline]
    pub(crate) fn new(checkout: Checkout<'a, C>) -> Self {
        Self { checkout }
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.checkout.limit(Limit::Own(limit));
        self
    }
}

// The two polls are spelt out, return early and are inlined: a lease that passes through memory on its way
// costs the fast way a third.

impl<'a, C: Connect> Future for Get<'a, C> {
    type Output = Result<Lease<'a, C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let checkout = &mut self.get_mut().checkout;
        let core = checkout.core();
        let stale = match checkout.first_look() {
            FirstLook::Leased(held) => return Poll::Ready(Ok(Lease::new(held, core))),
            FirstLook::Stale(held) => Some(held),
            FirstLook::Nothing => None,
        };
        checkout
            .poll_slowly(stale, cx)
            .map(|held| held.map(|held| Lease::new(held, core)))
    }
}

impl<C: Connect> Future for GetOwned<'_, C> {
    type Output = Result<OwnedLease<C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let checkout = &mut self.get_mut().checkout;
        let stale = match checkout.first_look() {
            FirstLook::Leased(held) => return Poll::Ready(Ok(OwnedLease::new(held))),
            FirstLook::Stale(held) => Some(held),
            FirstLook::Nothing => None,
        };
        checkout
            .poll_slowly(stale, cx)
            .map(|held| held.map(OwnedLease::new))
    }
}
