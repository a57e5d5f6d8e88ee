//! The end of all pools: told at once, waited for as long as the caller likes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::lifecycle::close::{Close, CloseReport};

/// A [`Keyed::close`](crate::Keyed::close) under way. All pools are closed already; awaiting this waits until their
/// connections are. Dropping it only stops the waiting.
#[must_use = "the pools are closed at once, but only awaiting this waits for their connections to end"]
pub struct KeyedClose {
    under_way: Vec<Close>,
    report: CloseReport,
}

impl KeyedClose {
    pub(super) fn new(closes: Vec<Close>) -> Self {
        Self {
            under_way: closes,
            report: CloseReport { abandoned: 0 },
        }
    }

    /// Waits this long at most for leases to come back. Default: 30 s.
    pub fn timeout(mut self, limit: Duration) -> Self {
        let closes = self.under_way.into_iter();
        self.under_way = closes.map(|close| close.timeout(limit)).collect();
        self
    }
}

impl Future for KeyedClose {
    type Output = CloseReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReport> {
        let Self { under_way, report } = &mut *self;
        under_way.retain_mut(|close| match Pin::new(close).poll(cx) {
            Poll::Ready(CloseReport { abandoned }) => {
                report.abandoned += abandoned;
                false
            }
            Poll::Pending => true,
        });
        match under_way.is_empty() {
            true => Poll::Ready(*report),
            false => Poll::Pending,
        }
    }
}

impl fmt::Debug for KeyedClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedClose")
            .field("pools", &self.under_way.len())
            .finish_non_exhaustive()
    }
}
