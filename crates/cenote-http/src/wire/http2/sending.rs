//! A request on its way over HTTP/2: its reply is polled for here, by the task that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::client::ResponseFuture;
use h2::{Reason, StreamId};
use http::{Request, request};

use super::connection::UnderWay;
use super::incoming::Incoming;
use super::kept::Kept;
use super::upload::Upload;
use crate::wire;
use crate::wire::outgoing::Outgoing;
use crate::wire::reply::{Failure, Reply, SendingError};
use crate::wire::transport::BytesRead;

/// A request on its way, until the head of its reply. Dropped, its stream is reset.
pub(crate) struct Sending(State);

#[allow(
    clippy::large_enum_variant,
    reason = "it is in the future of the request, which is what all of them become"
)]
enum State {
    Sent(Sent),
    /// It could not be sent.
    Failed(Option<SendingError>),
}

struct Sent {
    reply: ResponseFuture,
    /// Sent meanwhile.
    upload: Option<Upload>,
    /// What was sent.
    uploaded: Option<Kept>,
    again: Option<Again>,
    under_way: Option<UnderWay>,
    read: BytesRead,
    read_before: u64,
}

/// The request once more.
pub(super) enum Again {
    /// Its body is there as a whole.
    Whole(Request<Outgoing>),
    /// Its body is with the upload.
    Streamed(request::Parts),
}

impl Sending {
    pub(super) fn new(
        reply: ResponseFuture,
        upload: Option<Upload>,
        again: Again,
        under_way: UnderWay,
        (read, read_before): (BytesRead, u64),
    ) -> Self {
        Self(State::Sent(Sent {
            reply,
            upload,
            uploaded: None,
            again: Some(again),
            under_way: Some(under_way),
            read,
            read_before,
        }))
    }

    pub(super) fn failed(error: SendingError) -> Self {
        Self(State::Failed(Some(error)))
    }

    /// Whether the peer has sent nothing since the request, of this exchange or of any other.
    pub(super) fn is_silent(&self) -> bool {
        match &self.0 {
            State::Sent(sent) => sent.read.count() == sent.read_before,
            State::Failed(_) => false,
        }
    }
}

impl Future for Sending {
    type Output = Result<Reply, SendingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let sent = match &mut self.0 {
            State::Sent(sent) => sent,
            State::Failed(error) => {
                let error = error.take();
                return Poll::Ready(Err(error.expect("a future is not polled after its end")));
            }
        };
        if let Some(upload) = &mut sent.upload
            && Pin::new(&mut *upload).poll(cx).is_ready()
        {
            let failed = upload.failure().take();
            sent.uploaded = sent.upload.take().map(Upload::into_body);
            if let Some(error) = failed {
                return Poll::Ready(Err(SendingError {
                    failure: Failure::Broken,
                    request: None,
                    error,
                }));
            }
        }
        let reply = ready!(Pin::new(&mut sent.reply).poll(cx));
        Poll::Ready(match reply {
            Ok(reply) => {
                let (head, body) = reply.into_parts();
                let (under_way, mut upload) = (sent.under_way.take(), sent.upload.take());
                if let Some(upload) = &mut upload {
                    upload.forget();
                }
                let failure = upload.as_ref().map(|upload| upload.failure().clone());
                let incoming = Incoming::new(body, &head.headers, failure, under_way);
                Ok(Reply {
                    head,
                    body: wire::Incoming::Http2(incoming),
                    upload,
                    again: sent.whole(),
                })
            }
            Err(error) => {
                let failure = failure(&error);
                if let (Failure::LeftBehind, Some(under_way)) = (failure, &sent.under_way) {
                    under_way.left_behind(nth(sent.reply.stream_id()));
                }
                Err(SendingError {
                    failure,
                    request: match failure {
                        Failure::LeftBehind | Failure::Refused => sent.again(),
                        _ => sent.whole(),
                    }
                    .map(Box::new),
                    error: error.into(),
                })
            }
        })
    }
}

impl Sent {
    /// The request once more, if its body is there as a whole. To be asked for once.
    fn whole(&mut self) -> Option<Request<Outgoing>> {
        match self.again.take()? {
            Again::Whole(request) => Some(request),
            Again::Streamed(_) => None,
        }
    }

    /// The request once more, if its body can be had from its beginning. To be asked for once.
    fn again(&mut self) -> Option<Request<Outgoing>> {
        match self.again.take()? {
            Again::Whole(request) => Some(request),
            Again::Streamed(head) => {
                let upload = self.upload.take().map(Upload::into_body);
                let body = upload.or(self.uploaded.take())?.again()?;
                Some(Request::from_parts(head, body))
            }
        }
    }
}

/// What an error of a stream that had no reply says of its request.
fn failure(error: &h2::Error) -> Failure {
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && error.is_go_away() {
        // A stream above the last that the peer names, whatever its reason (RFC 9113, 6.8): h2 lets the others go on.
        Failure::LeftBehind
    } else if error.is_remote() && is_refused {
        Failure::Refused
    } else if error.is_io() {
        Failure::Unanswered
    } else {
        Failure::Broken
    }
}

/// Which of a connection's streams has this number: a client's are the odd ones, from 1.
fn nth(stream: StreamId) -> usize {
    stream.as_u32().div_ceil(2) as usize
}
