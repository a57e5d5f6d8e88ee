//! The body of a reply, with the times of its request.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cenote_http::Body;
use http_body::{Frame, SizeHint};
use object_store::client::HttpError;
use tokio::time::{Sleep, sleep_until};

use crate::error::{TimedOut, http_error};
use crate::limits::Limits;

#[derive(Debug)]
pub(crate) struct Limited {
    body: Body,
    limits: Limits,
    /// While nothing comes.
    waiting: Option<(Pin<Box<Sleep>>, TimedOut)>,
}

impl Limited {
    pub(crate) fn new(body: Body, limits: Limits) -> Self {
        Self {
            body,
            limits,
            waiting: None,
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.waiting = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(http_error)));
        }
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => match this.limits.next() {
                Some((at, timed_out)) => {
                    let sleep = Box::pin(sleep_until(at));
                    this.waiting.insert((sleep, timed_out))
                }
                None => return Poll::Pending,
            },
        };
        ready!(waiting.0.as_mut().poll(cx));
        let timed_out = waiting.1;
        // Nobody waits for the rest any more.
        this.body = Body::empty();
        this.waiting = None;
        Poll::Ready(Some(Err(timed_out.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
