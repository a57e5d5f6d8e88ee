//! The body of a request as it is sent, with what it has given so far, as long as that is little: a server that says that it
//! has not looked at a request is asked again, from the beginning of its body.

use std::collections::VecDeque;
use std::mem::size_of;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cenote::error::BoxError;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use crate::wire::outgoing::Outgoing;

/// So many bytes are kept of a body: the window of a stream by default (RFC 9113, 6.9.2), which is what a server that looks
/// at nothing takes.
const MAX_KEPT: usize = 65_535;

/// A body that is given frame by frame, and can be had again while that was little.
pub(super) struct Kept {
    /// What is to come; nothing after its end.
    rest: Option<Outgoing>,
    /// What it gave; nothing if that is too much.
    given: Option<VecDeque<Part>>,
    /// That in bytes, with what keeping it takes.
    size: usize,
}

enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Kept {
    pub(super) fn new(body: Outgoing) -> Self {
        Self {
            rest: Some(body),
            given: Some(VecDeque::new()),
            size: 0,
        }
    }

    /// Nobody will ask for it again.
    pub(super) fn forget(&mut self) {
        self.given = None;
    }

    /// The whole body, unless too much of it was given.
    pub(super) fn again(self) -> Option<Outgoing> {
        let given = self.given?;
        let rest = self.rest;
        Some(Outgoing::Stream(Box::pin(Again { given, rest })))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(rest).poll_frame(cx));
        match &frame {
            None | Some(Err(_)) => self.rest = None,
            Some(Ok(frame)) => self.keep(frame),
        }
        Poll::Ready(frame)
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let part = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => Part::Data(data.clone()),
            (None, Some(trailers)) => {
                self.rest = None;
                Part::Trailers(trailers.clone())
            }
            (None, None) => return,
        };
        self.size += part.size();
        match &mut self.given {
            Some(given) if self.size <= MAX_KEPT => given.push_back(part),
            _ => self.given = None,
        }
    }
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Data(data) => data.len() as u64,
            Self::Trailers(_) => 0,
        }
    }

    fn size(&self) -> usize {
        let own = match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        };
        own + size_of::<Self>()
    }
}

/// A body once more: what it gave before, and what it has still to give.
struct Again {
    given: VecDeque<Part>,
    rest: Option<Outgoing>,
}

impl Body for Again {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match (self.given.pop_front(), &mut self.rest) {
            (Some(Part::Data(data)), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (Some(Part::Trailers(trailers)), _) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            (None, Some(rest)) => Pin::new(rest).poll_frame(cx),
            (None, None) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_over = self.rest.as_ref().is_none_or(|rest| rest.is_end_stream());
        self.given.is_empty() && is_over
    }

    fn size_hint(&self) -> SizeHint {
        let given: u64 = self.given.iter().map(Part::length).sum();
        let rest = self.rest.as_ref();
        let rest = rest.map_or(SizeHint::with_exact(0), |rest| rest.size_hint());
        let mut whole = SizeHint::new();
        whole.set_lower(given.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            whole.set_upper(given.saturating_add(upper));
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A body of so many frames of 1 KiB, of an end that only its last poll tells, and that must not be polled after it.
    struct Frames(usize, bool);

    impl Body for Frames {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            assert!(!self.1, "it was polled after its end");
            if self.0 == 0 {
                self.1 = true;
                return Poll::Ready(None);
            }
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 1024])))))
        }
    }

    async fn read(kept: &mut Kept, frames: usize) {
        for _ in 0..frames {
            poll_fn(|cx| kept.poll_frame(cx)).await;
        }
    }

    async fn length(mut body: Outgoing) -> usize {
        let mut length = 0;
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            length += frame
                .expect("it does not fail")
                .into_data()
                .map_or(0, |data| data.len());
        }
        length
    }

    #[tokio::test]
    async fn a_short_body_can_be_had_again_however_much_of_it_was_given() {
        for given in [0, 1, 5, 6] {
            let mut kept = Kept::new(Outgoing::new(Frames(5, false)));
            read(&mut kept, given).await;
            let again = kept.again().expect("5 KiB are little");
            assert_eq!(length(again).await, 5 * 1024, "after {given}");
        }
    }

    #[tokio::test]
    async fn a_long_body_cannot_be_had_again_once_much_of_it_was_given() {
        let mut kept = Kept::new(Outgoing::new(Frames(100, false)));
        read(&mut kept, 50).await;
        assert!(kept.given.is_some());
        read(&mut kept, 50).await;
        assert!(kept.again().is_none());
    }
}
