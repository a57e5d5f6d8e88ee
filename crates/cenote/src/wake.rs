//! How waiters are woken, and told. A waker is user code: it may panic when it is woken, cloned or dropped, and call
//! back into the pool from there.
//!
//! Promises: a waker's panic reaches neither the code that wakes it nor the next to be woken, so that a lease may be
//! dropped anywhere. Every module that keeps wakers sees to it that none is woken, cloned or dropped under a lock, but
//! for those of the library's own tasks, which are tokio's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use pin_project_lite::pin_project;

use crate::rt::calling;
use crate::sync;

/// Wakes one; its panic is its own affair.
pub(crate) fn wake(waker: Waker) {
    let _ = calling(|| waker.wake());
}

/// Wakes each of them, whatever the others do.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(wake);
}

/// Drops a waker that is not needed any more: its whole task may go with it.
pub(crate) fn release(waker: Option<Waker>) {
    if let Some(waker) = waker {
        let _ = calling(|| drop(waker));
    }
}

/// Tokio's notification. A waker that panics there would keep all others from being woken, and its panic would reach
/// the code that notifies; so no user's waker gets into it.
pub(crate) struct Notify(sync::Notify);

impl Notify {
    pub(crate) fn new() -> Self {
        Self(sync::Notify::new())
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified {
            notified: self.0.notified(),
        }
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_waiters(&self) {
        self.0.notify_waiters();
    }
}

pin_project! {
    /// Waits to be notified.
    pub(crate) struct Notified<'a> {
        #[pin]
        notified: tokio::sync::futures::Notified<'a>,
    }
}

impl Notified<'_> {
    /// Counts as waiting from now on, polled or not.
    pub(crate) fn enable(self: Pin<&mut Self>) {
        self.project().notified.enable();
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut notified = self.project().notified;
        // What has come already needs no waker.
        if notified.as_mut().enable() {
            return Poll::Ready(());
        }
        let guarded = guarding(cx.waker());
        notified.poll(&mut Context::from_waker(&guarded))
    }
}

/// As [`Notify`], for futures that are to be named and kept without a tie to what they wait for. In no model: shuttle
/// cannot look into it.
pub(crate) struct OwnedNotify(Arc<tokio::sync::Notify>);

impl OwnedNotify {
    pub(crate) fn new() -> Self {
        Self(Arc::new(tokio::sync::Notify::new()))
    }

    /// Counts as waiting from now on, polled or not. Allocates.
    pub(crate) fn notified(&self) -> OwnedNotified {
        OwnedNotified {
            notified: Box::pin(Arc::clone(&self.0).notified_owned()),
        }
    }

    pub(crate) fn notify_waiters(&self) {
        self.0.notify_waiters();
    }
}

/// Waits to be notified.
pub(crate) struct OwnedNotified {
    notified: Pin<Box<tokio::sync::futures::OwnedNotified>>,
}

impl Future for OwnedNotified {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // What has come already needs no waker.
        if self.notified.as_mut().enable() {
            return Poll::Ready(());
        }
        let guarded = guarding(cx.waker());
        (self.notified.as_mut()).poll(&mut Context::from_waker(&guarded))
    }
}

/// A waker that wakes `waker` and keeps its panics to itself.
pub(crate) fn guarding(waker: &Waker) -> Waker {
    Waker::from(Arc::new(Guarded(Some(waker.clone()))))
}

/// A waker of which nothing but the wake-up is the user's, and that is caught.
struct Guarded(Option<Waker>);

impl Wake for Guarded {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(waker) = &self.0 {
            let _ = calling(|| waker.wake_by_ref());
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        release(self.0.take());
    }
}
