//! A mux as a sink of one-way messages.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cenote::mux::{self, CallError, Mux};
use futures_sink::Sink;

/// A [`Mux`] as a sink: each item goes out by [`Mux::send`], in order, whatever threads the sink is used on, and none
/// has a reply. Two sinks into one connection have an order each.
///
/// Ready when the item before is among those to be written; flushed then too, since whether a message
/// arrives is not known of a message without a reply. Closing it drains and closes the connection for all who share
/// it. An item whose sending fails is lost, and the error says why.
pub struct MuxSink<Req: 'static, Resp: 'static> {
    /// One handle for all items, for it is the handle that keeps them in order.
    mux: Mux<Req, Resp>,
    sending: Option<mux::Send<'static, Req, Resp>>,
    closing: Option<mux::Close<'static, Req, Resp>>,
}

impl<Req: 'static, Resp: 'static> MuxSink<Req, Resp> {
    /// A sink into `mux`.
    pub fn new(mux: Mux<Req, Resp>) -> Self {
        Self {
            mux,
            sending: None,
            closing: None,
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(Pin::new(sending).poll(cx));
        self.sending = None;
        Poll::Ready(sent)
    }
}

impl<Req: 'static, Resp: 'static> fmt::Debug for MuxSink<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MuxSink").field(&self.mux).finish()
    }
}

impl<Req: 'static, Resp: 'static> Sink<Req> for MuxSink<Req, Resp> {
    type Error = CallError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.poll_sent(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Req) -> Result<(), CallError> {
        self.sending = Some(self.mux.send(item).into_owned());
        Ok(())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        self.poll_sent(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        ready!(self.poll_sent(cx))?;
        let Self { mux, closing, .. } = &mut *self;
        let closing = closing.get_or_insert_with(|| mux.close().into_owned());
        Pin::new(closing).poll(cx).map(Ok)
    }
}
