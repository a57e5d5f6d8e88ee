//! A line whose other end sends back what it reads, once it has read enough.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sync::{Mutex, lock};

#[derive(Clone)]
pub(super) struct Line(Arc<Mutex<State>>);

struct State {
    /// Written and not read back.
    bytes: Vec<u8>,
    /// How much is written before any of it is read back.
    silent_until: usize,
    written: usize,
    /// The next write takes a part and then is blocked, once.
    takes: Option<usize>,
    blocked: bool,
    reader: Option<Waker>,
}

impl Line {
    /// Sends nothing back before `silent_until` bytes were written; the first write is cut after `takes`.
    pub(super) fn new(silent_until: usize, takes: Option<usize>) -> Self {
        Self(Arc::new(Mutex::new(State {
            bytes: Vec::new(),
            silent_until,
            written: 0,
            takes,
            blocked: false,
            reader: None,
        })))
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
        if std::mem::take(&mut state.blocked) {
            drop(state);
            // It will not be for long.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = match state.takes.take() {
            Some(part) => {
                state.blocked = true;
                part.min(bytes.len())
            }
            None => bytes.len(),
        };
        state.bytes.extend_from_slice(&bytes[..taken]);
        state.written += taken;
        let reader = (state.written >= state.silent_until)
            .then(|| state.reader.take())
            .flatten();
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
        if state.bytes.is_empty() || state.written < state.silent_until {
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        into.put_slice(&state.bytes);
        state.bytes.clear();
        Poll::Ready(Ok(()))
    }
}
