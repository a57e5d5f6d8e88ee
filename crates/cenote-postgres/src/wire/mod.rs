//! The stream between the driver and the server, inside TLS, where statements get their names.
//!
//! The driver counts its statements from zero in every process. Behind a pooler such as PgBouncer two processes may
//! share a session, where one would then run the other's statement and not know. Here the names are made unique to
//! process and connection; or, for a pooler that changes sessions between transactions, no statement has a name
//! and each is parsed where it is run. Promises to change nothing else, wherever reads and writes cut the messages,
//! but for the tags of `preparations`, which no server sees; and the error with which the server ends an idle session
//! waits here for the next call, whose answer it is.

mod farewell;
mod goodbye;
mod names;
mod parameters;
mod preparations;
mod replies;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

use goodbye::Goodbye;
pub(crate) use names::Naming;
use names::Requests;
use preparations::Preparations;
use replies::Replies;

/// How much waits to be written before the driver has to wait.
const PENDING: usize = 64 * 1024;

/// What the server said of its session: of its transaction when it last was ready, whether it takes writes, which
/// statements are being prepared, and why it ended it; and that it says anything at all. Clones are of one session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status(Arc<Said>);

#[derive(Debug, Default)]
struct Said {
    transaction: AtomicU8,
    /// Whether it is a standby, and whether transactions are read-only by default: each reported or not, on or off.
    standby: AtomicU8,
    read_only: AtomicU8,
    preparations: Preparations,
    end: OnceLock<Box<str>>,
    heard: AtomicU64,
    is_quiet: AtomicBool,
}

impl Status {
    /// Whether a transaction was open, a failed one as well; `None`: it never said.
    pub(crate) fn in_transaction(&self) -> Option<bool> {
        match self.0.transaction.load(Ordering::Relaxed) {
            0 => None,
            status => Some(status != b'I'),
        }
    }

    fn set(&self, status: u8) {
        self.0.transaction.store(status, Ordering::Relaxed);
    }

    /// Whether it last reported that it is a standby; `None`: it never said, as before version 14.
    pub(crate) fn is_standby(&self) -> Option<bool> {
        reported(&self.0.standby)
    }

    /// Whether it last reported that transactions take no writes, unless they ask for it; `None`: it never said, as
    /// before version 14.
    pub(crate) fn takes_no_writes(&self) -> Option<bool> {
        Some(self.is_standby()? || reported(&self.0.read_only)?)
    }

    /// Whether it reported that transactions take no writes, unless they ask for it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.is_standby() == Some(true) || reported(&self.0.read_only) == Some(true)
    }

    fn reports_standby(&self, is_standby: bool) {
        self.0
            .standby
            .store(u8::from(is_standby) + 1, Ordering::Relaxed);
    }

    fn reports_read_only(&self, is_read_only: bool) {
        self.0
            .read_only
            .store(u8::from(is_read_only) + 1, Ordering::Relaxed);
    }

    /// The statements that are being prepared.
    pub(crate) fn preparations(&self) -> &Preparations {
        &self.0.preparations
    }

    /// Why the server ended the session, if it said so.
    pub(crate) fn end_reason(&self) -> Option<&str> {
        self.0.end.get().map(|reason| &**reason)
    }

    /// How many reads brought bytes: while it stays the same, the server has said nothing, not even a part of a
    /// message.
    pub(crate) fn heard(&self) -> u64 {
        self.0.heard.load(Ordering::Relaxed)
    }

    /// Whether there was nothing to be read when the driver last looked. While a user leaves its own reply unread, the
    /// driver does not look, and what the server says stays in the socket.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.is_quiet.load(Ordering::Relaxed)
    }

    /// What came of a read.
    pub(crate) fn looked(&self, has_heard: bool) {
        self.0.is_quiet.store(!has_heard, Ordering::Relaxed);
        if has_heard {
            self.0.heard.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn end(&self, reason: String) {
        // The first word counts.
        let _ = self.0.end.set(reason.into());
    }
}

/// 0 where it never was, else 1 for off and 2 for on.
fn reported(parameter: &AtomicU8) -> Option<bool> {
    match parameter.load(Ordering::Relaxed) {
        0 => None,
        value => Some(value == 2),
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
    farewell: Held,
    goodbye: Goodbye,
}

/// Whether the server's last words wait for a call to be the answer to.
#[derive(Debug)]
enum Held {
    No,
    /// With the driver's read, to be woken by its next write.
    Yes {
        words: Vec<u8>,
        reader: Waker,
    },
    /// How much of them was read.
    Released {
        words: Vec<u8>,
        read: usize,
    },
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, naming: Naming, status: Status) -> Self {
        Self {
            stream,
            requests: Requests::new(naming, status.clone()),
            replies: Replies::new(status),
            pending: Vec::new(),
            written: 0,
            farewell: Held::No,
            goodbye: Goodbye::default(),
        }
    }

    /// Whether all that was asked is answered, after the login.
    fn is_idle(&self) -> bool {
        self.replies.is_idle(&self.requests)
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
        match &mut self.farewell {
            Held::No => {}
            Held::Yes { reader, .. } => {
                reader.clone_from(cx.waker());
                return Poll::Pending;
            }
            Held::Released { words, read } => {
                let length = (words.len() - *read).min(buf.remaining());
                buf.put_slice(&words[*read..*read + length]);
                *read += length;
                return Poll::Ready(Ok(()));
            }
        }
        let before = buf.filled().len();
        loop {
            let was_idle = self.is_idle();
            let looked = Pin::new(&mut self.stream).poll_read(cx, buf);
            self.replies.status().looked(looked.is_ready());
            ready!(looked)?;
            let this = &mut *self;
            let read = &mut buf.filled_mut()[before..];
            let ended = read.is_empty();
            let kept = this.replies.pass(read, &mut this.requests)?;
            buf.set_filled(before + kept);
            if was_idle && this.replies.begins_with_farewell(&buf.filled()[before..]) {
                this.farewell = Held::Yes {
                    words: buf.filled()[before..].to_vec(),
                    reader: cx.waker().clone(),
                };
                buf.set_filled(before);
                return Poll::Pending;
            }
            // Nothing read is the end of the stream; nothing kept is not.
            if kept > 0 || ended {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match std::mem::replace(&mut self.farewell, Held::No) {
            Held::No => {}
            // Nobody is there to read it.
            Held::Yes { words, reader } => {
                self.farewell = Held::Released { words, read: 0 };
                reader.wake();
                return Poll::Ready(Ok(buf.len()));
            }
            released @ Held::Released { .. } => {
                self.farewell = released;
                return Poll::Ready(Ok(buf.len()));
            }
        }
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
        if !self.goodbye.is_said() {
            ready!(self.poll_drain(cx))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.goodbye.say();
        }
        let Self {
            stream, goodbye, ..
        } = &mut *self;
        goodbye.poll_ended(stream, cx).map(Ok)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Wire<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests;
