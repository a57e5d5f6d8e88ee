//! One connection, whichever version of HTTP it speaks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cenote::error::BoxError;
use cenote::net::Watch;
use cenote::{Signals, Verdict};
use http::Request;
use tokio::runtime::Handle;

use super::outgoing::Outgoing;
use super::reply::{Repeat, Reply, Sending};
use super::transport::{BytesRead, Counted, Transport};
use super::{Incoming, SlowStart, Target, http1, http2};
use crate::connection_handle::RetiredFlag;
use crate::error::Error;

/// A connection that carries requests.
pub(crate) struct Connection {
    wire: Wire,
    /// That of its own tasks.
    runtime: Handle,
    /// Replies it has had.
    replies: AtomicU64,
    retired: RetiredFlag,
}

enum Wire {
    Http1(http1::Connection),
    Http2(http2::Connection),
}

impl Connection {
    /// Begins to speak HTTP/1.1 over `transport`, in a task of its own, which tells by `signals` when it is over.
    ///
    /// # Errors
    /// The codec's.
    pub(crate) async fn http1(
        transport: Box<dyn Transport>,
        is_tls: bool,
        watch: Watch,
        target: Target,
        signals: Signals,
    ) -> Result<Self, BoxError> {
        let (counted, read) = Counted::new(transport);
        let opened = http1::Connection::open(counted, read, is_tls, watch, target, signals).await?;
        Ok(Self::new(Wire::Http1(opened)))
    }

    /// Begins to speak HTTP/2 over `transport`, in a task of its own, which tells by `signals` what changes. `slow_start` is of
    /// all connections to the server.
    ///
    /// # Errors
    /// The codec's.
    pub(crate) async fn http2(
        transport: Box<dyn Transport>,
        signals: Signals,
        slow_start: &SlowStart,
    ) -> Result<Self, BoxError> {
        let (counted, read): (_, BytesRead) = Counted::new(transport);
        let opened = http2::Connection::open(counted, read, signals, slow_start).await?;
        Ok(Self::new(Wire::Http2(opened)))
    }

    fn new(wire: Wire) -> Self {
        Self {
            wire,
            runtime: Handle::current(),
            replies: AtomicU64::new(0),
            retired: RetiredFlag::default(),
        }
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// By what somebody may retire it who has no lease on it any more.
    pub(crate) fn retired_flag(&self) -> RetiredFlag {
        self.retired.clone()
    }

    /// Whether it carried an exchange before, so that the server may be about to close it.
    pub(crate) fn is_reused(&self) -> bool {
        self.replies.load(Relaxed) > 0
    }

    /// Sends a request. What is returned is not tied to the connection: dropped, it gives the request up, and closes an
    /// HTTP/1.1 connection; see [`leave_reply`](Self::leave_reply).
    pub(crate) fn send(&self, request: Request<Outgoing>, repeat: Repeat) -> Sending {
        match &self.wire {
            Wire::Http1(wire) => Sending::Http1(wire.send(request, repeat)),
            Wire::Http2(wire) => Sending::Http2(wire.send(request)),
        }
    }

    /// Notes what the head of the reply says of the connection.
    pub(crate) fn replied(&self, reply: &Reply) {
        self.replies.fetch_add(1, Relaxed);
        match &self.wire {
            Wire::Http1(wire) => wire.replied(reply),
            Wire::Http2(wire) => wire.replied(),
        }
    }

    /// Nobody waits for this reply any more.
    pub(crate) fn leave_reply(&self, sending: Sending) {
        match (&self.wire, sending) {
            (Wire::Http1(wire), Sending::Http1(sending)) => {
                wire.leave_reply(sending, &self.runtime)
            }
            (Wire::Http2(wire), Sending::Http2(sending)) => wire.leave_reply(sending),
            (_, sending) => drop(sending),
        }
    }

    /// Nobody reads the rest of this body any more.
    pub(crate) fn leave_body(&self, body: Incoming) {
        match (&self.wire, body) {
            (Wire::Http1(wire), Incoming::Http1(body)) => wire.leave_body(body, &self.runtime),
            (_, body) => drop(body),
        }
    }

    /// An exchange on it broke off: HTTP/1.1 carries nothing after that.
    pub(crate) fn broke_off(&self) {
        if let Wire::Http1(wire) = &self.wire {
            wire.broke_off();
        }
    }

    /// A lease on it is about to end.
    pub(crate) fn settle(&self) {
        if let Wire::Http1(wire) = &self.wire {
            wire.settle(&self.runtime);
        }
    }

    /// Whether it may carry another exchange, now or later, as far as can be seen.
    pub(crate) fn is_open(&self) -> bool {
        let is_open = match &self.wire {
            Wire::Http1(wire) => wire.is_open(),
            Wire::Http2(wire) => wire.is_open(),
        };
        is_open && !self.retired.is_raised()
    }

    /// How many exchanges it carries at once.
    pub(crate) fn capacity(&self) -> usize {
        match &self.wire {
            Wire::Http1(wire) => wire.capacity(),
            Wire::Http2(wire) => wire.capacity(),
        }
    }

    /// What becomes of it, now that nobody uses it.
    pub(crate) fn verdict(&self) -> Verdict {
        match &self.wire {
            Wire::Http1(wire) => wire.verdict(),
            Wire::Http2(_) => Verdict::Reuse,
        }
    }

    /// Waits until what its last user left is brought to an end.
    ///
    /// # Errors
    /// [`Error::Unfinished`]: it is to be closed.
    pub(crate) async fn finished(&self) -> Result<(), Error> {
        match &self.wire {
            Wire::Http1(wire) => wire.finished().await,
            Wire::Http2(_) => Ok(()),
        }
    }

    /// A round trip, where the version has one.
    ///
    /// # Errors
    /// The connection has ended, or does not answer.
    pub(crate) async fn check(&self) -> Result<(), BoxError> {
        match &self.wire {
            Wire::Http1(_) => Ok(()),
            Wire::Http2(wire) => wire.answers().await,
        }
    }
}
