//! A request on its way, until the head of its reply, and what may become of it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cenote::error::BoxError;
use http::{Request, response};

use super::outgoing::Outgoing;
use super::{Incoming, http1, http2};

/// The head of a reply, and its body to be read.
pub(crate) struct Reply {
    pub(crate) head: response::Parts,
    pub(crate) body: Incoming,
    /// What of the request's body is still to be sent, by somebody.
    pub(crate) upload: Option<Upload>,
    /// The request, if it is whole still.
    pub(crate) again: Option<Request<Outgoing>>,
}

/// The rest of a request's body on its way, over HTTP/2, where a reply may come before it. To be polled to its end; dropped,
/// it ends the stream.
pub(crate) type Upload = http2::Upload;

/// Whether a request may be sent a second time where the first may have reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Allowed,
    Never,
}

/// Why no reply came.
pub(crate) struct SendingError {
    pub(crate) failure: Failure,
    /// The request, if it is whole still; of [`Unanswered`](Failure::Unanswered) ones only where that is
    /// [allowed](Repeat::Allowed).
    pub(crate) request: Option<Box<Request<Outgoing>>>,
    pub(crate) error: BoxError,
}

/// How far a request came that has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing of it was sent.
    Unsent,
    /// The server says that it has done nothing with it: it ends the connection.
    LeftBehind,
    /// The server says that it has done nothing with it, and goes on with the connection.
    Refused,
    /// The connection ended after the request had been sent, or some of it, and before a byte of the reply.
    Unanswered,
    /// Something came that was no whole head.
    Broken,
}

/// A request on its way, until the head of its reply.
pub(crate) enum Sending {
    Http1(http1::Sending),
    Http2(http2::Sending),
}

impl Future for Sending {
    type Output = Result<Reply, SendingError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match self.get_mut() {
            Self::Http1(sending) => {
                let reply = ready!(Pin::new(&mut *sending).poll(cx));
                reply.map(|reply| sending.reply(reply))
            }
            Self::Http2(sending) => ready!(Pin::new(sending).poll(cx)),
        })
    }
}
