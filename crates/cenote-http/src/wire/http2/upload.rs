//! The body of a request on its way into its stream, no faster than the peer takes it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cenote::error::BoxError;
use h2::{Reason, SendStream};
use http::HeaderMap;

use super::connection::lock;
use super::kept::Kept;
use crate::wire::outgoing::Outgoing;

/// Sends a body to its end; over when it is sent, or has failed, or when nobody wants it any more. Dropped before that, the
/// stream is reset once the reply is dropped, too.
pub(crate) struct Upload {
    stream: SendStream<Bytes>,
    body: Kept,
    /// What the peer has not taken yet.
    chunk: Bytes,
    failure: BodyFailure,
}

/// Why a request's body failed, for the one who waits for the reply: there before the stream is reset because of it.
#[derive(Clone, Default)]
pub(super) struct BodyFailure(Arc<Mutex<Option<BoxError>>>);

impl BodyFailure {
    pub(super) fn take(&self) -> Option<BoxError> {
        lock(&self.0).take()
    }
}

impl Upload {
    pub(super) fn new(stream: SendStream<Bytes>, body: Outgoing) -> Self {
        Self {
            stream,
            body: Kept::new(body),
            chunk: Bytes::new(),
            failure: BodyFailure::default(),
        }
    }

    pub(super) fn failure(&self) -> &BodyFailure {
        &self.failure
    }

    /// The request has its reply: it will not be sent again.
    pub(super) fn forget(&mut self) {
        self.body.forget();
    }

    /// The body, to be sent again.
    pub(super) fn into_body(self) -> Kept {
        self.body
    }

    /// Sends what is left of the chunk.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        while !self.chunk.is_empty() {
            self.stream.reserve_capacity(self.chunk.len());
            let room = match ready!(self.stream.poll_capacity(cx)) {
                Some(room) => room?,
                // The stream takes nothing more.
                None => return Poll::Ready(Err(Reason::CANCEL.into())),
            };
            let part = self.chunk.split_to(room.min(self.chunk.len()));
            if !part.is_empty() {
                self.stream.send_data(part, false)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.poll_chunk(cx)).is_err() {
                return Poll::Ready(());
            }
            if self.body.is_end_stream() {
                return self.end(None);
            }
            let frame = match ready!(self.body.poll_frame(cx)) {
                None => return self.end(None),
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    *lock(&self.failure.0) = Some(error);
                    // Not a whole body: the server is not to take it for one.
                    self.stream.send_reset(Reason::CANCEL);
                    return Poll::Ready(());
                }
            };
            match frame.into_data() {
                Ok(data) => self.chunk = data,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        return self.end(Some(trailers));
                    }
                }
            }
        }
    }

    /// What the stream says against it is the reply's to tell.
    fn end(&mut self, trailers: Option<HeaderMap>) -> Poll<()> {
        let _ = match trailers {
            Some(trailers) => self.stream.send_trailers(trailers),
            None => self.stream.send_data(Bytes::new(), true),
        };
        Poll::Ready(())
    }
}

impl Future for Upload {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // What the peer says against it is the reply's to tell; the request may have been answered already.
        if self.stream.poll_reset(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_all(cx)
    }
}
