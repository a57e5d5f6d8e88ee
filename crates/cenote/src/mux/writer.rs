//! The connection's write half and the bytes that are on their way into it.
//!
//! Lock order: writer, then desk, then lanes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, sink};

use super::lane::empty;

pub(super) struct Writer {
    half: Box<dyn AsyncWrite + Send + Unpin>,
    outgoing: BytesMut,
    /// Empty, and of use: see `refill`.
    spare: BytesMut,
    /// How much of `outgoing` has been written.
    written: usize,
    /// Some was written since [`advances`](Self::advances) was asked last.
    wrote: bool,
    /// Written, and not yet flushed: there may be layers with buffers of their own.
    unflushed: bool,
    /// What a caller met that wrote: the driver's to tell, for a socket tells each of its errors once.
    failed: Option<io::Error>,
}

impl Writer {
    pub(super) fn new(half: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            half,
            outgoing: BytesMut::new(),
            spare: BytesMut::new(),
            written: 0,
            wrote: false,
            unflushed: false,
            failed: None,
        }
    }

    /// Whether all that was taken from the lanes is written and flushed.
    pub(super) fn is_done(&self) -> bool {
        self.outgoing.is_empty() && !self.unflushed && self.failed.is_none()
    }

    /// Whether the line takes what is on its way slowly: some has gone since this was asked last, and some has still no
    /// room. A peer that has vanished takes what its line has room for at once, and then no more.
    pub(super) fn advances(&mut self) -> bool {
        std::mem::take(&mut self.wrote) && self.written < self.outgoing.len()
    }

    /// Keeps an error for the next who writes.
    pub(super) fn keep(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    /// Writes what is on its way and then what `refill` puts into an empty buffer, once; it is given a second
    /// one, to leave empty.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        refill: impl FnOnce(&mut BytesMut, &mut BytesMut),
    ) -> Poll<io::Result<()>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Err(error));
        }
        ready!(self.poll_outgoing(cx))?;
        refill(&mut self.outgoing, &mut self.spare);
        ready!(self.poll_outgoing(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.half).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let rest = &self.outgoing[self.written..];
            match ready!(Pin::new(&mut self.half).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
            self.wrote = true;
            self.unflushed = true;
        }
        self.written = 0;
        empty(&mut self.outgoing);
        Poll::Ready(Ok(()))
    }

    /// The write half, to be dropped. Nothing is written any more.
    pub(super) fn take_half(&mut self) -> Box<dyn AsyncWrite + Send + Unpin> {
        std::mem::replace(&mut self.half, Box::new(sink()))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
