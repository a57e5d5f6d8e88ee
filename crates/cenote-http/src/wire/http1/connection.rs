//! One connection: hyper's handle on it, what it is doing, and how long the server keeps it.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cenote::net::Watch;
use cenote::time::Instant;
use cenote::{Signals, Verdict};
use http::{HeaderValue, Request};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::finishing::{self, FINISH_BYTES, Left};
use super::form::{self, Target};
use super::sending::Sending;
use crate::error::Error;
use crate::keep_alive::KeepAlive;
use crate::wire::outgoing::Outgoing;
use crate::wire::reply::{Repeat, Reply};
use crate::wire::transport::{BytesRead, Counted};

/// A connection that speaks HTTP/1.1.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    read: BytesRead,
    watch: Watch,
    is_tls: bool,
    target: Target,
    /// The field of requests that bring none: all are for one host.
    host: OnceLock<HeaderValue>,
}

/// What the connection and the task that finishes what was left have in common.
pub(super) struct Shared {
    /// A leaf lock: hyper's handle takes none of ours, and signals are given when it is let go.
    state: Mutex<State>,
    signals: Signals,
    /// What was left is finished, one way or the other.
    pub(super) is_finished: Notify,
}

/// Guarded by `Shared::state`.
pub(super) struct State {
    pub(super) sender: SendRequest<Outgoing>,
    pub(super) doing: Doing,
    keep_alive: KeepAlive,
    had_reply: bool,
}

pub(super) enum Doing {
    Idle {
        since: Instant,
    },
    /// An exchange is under way, and somebody waits for it; or its end was seen a moment ago.
    Busy,
    /// The exchange is under way, and nobody waits for it but this task.
    Finishing(AbortHandle),
    /// It carries nothing any more.
    Over,
}

impl Connection {
    /// Begins to speak HTTP over `transport`, in a task of its own, which tells by `signals` when it is over.
    pub(crate) async fn open(
        transport: Counted,
        read: BytesRead,
        is_tls: bool,
        watch: Watch,
        target: Target,
        signals: Signals,
    ) -> hyper::Result<Self> {
        let (sender, task) = http1::handshake(TokioIo::new(transport)).await?;
        let told = signals.clone();
        tokio::spawn(async move {
            // Of an error the exchange that is under way hears, and nobody else asks.
            let _ = task.with_upgrades().await;
            told.closed();
        });
        let state = State {
            sender,
            doing: Doing::Idle {
                since: Instant::now(),
            },
            keep_alive: KeepAlive::Unlimited,
            had_reply: false,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                signals,
                is_finished: Notify::new(),
            }),
            read,
            watch,
            is_tls,
            target,
            host: OnceLock::new(),
        })
    }

    pub(crate) fn send(&self, request: Request<Outgoing>, repeat: Repeat) -> Sending {
        let copy = match repeat {
            Repeat::Never => None,
            Repeat::Allowed => request.body().copy().map(|body| {
                let mut copy = Request::new(body);
                copy.method_mut().clone_from(request.method());
                copy.uri_mut().clone_from(request.uri());
                copy.headers_mut().clone_from(request.headers());
                copy.extensions_mut().clone_from(request.extensions());
                copy
            }),
        };
        let (mut head, body) = request.into_parts();
        let uri = form::make(&mut head, self.target, &self.host);
        let request = Request::from_parts(head, body);
        let mut state = self.shared.state();
        state.doing = Doing::Busy;
        Sending {
            uri,
            copy,
            read: self.read.clone(),
            read_before: self.read.count(),
            reply: Box::pin(state.sender.try_send_request(request)),
        }
    }

    pub(crate) fn replied(&self, reply: &Reply) {
        let head = &reply.head;
        let keep_alive = KeepAlive::of_reply(head.status, head.version, &head.headers);
        self.shared.state().note_reply(keep_alive);
    }

    pub(crate) fn leave_reply(&self, sending: Sending, runtime: &Handle) {
        self.finish(Left::Reply(Box::new(sending)), runtime);
    }

    pub(crate) fn leave_body(&self, body: Incoming, runtime: &Handle) {
        if body.size_hint().lower() > FINISH_BYTES {
            self.broke_off();
        } else {
            self.finish(Left::Body(body), runtime);
        }
    }

    pub(crate) fn broke_off(&self) {
        self.shared.state().doing = Doing::Over;
    }

    /// A lease is about to end: if its exchange is over, the connection is ready for the next.
    pub(crate) fn settle(&self, runtime: &Handle) {
        {
            let mut state = self.shared.state();
            match state.doing {
                Doing::Idle { .. } | Doing::Finishing(_) | Doing::Over => return,
                Doing::Busy if state.is_over() => {
                    state.doing = Doing::Over;
                    return;
                }
                Doing::Busy if state.sender.is_ready() => return,
                // hyper's task has still to see that the exchange is over, or to send the rest of the request.
                Doing::Busy => {}
            }
        }
        self.finish(Left::Nothing, runtime);
    }

    fn finish(&self, left: Left, runtime: &Handle) {
        let mut state = self.shared.state();
        let task = finishing::finish(Arc::clone(&self.shared), left);
        // Its first look waits for the lock.
        state.doing = Doing::Finishing(runtime.spawn(task).abort_handle());
    }

    pub(crate) fn is_open(&self) -> bool {
        let mut state = self.shared.state();
        if state.sender.is_closed() {
            return false;
        }
        match state.doing {
            // Its last user has just seen the end of the exchange: there is nothing to look for.
            Doing::Busy if state.sender.is_ready() && !state.is_over() => {
                state.rest();
                true
            }
            Doing::Busy | Doing::Finishing(_) => true,
            // What has arrived and hyper's task has not seen yet: the end, mostly.
            Doing::Idle { since } => {
                let is_noisy = self.is_tls && !state.had_reply;
                let is_kept = state.keep_alive.is_kept(since.elapsed());
                drop(state);
                // Before the first reply the server's session tickets may be among what has arrived.
                is_kept && (is_noisy || self.watch.is_quiet())
            }
            Doing::Over => false,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        match self.shared.state().doing {
            Doing::Idle { .. } | Doing::Busy => 1,
            Doing::Finishing(_) | Doing::Over => 0,
        }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self.shared.state().doing {
            Doing::Idle { .. } => Verdict::Reuse,
            Doing::Finishing(_) => Verdict::Reset,
            Doing::Busy | Doing::Over => Verdict::Close,
        }
    }

    pub(crate) async fn finished(&self) -> Result<(), Error> {
        loop {
            let finished = self.shared.is_finished.notified();
            match self.shared.state().doing {
                Doing::Idle { .. } => return Ok(()),
                Doing::Busy | Doing::Over => return Err(Error::Unfinished),
                Doing::Finishing(_) => {}
            }
            finished.await;
        }
    }
}

impl Drop for Connection {
    /// The socket is closed now, and not when what was left is finished.
    fn drop(&mut self) {
        let doing = std::mem::replace(&mut self.shared.state().doing, Doing::Over);
        if let Doing::Finishing(task) = doing {
            task.abort();
        }
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was left is finished, and well so or not.
    pub(super) fn finished(&self, outcome: Result<(), Error>) {
        {
            let mut state = self.state();
            match outcome {
                Ok(()) => state.rest(),
                Err(_) => state.doing = Doing::Over,
            }
        }
        self.is_finished.notify_waiters();
        match outcome {
            Ok(()) => self.signals.ask_again(),
            Err(_) => self.signals.closed(),
        }
    }
}

impl State {
    pub(super) fn note_reply(&mut self, keep_alive: KeepAlive) {
        self.had_reply = true;
        self.keep_alive = keep_alive;
    }

    /// Whether it carries no further exchange, by the server's word or because it has ended.
    pub(super) fn is_over(&self) -> bool {
        self.keep_alive == KeepAlive::Closed || self.sender.is_closed()
    }

    fn rest(&mut self) {
        self.doing = Doing::Idle {
            since: Instant::now(),
        };
    }
}
