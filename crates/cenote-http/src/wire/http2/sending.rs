//! A request on its way over HTTP/2: its reply is polled for here, by the task that waits for it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use h2::Reason;
use h2::client::ResponseFuture;
use http::{Request, request};

use super::connection::UnderWay;
use super::incoming::Incoming;
use super::kept::Kept;
use super::upload::Upload;
use crate::wire::outgoing::Outgoing;
use crate::wire::reply::{Failure, Reply, SendingError};
use crate::wire::transport::BytesRead;
use crate::wire::{self};

/// A request on its way, until the head of its reply. Dropped, its stream is reset.
pub(crate) struct Sending(State);

enum State {
    Sent(Box<Sent>),
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
    Whole(Box<Request<Outgoing>>),
    /// Its body is with the upload.
    Streamed(Box<request::Parts>),
}

impl Sending {
    pub(super) fn new(
        reply: ResponseFuture,
        upload: Option<Upload>,
        again: Again,
        under_way: UnderWay,
        (read, read_before): (BytesRead, u64),
    ) -> Self {
        Self(State::Sent(Box::new(Sent {
            reply,
            upload,
            uploaded: None,
            again: Some(again),
            under_way: Some(under_way),
            read,
            read_before,
        })))
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
            && let Poll::Ready(sent_whole) = Pin::new(upload).poll(cx)
        {
            sent.uploaded = sent.upload.take().map(Upload::into_body);
            if let Err(error) = sent_whole {
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
                let incoming = Incoming::new(body, &head.headers, sent.under_way.take());
                if let Some(upload) = &mut sent.upload {
                    upload.forget();
                }
                Ok(Reply {
                    head,
                    body: wire::Incoming::Http2(incoming),
                    upload: sent.upload.take(),
                    again: sent.whole(),
                })
            }
            Err(error) => {
                let failure = failure(&error);
                Err(SendingError {
                    failure,
                    request: match failure {
                        Failure::Unprocessed => sent.again(),
                        _ => sent.whole(),
                    },
                    error: error.into(),
                })
            }
        })
    }
}

impl Sent {
    /// The request once more, if its body is there as a whole. To be asked for once.
    fn whole(&mut self) -> Option<Box<Request<Outgoing>>> {
        match self.again.take()? {
            Again::Whole(request) => Some(request),
            Again::Streamed(_) => None,
        }
    }

    /// The request once more, if its body can be had from its beginning. To be asked for once.
    fn again(&mut self) -> Option<Box<Request<Outgoing>>> {
        match self.again.take()? {
            Again::Whole(request) => Some(request),
            Again::Streamed(head) => {
                let upload = self.upload.take().map(Upload::into_body);
                let body = upload.or(self.uploaded.take())?.again()?;
                Some(Box::new(Request::from_parts(*head, body)))
            }
        }
    }
}

/// What an error of a stream that had no reply says of its request.
fn failure(error: &h2::Error) -> Failure {
    // Streams above the last that the peer names (RFC 9113, 6.8). Where it names an error, h2 ends all of them like that.
    let is_beyond_last = error.is_go_away() && error.reason() == Some(Reason::NO_ERROR);
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    if error.is_remote() && (is_beyond_last || is_refused) {
        Failure::Unprocessed
    } else if error.is_io() {
        Failure::Unanswered
    } else {
        Failure::Broken
    }
}
