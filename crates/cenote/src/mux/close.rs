//! The end of a connection: how it is closed from this side, and how it is waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::admission::Phase;
use super::error::Disconnected;
use super::handle::{Mux, MuxRef};
use crate::wake::OwnedNotified;

impl<Req, Resp> Mux<Req, Resp> {
    /// Begins to [close](Self::close), for those who do not wait for the end: on all handles.
    ///
    /// A connector whose connection is a mux says so in [`Connect::leaving`](crate::Connect::leaving), so that no clone
    /// that a user kept outlives the connection's place in its pool.
    pub fn start_close(&self) {
        self.engine
            .drain(self.engine.admission(), Disconnected::Closed);
    }

    /// Takes no new calls, lets the pending ones finish, those that wait for their turn included, and then
    /// closes; after `drain_timeout` it closes all the same. Done when it is closed. Nothing happens before the first
    /// poll; dropping the future after that does not stop it.
    pub fn close(&self) -> Close<'_, Req, Resp> {
        Close {
            closed: self.closed(),
            has_begun: false,
        }
    }

    /// Waits until the connection has ended, and says why.
    pub fn closed(&self) -> Closed<'_, Req, Resp> {
        Closed {
            handle: MuxRef::Borrowed(self),
            ended: None,
        }
    }
}

/// A [`Mux::close`] under way. Dropping it does not stop a close that has begun.
#[must_use = "a close does nothing until it is awaited"]
pub struct Close<'a, Req, Resp> {
    closed: Closed<'a, Req, Resp>,
    has_begun: bool,
}

/// A [`Mux::closed`] under way. Dropping it changes nothing.
#[must_use = "nothing is waited for until it is awaited"]
pub struct Closed<'a, Req, Resp> {
    handle: MuxRef<'a, Req, Resp>,
    /// Tells that the connection has ended, once it was found alive.
    ended: Option<OwnedNotified>,
}

impl<Req, Resp> Close<'_, Req, Resp> {
    /// The same without its tie to the handle it was made on: for tasks and structs of their own.
    pub fn into_owned(self) -> Close<'static, Req, Resp> {
        Close {
            closed: self.closed.into_owned(),
            has_begun: self.has_begun,
        }
    }
}

impl<Req, Resp> Closed<'_, Req, Resp> {
    /// The same without its tie to the handle it was made on. It counts as a handle: as long as it lives, the
    /// connection is not closed for want of any.
    pub fn into_owned(self) -> Closed<'static, Req, Resp> {
        Closed {
            handle: self.handle.to_owned(),
            ended: self.ended,
        }
    }
}

impl<Req, Resp> Future for Close<'_, Req, Resp> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let close = self.get_mut();
        if !close.has_begun {
            close.has_begun = true;
            close.closed.handle.mux().start_close();
        }
        Pin::new(&mut close.closed).poll(cx).map(drop)
    }
}

impl<Req, Resp> Future for Closed<'_, Req, Resp> {
    type Output = Disconnected;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Disconnected> {
        let closed = self.get_mut();
        let engine = closed.handle.engine();
        loop {
            if let Phase::Ended(why) = &engine.admission().phase {
                return Poll::Ready(why.clone());
            }
            match &mut closed.ended {
                // Listens from now on, and looks once more: the end may have come in between.
                none @ None => *none = Some(engine.ended.notified()),
                Some(ended) => {
                    ready!(Pin::new(ended).poll(cx));
                    closed.ended = None;
                }
            }
        }
    }
}

impl<Req, Resp> fmt::Debug for Close<'_, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Close")
            .field("mux", self.closed.handle.mux())
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> fmt::Debug for Closed<'_, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed")
            .field("mux", self.handle.mux())
            .finish_non_exhaustive()
    }
}
