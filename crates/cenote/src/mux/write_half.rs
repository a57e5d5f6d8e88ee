//! The connection's write half and the bytes that are on their way into it.
//!
//! Lock order: write half, then admission, then lanes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncWrite, sink};

use super::lane::clear_buffer;

pub(super) struct WriteHalf {
    io: Box<dyn AsyncWrite + Send + Unpin>,
    outgoing: BytesMut,
    /// Empty; lent to `refill`.
    spare: BytesMut,
    /// How much of `outgoing` has been written.
    written: usize,
    /// Some was written since [`is_progressing`](Self::is_progressing) was asked last.
    has_advanced: bool,
    /// Written, and not yet flushed: there may be layers with buffers of their own.
    unflushed: bool,
    /// An error that a caller met while it wrote. The driver reports it, for a socket tells each of its errors once.
    failed: Option<io::Error>,
}

impl WriteHalf {
    pub(super) fn new(io: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self {
            io,
            outgoing: BytesMut::new(),
            spare: BytesMut::new(),
            written: 0,
            has_advanced: false,
            unflushed: false,
            failed: None,
        }
    }

    /// Whether all that was taken from the lanes is written and flushed.
    pub(super) fn is_done(&self) -> bool {
        self.outgoing.is_empty() && !self.unflushed && self.failed.is_none()
    }

    /// Whether the connection takes the outgoing bytes slowly: some were written since this was asked last, and some
    /// are left. A peer that has vanished takes what its buffers have room for at once, and then no more.
    pub(super) fn is_progressing(&mut self) -> bool {
        std::mem::take(&mut self.has_advanced) && self.written < self.outgoing.len()
    }

    /// Keeps an error for the next write.
    pub(super) fn keep_error(&mut self, error: io::Error) {
        self.failed = Some(error);
    }

    /// Writes what is outgoing and then what `refill` puts into an empty buffer, once; `refill` is given a second
    /// buffer, to leave empty.
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
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.outgoing.len() {
            let rest = &self.outgoing[self.written..];
            match ready!(Pin::new(&mut self.io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
            self.has_advanced = true;
            self.unflushed = true;
        }
        self.written = 0;
        clear_buffer(&mut self.outgoing);
        Poll::Ready(Ok(()))
    }

    /// The user's write half, to be dropped. Nothing is written any more.
    pub(super) fn take_io(&mut self) -> Box<dyn AsyncWrite + Send + Unpin> {
        std::mem::replace(&mut self.io, Box::new(sink()))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
