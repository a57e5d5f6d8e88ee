//! The body of a reply as its stream has it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cenote::error::BoxError;
use h2::RecvStream;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use super::connection::UnderWay;
use super::upload::BodyFailure;

/// A body that is read off its stream. Dropped early, the stream is reset, and the connection goes on.
pub(crate) struct Incoming {
    stream: RecvStream,
    part: Part,
    /// What is left of the length that the head names.
    left: Option<u64>,
    /// That of the request's body, while it is sent.
    failure: Option<BodyFailure>,
    _under_way: Option<UnderWay>,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Data,
    Trailers,
    Nothing,
}

impl Incoming {
    pub(super) fn new(
        stream: RecvStream,
        fields: &HeaderMap,
        failure: Option<BodyFailure>,
        under_way: Option<UnderWay>,
    ) -> Self {
        let length = fields.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            stream,
            part: Part::Data,
            left: length,
            failure,
            _under_way: under_way,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while self.part == Part::Data {
            match ready!(self.stream.poll_data(cx)) {
                // The end of the stream may come as a piece of no bytes.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    // What is handed over counts as read. An error is that of a stream that has ended, which is told next.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // Not of a reply that is whole already, whatever becomes of its request: h2 sees to that.
                Some(Err(error)) => return Poll::Ready(Some(Err(self.cause(error)))),
                None => self.part = Part::Trailers,
            }
        }
        if self.part == Part::Trailers {
            let trailers = ready!(self.stream.poll_trailers(cx));
            self.part = Part::Nothing;
            match trailers {
                Ok(Some(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(self.cause(error)))),
            }
        }
        Poll::Ready(None)
    }

    /// Why the reply broke off: because the request's body failed, if it did.
    fn cause(&self, error: h2::Error) -> BoxError {
        let failed = self.failure.as_ref().and_then(BodyFailure::take);
        failed.unwrap_or_else(|| error.into())
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.part == Part::Nothing || self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.left {
            _ if self.is_end_stream() => SizeHint::with_exact(0),
            Some(left) => SizeHint::with_exact(left),
            None => SizeHint::default(),
        }
    }
}
