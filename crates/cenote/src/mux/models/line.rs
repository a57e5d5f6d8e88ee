//! A line whose other end waits until it has read enough.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sync::{Mutex, lock};

/// What the other end does when it has read so many bytes, and nothing before.
#[derive(Clone, Copy)]
pub(super) enum Then {
    /// Sends back what it has read.
    Answers(usize),
    Ends(usize),
}

impl Then {
    fn is_due(self, written: usize) -> bool {
        let (Self::Answers(enough) | Self::Ends(enough)) = self;
        written >= enough
    }
}

#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<State>>);

struct State {
    /// Written and not read back.
    bytes: Vec<u8>,
    then: Then,
    written: usize,
    /// The next write takes a part, and what follows is blocked.
    takes: Option<usize>,
    blocked: Blocked,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy)]
enum Blocked {
    No,
    /// Once, and then not for long.
    Once,
    /// Until there is room again.
    Full,
}

impl Line {
    /// The first write is cut after `takes`.
    pub(super) fn new(then: Then, takes: Option<usize>) -> Self {
        let blocked = takes.map_or(Blocked::No, |_| Blocked::Once);
        Self::with(then, takes, blocked)
    }

    /// Has room for so many bytes, until it [makes more](Self::makes_room).
    pub(super) fn full(then: Then, room: usize) -> Self {
        Self::with(then, Some(room), Blocked::Full)
    }

    fn with(then: Then, takes: Option<usize>, blocked: Blocked) -> Self {
        Self(Arc::new(Mutex::new(State {
            bytes: Vec::new(),
            then,
            written: 0,
            takes,
            blocked,
            reader: None,
            writer: None,
        })))
    }

    /// Wakes the task that found none last.
    pub(super) fn makes_room(&self) {
        let mut state = lock(&self.0);
        state.blocked = Blocked::No;
        let writer = state.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
    }

    pub(super) fn written(&self) -> usize {
        lock(&self.0).written
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.0);
        let taken = match (state.takes.take(), state.blocked) {
            (Some(part), _) => part.min(bytes.len()),
            (None, Blocked::No) => bytes.len(),
            (None, Blocked::Once) => {
                state.blocked = Blocked::No;
                drop(state);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            (None, Blocked::Full) => {
                state.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        state.bytes.extend_from_slice(&bytes[..taken]);
        state.written += taken;
        let is_due = state.then.is_due(state.written);
        let reader = is_due.then(|| state.reader.take()).flatten();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut state = lock(&self.0);
        match state.then {
            then if !then.is_due(state.written) => {}
            Then::Ends(_) => return Poll::Ready(Ok(())),
            Then::Answers(_) if !state.bytes.is_empty() => {
                into.put_slice(&state.bytes);
                state.bytes.clear();
                return Poll::Ready(Ok(()));
            }
            Then::Answers(_) => {}
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}
