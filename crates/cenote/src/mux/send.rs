//! A message without a reply on its way to those to be written.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::error::CallError;
use super::handle::{Mux, MuxRef};
use super::submit::Unsent;
use crate::wake::OwnedNotified;

impl<Req, Resp> Mux<Req, Resp> {
    /// Sends a message that has no reply. Waits while more than `max_buffered` bytes are to be written. Done
    /// when the message is among those to be written next, in order with what else was sent on this handle; whether
    /// it arrives is not known. Nothing happens before the first poll.
    ///
    /// # Errors
    /// [`CallError::Disconnected`] and [`CallError::Encode`], as [`call`](Self::call).
    pub fn send(&self, message: Req) -> Send<'_, Req, Resp> {
        Send {
            handle: MuxRef::Borrowed(self),
            message: Some(message),
            room: None,
        }
    }
}

/// A [`Mux::send`] under way. Dropped before it is done, nothing is sent.
#[must_use = "nothing is sent until it is awaited"]
pub struct Send<'a, Req, Resp> {
    handle: MuxRef<'a, Req, Resp>,
    /// Until it is appended or refused.
    message: Option<Req>,
    /// Tells that there may be room, once there was none.
    room: Option<OwnedNotified>,
}

impl<Req, Resp> Send<'_, Req, Resp> {
    /// The same without its tie to the handle it was made on, in order with what else is sent on that: for tasks and
    /// structs of their own.
    pub fn into_owned(self) -> Send<'static, Req, Resp> {
        Send {
            handle: self.handle.to_owned(),
            message: self.message,
            room: self.room,
        }
    }
}

// The message is moved, never polled.
impl<Req, Resp> Unpin for Send<'_, Req, Resp> {}

impl<Req, Resp> Future for Send<'_, Req, Resp> {
    type Output = Result<(), CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let send = self.get_mut();
        let Mux { engine, order } = send.handle.mux();
        loop {
            let message = send.message.take();
            let message = message.expect("a send was polled after it was done");
            match engine.send(message, order) {
                Err(Unsent::NoRoom(back)) => send.message = Some(back),
                Ok(()) => return Poll::Ready(Ok(())),
                Err(Unsent::Ended(_, error) | Unsent::NotEncoded(error)) => {
                    return Poll::Ready(Err(error));
                }
            }
            match &mut send.room {
                // Listens from now on, and looks once more: room may have been made in between.
                none @ None => *none = Some(engine.room.notified()),
                Some(room) => {
                    ready!(Pin::new(room).poll(cx));
                    send.room = None;
                }
            }
        }
    }
}

impl<Req, Resp> fmt::Debug for Send<'_, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send")
            .field("mux", self.handle.mux())
            .finish_non_exhaustive()
    }
}
