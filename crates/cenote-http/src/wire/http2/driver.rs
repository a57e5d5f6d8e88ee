//! The task that reads and writes for all exchanges of a connection, and tells what it finds out.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use cenote::time::{Instant, Sleep, sleep_until};
use h2::client::{self, SendRequest};
use h2::{Ping, PingPong};

use super::connection::{MAX_STREAMS, Phase, Shared, UNKNOWN, lock};
use crate::wire::transport::{BytesRead, Counted};

/// A peer that is asked answers within this time, or is gone: as long as a new connection may take to open by default.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Drives one connection to its end.
pub(super) struct Driver {
    connection: client::Connection<Counted, Bytes>,
    /// Knows the peer's limit and whether it goes away; keeps the connection open until it is dropped.
    probe: Option<SendRequest<Bytes>>,
    ping: Option<PingPong>,
    /// Until when the peer is to answer.
    answer_by: Option<Pin<Box<Sleep>>>,
    read: BytesRead,
    /// So much of it had been read when it was asked.
    heard_before: u64,
    shared: Arc<Shared>,
    turn: Turn,
}

/// Whether the driver works when it is polled, or first lets others run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It was just woken.
    Woken,
    /// It has let those run who were ready.
    Due,
}

impl Driver {
    pub(super) fn new(
        mut connection: client::Connection<Counted, Bytes>,
        probe: SendRequest<Bytes>,
        read: BytesRead,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            ping: connection.ping_pong(),
            connection,
            probe: Some(probe),
            answer_by: None,
            read,
            heard_before: 0,
            shared,
            turn: Turn::Woken,
        }
    }

    /// Does what was asked for by others than the peer.
    fn heed(&mut self, cx: &mut Context<'_>) {
        {
            let mut waker = lock(&self.shared.waker);
            if !waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                *waker = Some(cx.waker().clone());
            }
        }
        if self.shared.is_left.load(Relaxed) {
            self.probe = None;
        }
        if !self.shared.is_suspect.load(Relaxed) {
            return;
        }
        if self.answer_by.is_none()
            && let Some(ping) = &mut self.ping
            && ping.send_ping(Ping::opaque()).is_ok()
        {
            let by = Instant::now() + ANSWER_WITHIN;
            self.answer_by = Some(Box::pin(sleep_until(by)));
            self.heard_before = self.read.count();
            self.enter(Phase::Probing);
        }
        // Last, so that there is no moment in between at which the connection takes streams.
        self.shared.is_suspect.store(false, Release);
    }

    /// Whether the peer was asked, and has not answered in time.
    fn is_dead(&mut self, cx: &mut Context<'_>) -> bool {
        let (Some(answer_by), Some(ping)) = (&mut self.answer_by, &mut self.ping) else {
            return false;
        };
        if ping.poll_pong(cx).is_ready() {
            self.answer_by = None;
            self.shared
                .doubt
                .answered(self.heard_before, self.read.count());
            self.enter(Phase::Open);
            self.shared.is_proved.notify_waiters();
            return false;
        }
        answer_by.as_mut().poll(cx).is_ready()
    }

    /// Tells what the peer says of itself.
    fn publish(&mut self) {
        let Some(probe) = &self.probe else {
            return;
        };
        let limit = probe.current_max_send_streams();
        if limit == UNKNOWN {
            return;
        }
        let limit = limit.min(MAX_STREAMS);
        if let Some(error) = self.refusal() {
            *lock(&self.shared.error) = Some(error);
            // Else it would keep the connection open.
            self.probe = None;
            return self.enter(Phase::Leaving);
        }
        if self.shared.limit.swap(limit, Relaxed) != limit {
            self.shared.has_greeted.notify_waiters();
            self.shared.signals.ask_again();
        }
    }

    /// Why no more streams may be opened.
    fn refusal(&mut self) -> Option<h2::Error> {
        let probe = self.probe.as_mut()?;
        // Ready, or it fails: this handle has opened no stream that could have to wait.
        match probe.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(error)) => Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => None,
        }
    }

    fn enter(&self, phase: Phase) {
        if self.shared.phase() == Phase::Leaving || !self.shared.enter(phase) {
            return;
        }
        match phase {
            Phase::Open | Phase::Probing => self.shared.signals.ask_again(),
            Phase::Leaving => {
                self.shared.is_proved.notify_waiters();
                self.shared.has_greeted.notify_waiters();
                self.shared.signals.closed();
            }
        }
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // One exchange that wakes it would have its frames written at once, one write for each; so those that are ready run
        // first, and one write carries what all of them have. One alone has nobody to wait for.
        if this.turn == Turn::Woken && this.shared.under_way.load(Relaxed) > 1 {
            this.turn = Turn::Due;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.turn = Turn::Woken;
        this.heed(cx);
        let polled = Pin::new(&mut this.connection).poll(cx);
        if let Poll::Ready(ended) = polled {
            // Where the peer went away in peace, the connection itself has no error.
            if let Some(error) = ended.err().or_else(|| this.refusal()) {
                *lock(&this.shared.error) = Some(error);
            }
        } else if !this.is_dead(cx) {
            this.publish();
            return Poll::Pending;
        }
        this.enter(Phase::Leaving);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    /// Also where its runtime ends.
    fn drop(&mut self) {
        self.enter(Phase::Leaving);
    }
}
