//! The stream between the driver and the server, inside TLS, where statements get their names.
//!
//! The driver counts its statements from zero in every process. Behind a pooler such as PgBouncer two processes may
//! share a session, where one would then run the other's statement and not know. Here the names are made unique to
//! process and connection; or, for a pooler that changes sessions between transactions, no statement has a name
//! and each is parsed where it is run. Promises to change nothing else, wherever reads and writes cut the messages.

mod names;
mod replies;

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

pub(crate) use names::Naming;
use names::Requests;
use replies::Replies;

/// How much waits to be written before the driver has to wait.
const PENDING: usize = 64 * 1024;

/// What the server said of its transaction when it last was ready. Clones are of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status(Arc<AtomicU8>);

impl Status {
    /// Whether a transaction was open, a failed one as well; `None`: it never said.
    pub(crate) fn in_transaction(&self) -> Option<bool> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            status => Some(status != b'I'),
        }
    }

    fn set(&self, status: u8) {
        self.0.store(status, Ordering::Relaxed);
    }
}

/// A stream to a server, from the start of a session on.
#[derive(Debug)]
pub(crate) struct Wire<S> {
    stream: S,
    requests: Requests,
    replies: Replies,
    pending: Vec<u8>,
    /// How much of `pending` is written.
    written: usize,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, naming: Naming, status: Status) -> Self {
        Self {
            stream,
            requests: Requests::new(naming),
            replies: Replies::new(status),
            pending: Vec::new(),
            written: 0,
        }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            let rest = &self.pending[self.written..];
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.written = 0;
        self.pending.clear();
        self.pending.shrink_to(2 * PENDING);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        loop {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            let this = &mut *self;
            let read = &mut buf.filled_mut()[before..];
            let ended = read.is_empty();
            let kept = this.replies.pass(read, &mut this.requests.awaited);
            buf.set_filled(before + kept);
            // Nothing read is the end of the stream; nothing kept is not.
            if kept > 0 || ended {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.pending.len() >= PENDING {
            ready!(self.poll_drain(cx))?;
        }
        let this = &mut *self;
        let taken = buf.len().min(PENDING);
        this.requests.pass(&buf[..taken], &mut this.pending);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Wire<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests;
