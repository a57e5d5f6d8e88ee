//! The body of a reply as its stream has it.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cenote::error::BoxError;
use h2::{Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use super::connection::UnderWay;

/// A body that is read off its stream. Dropped early, the stream is reset, and the connection goes on.
pub(crate) struct Incoming {
    stream: RecvStream,
    part: Part,
    /// What is left of the length that the head names.
    left: Option<u64>,
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
    pub(super) fn new(stream: RecvStream, fields: &HeaderMap, under_way: Option<UnderWay>) -> Self {
        let length = fields.get(CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        Self {
            stream,
            part: Part::Data,
            left: length,
            _under_way: under_way,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.part == Part::Data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // What is handed over counts as read. An error is that of a stream that has ended, which is told next.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                // The server has said all it wanted to, and wants no more of the request (RFC 9113, 8.1).
                Some(Err(error))
                    if error.reason() == Some(Reason::NO_ERROR) && error.is_reset() =>
                {
                    self.part = Part::Nothing;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => self.part = Part::Trailers,
            }
        }
        if self.part == Part::Trailers {
            let trailers = ready!(self.stream.poll_trailers(cx));
            self.part = Part::Nothing;
            match trailers {
                Ok(Some(trailers)) => return Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
        Poll::Ready(None)
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
