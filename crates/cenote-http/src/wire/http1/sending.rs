//! A request on its way over HTTP/1.1.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use crate::wire;
use crate::wire::outgoing::Outgoing;
use crate::wire::reply::{Failure, Reply, SendingError};
use crate::wire::transport::BytesRead;

/// As hyper tells it.
type Sent = Result<Response<Incoming>, TrySendError<Request<Outgoing>>>;

/// A request on its way, until the head of its reply.
pub(crate) struct Sending {
    pub(super) reply: Pin<Box<dyn Future<Output = Sent> + Send>>,
    /// As the request had it before it was brought into form.
    pub(super) uri: Uri,
    pub(super) read: BytesRead,
    pub(super) read_before: u64,
    /// The request once more, if it may be repeated.
    pub(super) copy: Option<Request<Outgoing>>,
}

impl Future for Sending {
    type Output = Result<Response<Incoming>, SendingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut failed = match ready!(self.reply.as_mut().poll(cx)) {
            Ok(reply) => return Poll::Ready(Ok(reply)),
            Err(failed) => failed,
        };
        let unsent = failed.take_message();
        let error = failed.into_error().into();
        Poll::Ready(Err(match unsent {
            Some(mut request) => {
                *request.uri_mut() = std::mem::take(&mut self.uri);
                SendingError {
                    failure: Failure::Unsent,
                    request: Some(Box::new(request)),
                    error,
                }
            }
            None if self.read.count() > self.read_before => SendingError {
                failure: Failure::Broken,
                request: None,
                error,
            },
            None => SendingError {
                failure: Failure::Unanswered,
                request: self.copy.take().map(Box::new),
                error,
            },
        }))
    }
}

impl Sending {
    /// Its reply as both versions have it.
    pub(in crate::wire) fn reply(&mut self, reply: Response<Incoming>) -> Reply {
        let (head, body) = reply.into_parts();
        Reply {
            head,
            body: wire::Incoming::Http1(body),
            upload: None,
            again: self.copy.take(),
        }
    }
}
