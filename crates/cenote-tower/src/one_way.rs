//! A one-way pool as a sink.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cenote::one_way::{Send, SendError};
use cenote::{OneWay, OneWayPool};
use futures_sink::Sink;

/// A [`OneWayPool`] as a sink: each item enters the pool's queue by [`OneWayPool::send`], in order. Clones are sinks of
/// their own into the same queue.
///
/// Ready, and flushed, when the item before is in the queue. Closed then too: it lets go of its handle, and the pool ends
/// with the last of those; [`OneWayPool::close`] ends it for all and gives back what was not sent. The error has the item
/// that was not taken.
pub struct OneWaySink<C: OneWay> {
    /// `None` once it is closed.
    pool: Option<OneWayPool<C>>,
    sending: Option<Send<C>>,
}

impl<C: OneWay> OneWaySink<C> {
    /// A sink into `pool`.
    pub fn new(pool: OneWayPool<C>) -> Self {
        Self {
            pool: Some(pool),
            sending: None,
        }
    }

    fn poll_queued(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<C::Message>>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let queued = ready!(Pin::new(sending).poll(cx));
        self.sending = None;
        Poll::Ready(queued)
    }
}

impl<C: OneWay> Clone for OneWaySink<C> {
    /// Without the item that waits to be queued.
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            sending: None,
        }
    }
}

impl<C: OneWay> fmt::Debug for OneWaySink<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneWaySink").field(&self.pool).finish()
    }
}

impl<C: OneWay> Sink<C::Message> for OneWaySink<C> {
    type Error = SendError<C::Message>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_queued(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: C::Message) -> Result<(), Self::Error> {
        let Some(pool) = &self.pool else {
            return Err(SendError::Closed(item));
        };
        self.sending = Some(pool.send(item));
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_queued(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        ready!(self.poll_queued(cx))?;
        self.pool = None;
        Poll::Ready(Ok(()))
    }
}
