//! One connection: hyper's handle on it, what it is doing, and how long the server keeps it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use cenote::net::Watch;
use cenote::time::{Instant, timeout};
use cenote::{Signals, Verdict};
use http::{Request, Response, StatusCode};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::outgoing::Outgoing;
use super::transport::{BytesRead, Counted, Transport};
use crate::error::Error;
use crate::keep_alive::KeepAlive;

/// What is left of a reply is read for this long at most, so that its connection can be used again: a few round trips,
/// which is what a new connection would cost.
const FINISH_BODY_WITHIN: Duration = Duration::from_millis(100);

/// The same where the request was given up: the server may be still at work on it.
const FINISH_REPLY_WITHIN: Duration = Duration::from_secs(1);

/// As much is read of what is left of a reply: it takes about as long to arrive as a new connection takes to open.
const FINISH_BYTES: u64 = 64 * 1024;

/// A connection that speaks HTTP/1.1.
pub(crate) struct Connection {
    sender: SendRequest<Outgoing>,
    read: BytesRead,
    watch: Watch,
    is_tls: bool,
    doing: Doing,
    keep_alive: KeepAlive,
    replies: u64,
}

enum Doing {
    Idle {
        since: Instant,
    },
    /// An exchange is under way, and somebody waits for it.
    Busy,
    /// The exchange is under way, and nobody waits for it.
    Unfinished(Unfinished),
}

enum Unfinished {
    Reply(Sending),
    Body(Incoming),
}

/// The head of a reply, and its body to be read.
pub(crate) type Reply = Response<Incoming>;

/// As hyper tells it.
type Sent = Result<Reply, TrySendError<Request<Outgoing>>>;

/// A request on its way, until the head of its reply.
pub(crate) struct Sending {
    reply: Pin<Box<dyn Future<Output = Sent> + Send>>,
    read: BytesRead,
    read_before: u64,
}

/// Why no reply came.
pub(crate) enum SendingError {
    /// Nothing of the request was sent: it may go over another connection.
    Unsent(Box<Request<Outgoing>>, hyper::Error),
    /// The connection ended after the request had been sent, or some of it, and before a byte of the reply.
    Unanswered(hyper::Error),
    /// Something came that was no whole head.
    Broken(hyper::Error),
}

impl Connection {
    /// Begins to speak HTTP over `transport`, in a task of its own, which tells by `signals` when it is over.
    pub(crate) async fn open(
        transport: Box<dyn Transport>,
        is_tls: bool,
        watch: Watch,
        signals: Signals,
    ) -> hyper::Result<Self> {
        let read = BytesRead::default();
        let counted = Counted {
            transport,
            read: read.clone(),
        };
        let (sender, task) = http1::handshake(TokioIo::new(counted)).await?;
        tokio::spawn(async move {
            // Of an error the exchange that is under way hears, and nobody else asks.
            let _ = task.with_upgrades().await;
            signals.closed();
        });
        Ok(Self {
            sender,
            read,
            watch,
            is_tls,
            doing: Doing::Idle {
                since: Instant::now(),
            },
            keep_alive: KeepAlive::Unlimited,
            replies: 0,
        })
    }

    /// Whether it carried an exchange before, so that the server may be about to close it.
    pub(crate) fn is_reused(&self) -> bool {
        self.replies > 0
    }

    /// Sends a request; its URI is what is to stand in the first line. What is returned is not tied to the connection, and
    /// closes it if it is dropped: see [`leave_reply`](Self::leave_reply).
    pub(crate) fn send(&mut self, request: Request<Outgoing>) -> Sending {
        self.doing = Doing::Busy;
        Sending {
            read: self.read.clone(),
            read_before: self.read.count(),
            reply: Box::pin(self.sender.try_send_request(request)),
        }
    }

    /// Notes what the head of the reply says of the connection.
    pub(crate) fn replied(&mut self, reply: &Reply) {
        self.replies += 1;
        self.keep_alive = match reply.status() {
            // It speaks something else from now on.
            StatusCode::SWITCHING_PROTOCOLS => KeepAlive::Closed,
            _ => KeepAlive::of(reply.version(), reply.headers()),
        };
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn leave_reply(&mut self, sending: Sending) {
        self.doing = Doing::Unfinished(Unfinished::Reply(sending));
    }

    /// Nobody reads the rest of this body any more.
    pub(crate) fn leave_body(&mut self, body: Incoming) {
        self.doing = Doing::Unfinished(Unfinished::Body(body));
    }

    /// Whether it may carry another exchange, as far as can be seen; while one is under way, whether it has not ended.
    pub(crate) fn is_open(&self) -> bool {
        if self.sender.is_closed() {
            return false;
        }
        match &self.doing {
            // What has arrived and hyper's task has not seen yet: the end, mostly.
            Doing::Idle { since } => {
                self.keep_alive.is_kept(since.elapsed())
                    && (self.may_be_noisy() || self.watch.is_quiet())
            }
            Doing::Busy | Doing::Unfinished(_) => true,
        }
    }

    /// Before the first reply the server's session tickets may be among what has arrived.
    fn may_be_noisy(&self) -> bool {
        self.is_tls && self.replies == 0
    }

    /// What becomes of it, now that its user is done.
    pub(crate) fn verdict(&mut self) -> Verdict {
        match &self.doing {
            Doing::Idle { .. } => Verdict::Reuse,
            Doing::Unfinished(Unfinished::Reply(_)) => Verdict::Reset,
            _ if self.keep_alive == KeepAlive::Closed || self.sender.is_closed() => Verdict::Close,
            Doing::Unfinished(Unfinished::Body(body))
                if body.size_hint().lower() > FINISH_BYTES =>
            {
                Verdict::Close
            }
            Doing::Unfinished(Unfinished::Body(_)) => Verdict::Reset,
            Doing::Busy if self.sender.is_ready() => {
                self.rest();
                Verdict::Reuse
            }
            // hyper's task has still to see that the exchange is over, or to send the rest of the request.
            Doing::Busy => Verdict::Reset,
        }
    }

    fn rest(&mut self) {
        self.doing = Doing::Idle {
            since: Instant::now(),
        };
    }

    /// Brings what is unfinished to an end.
    ///
    /// # Errors
    /// [`Error::Unfinished`]: it took too long, or was too much, or the connection ended with it. It is to be closed.
    pub(crate) async fn finish(&mut self) -> Result<(), Error> {
        let doing = std::mem::replace(&mut self.doing, Doing::Busy);
        let limit = match doing {
            Doing::Unfinished(Unfinished::Reply(_)) => FINISH_REPLY_WITHIN,
            _ => FINISH_BODY_WITHIN,
        };
        timeout(limit, self.finish_unbounded(doing))
            .await
            .unwrap_or(Err(Error::Unfinished))
    }

    async fn finish_unbounded(&mut self, doing: Doing) -> Result<(), Error> {
        let body = match doing {
            Doing::Unfinished(Unfinished::Reply(sending)) => {
                let reply = sending.await.map_err(|_| Error::Unfinished)?;
                self.replied(&reply);
                Some(reply.into_body())
            }
            Doing::Unfinished(Unfinished::Body(body)) => Some(body),
            Doing::Idle { .. } | Doing::Busy => None,
        };
        if self.keep_alive == KeepAlive::Closed {
            return Err(Error::Unfinished);
        }
        if let Some(body) = body {
            read_to_end(body).await?;
        }
        self.sender.ready().await.map_err(|_| Error::Unfinished)?;
        self.rest();
        Ok(())
    }
}

/// Reads what is left of a body, if it is not too long.
async fn read_to_end(mut body: Incoming) -> Result<(), Error> {
    let mut left = FINISH_BYTES;
    while !body.is_end_stream() {
        if body.size_hint().lower() > left {
            return Err(Error::Unfinished);
        }
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        let read = match frame {
            None => break,
            Some(Ok(frame)) => frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) => return Err(Error::Unfinished),
        };
        left = left.checked_sub(read as u64).ok_or(Error::Unfinished)?;
    }
    Ok(())
}

impl Future for Sending {
    type Output = Result<Reply, SendingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut failed = match ready!(self.reply.as_mut().poll(cx)) {
            Ok(reply) => return Poll::Ready(Ok(reply)),
            Err(failed) => failed,
        };
        let unsent = failed.take_message();
        let error = failed.into_error();
        Poll::Ready(Err(match unsent {
            Some(request) => SendingError::Unsent(Box::new(request), error),
            None if self.read.count() > self.read_before => SendingError::Broken(error),
            None => SendingError::Unanswered(error),
        }))
    }
}
