//! The one task of a connection: reads, writes what callers request, and keeps time.
//!
//! Reading and writing do not wait for each other: a peer that does not read, because it waits for its
//! replies to be read, is read. And there is always a read under way, whether or not a call is: a peer that
//! closes an idle connection is noticed at once.
//!
//! Before it writes, the driver yields once to all tasks that can run: they append their requests first, and
//! all go in one write. Waking the driver for each request would send each in a write of its own.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::runtime::Handle;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::io::poll_read_buf;

use super::admission::Phase;
use super::codec::{Decode, Reply};
use super::engine::Engine;
use super::error::Disconnected;
use super::handle::Mux;
use super::pending::Delivery;
use super::settings::Ticks;
use crate::rt::{self, Sleep, catching};
use crate::sync::lock;
use crate::wake::wake_all;

/// Read at once: hundreds of replies, and not so many that their callers overflow the runtime's queue and
/// their entries the processor's cache before they run.
const READ_SIZE: usize = 16 << 10;

/// How long the shutdown of the write half may take once the connection has ended.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) struct Driver<Req, Resp, D> {
    engine: Arc<Engine<Req, Resp>>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    decode: D,
    input: BytesMut,
    /// How many callers' replies have come, and the wakers of the callers that wait.
    answered: usize,
    wakers: Vec<Waker>,
    /// Tags whose replies have come after their callers had left.
    quarantined: Vec<u32>,
    /// Where replies come in order, the indices of the requests that the next ones answer.
    next_in_order: VecDeque<u32>,
    /// The driver has yielded, and is to write now.
    has_yielded: bool,
    timing: Option<Timing<Req>>,
    drain: Option<Pin<Box<Sleep>>>,
}

/// Makes the request of a ping.
pub(super) type MakePing<Req> = Arc<dyn Fn() -> Req + Send + Sync>;

/// What happens at set times.
struct Timing<Req> {
    ticks: Interval,
    every: Duration,
    ping: Option<Ping<Req>>,
}

struct Ping<Req> {
    request: MakePing<Req>,
    after: Duration,
    /// For how long not a byte came.
    silent: Duration,
    /// How long that was when the ping was sent.
    sent: Option<Duration>,
}

impl<Req, Resp, D> Driver<Req, Resp, D>
where
    Req: Send + 'static,
    Resp: Send + 'static,
    D: Decode<Resp>,
{
    /// Begins, on `runtime`.
    pub(super) fn start(
        runtime: &Handle,
        mux: &Mux<Req, Resp>,
        read: Box<dyn AsyncRead + Send + Unpin>,
        decode: D,
        ping: Option<MakePing<Req>>,
    ) {
        runtime.spawn(Self::new(mux, read, decode, ping).run());
    }

    pub(super) fn new(
        mux: &Mux<Req, Resp>,
        read: Box<dyn AsyncRead + Send + Unpin>,
        decode: D,
        ping: Option<MakePing<Req>>,
    ) -> Self {
        let settings = &mux.engine.settings;
        let timing = settings.ticks().map(|Ticks { every, .. }| {
            let mut ticks = rt::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let ping = ping.zip(settings.ping_after).map(|(request, after)| Ping {
                request,
                after,
                silent: Duration::ZERO,
                sent: None,
            });
            Timing { ticks, every, ping }
        });
        Self {
            engine: Arc::clone(&mux.engine),
            read,
            decode,
            input: BytesMut::new(),
            answered: 0,
            wakers: Vec::new(),
            quarantined: Vec::new(),
            next_in_order: VecDeque::new(),
            has_yielded: false,
            timing,
            drain: None,
        }
    }

    async fn run(mut self) {
        let lost = catching(poll_fn(|cx| self.poll(cx))).await;
        // Left by a panic: their replies have come.
        wake_all(self.wakers.drain(..));
        self.engine.end(lost.unwrap_or(Disconnected::Panicked));
        // Whether the peer learns of it is the peer's affair.
        let engine = Arc::clone(&self.engine);
        let shutdown = poll_fn(|cx| lock(&engine.write_half).poll_shutdown(cx));
        let _ = rt::timeout(SHUTDOWN_TIMEOUT, shutdown).await;
    }

    /// Until the connection has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnected> {
        match self.poll_steps(cx) {
            Ok(true) => {
                // Behind all tasks that can run.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(false) => Poll::Pending,
            Err(lost) => Poll::Ready(lost),
        }
    }

    /// Whether the driver is to yield and then write.
    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnected> {
        // Before anything is read: a caller that changes something after that wakes this task.
        self.engine.write_signal.set_driver(cx.waker());
        let (wrote, is_progressing) = {
            let mut write_half = lock(&self.engine.write_half);
            let wrote = if self.has_yielded || !write_half.is_done() {
                self.has_yielded = false;
                self.engine.poll_flush(&mut write_half, cx)
            } else {
                Poll::Ready(Ok(()))
            };
            (wrote, write_half.is_progressing())
        };
        if is_progressing {
            self.record_progress();
        }
        // Before a fault of writing is told: what came is delivered, and a peer's close says more, unless it is
        // all that is left to read after a reset.
        let read = self.poll_read(cx);
        let is_blocked = match wrote {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(error.into());
            }
            Poll::Ready(Err(error)) => return Err(read.err().unwrap_or(error.into())),
            Poll::Ready(Ok(())) => false,
            Poll::Pending => true,
        };
        let delivered = read?;
        self.poll_timing(cx)?;
        // The lanes are taken, which clears the flag, even if a caller flushed meanwhile: a set flag suppresses further
        // requests.
        let is_requested = self.engine.write_signal.is_requested();
        let admission = self.engine.admission();
        match &admission.phase {
            Phase::Open => {}
            Phase::Draining(why) => {
                let why = why.clone();
                drop(admission);
                if self.engine.is_drained() || self.poll_drain(cx).is_ready() {
                    return Err(why);
                }
            }
            Phase::Ended(why) => return Err(why.clone()),
        }
        // After a delivery there may be more to read, however blocked the writing is.
        self.has_yielded = delivered || (is_requested && !is_blocked);
        Ok(self.has_yielded)
    }

    /// The peer takes a request that is too large for the connection's buffers: it lives, however long that takes,
    /// though it has nothing to answer yet, for the ping waits behind the request.
    fn record_progress(&mut self) {
        self.engine.record_activity();
        if let Some(ping) = self.timing.as_mut().and_then(|timing| timing.ping.as_mut()) {
            ping.sent = ping.sent.map(|_| ping.silent);
        }
    }

    /// Reads until nothing is there or more than one caller was given a reply. Whether there was more than one.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnected> {
        let mut delivered = false;
        loop {
            self.input.reserve(READ_SIZE);
            let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.read), cx, &mut self.input)
            else {
                return Ok(delivered);
            };
            let is_end = read? == 0;
            if !is_end {
                self.engine.record_activity();
            }
            if let Some(ping) = self.timing.as_mut().and_then(|timing| timing.ping.as_mut()) {
                ping.silent = Duration::ZERO;
                ping.sent = None;
            }
            // What was whole before the fault is delivered.
            let fault = self.decode(is_end).err();
            delivered |= self.wake_callers();
            if let Some(lost) = fault {
                return Err(lost);
            }
            if delivered {
                return Ok(true);
            }
            if is_end {
                return Err(if self.input.is_empty() {
                    Disconnected::PeerClosed
                } else {
                    Disconnected::CutShort
                });
            }
        }
    }

    /// Gives what has come whole to its callers.
    fn decode(&mut self, is_end: bool) -> Result<(), Disconnected> {
        loop {
            let reply = if is_end {
                if self.input.is_empty() {
                    return Ok(());
                }
                // Nothing whole was left in it, so that an error means what is missing.
                let reply = self.decode.decode_eof(&mut self.input);
                reply.map_err(|_| Disconnected::CutShort)
            } else {
                let reply = self.decode.decode(&mut self.input);
                reply.map_err(|error| Disconnected::Malformed(error.into()))
            };
            match reply? {
                Some(reply) => self.deliver(reply)?,
                None => break,
            }
        }
        let limit = self.engine.settings.max_frame;
        if self.input.len() > limit {
            return Err(Disconnected::FrameTooLong { limit });
        }
        Ok(())
    }

    fn deliver(&mut self, Reply { tag, message }: Reply<Resp>) -> Result<(), Disconnected> {
        let Engine { pending, lanes, .. } = &*self.engine;
        let delivery = match tag {
            Some(tag) => pending.deliver_to_tag(tag, message),
            None => {
                if self.next_in_order.is_empty() {
                    lanes.take_written(&mut self.next_in_order);
                }
                match self.next_in_order.pop_front() {
                    Some(index) => pending.deliver(index, message),
                    None => Delivery::Unknown,
                }
            }
        };
        match delivery {
            Delivery::ToCaller(waker) => {
                self.answered += 1;
                self.wakers.extend(waker);
            }
            Delivery::ToNobody(index, message) => {
                self.quarantined.push(index);
                drop(message);
            }
            Delivery::Unknown => {
                return Err(
                    tag.map_or(Disconnected::NoRequest, |tag| Disconnected::UnknownTag {
                        tag,
                    }),
                );
            }
        }
        Ok(())
    }

    /// Wakes the callers whose replies have come. Whether there was more than one.
    fn wake_callers(&mut self) -> bool {
        let engine = &self.engine;
        let callers = std::mem::take(&mut self.answered);
        if !self.quarantined.is_empty() {
            engine.release_quarantined(&mut self.quarantined);
        }
        engine.write_signal.note_answered(callers);
        wake_all(self.wakers.drain(..));
        callers > 1
    }

    /// Counts the ticks; wakes the callers whose time is over; pings.
    fn poll_timing(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnected> {
        let Some(timing) = &mut self.timing else {
            return Ok(());
        };
        while timing.ticks.poll_tick(cx).is_ready() {
            let engine = &self.engine;
            engine.ticks.fetch_add(1, Ordering::Relaxed);
            engine.wake_overdue();
            let activity = engine.activity.count();
            if let Some(ping) = &mut timing.ping {
                ping.silent += timing.every;
                let limit = engine.settings.ping_timeout;
                let silent = |sent| ping.silent - sent;
                match ping.sent {
                    Some(sent) if silent(sent) >= limit => {
                        return Err(Disconnected::Silent { limit });
                    }
                    Some(sent) if silent(sent) >= limit / 4 => engine.suspect_peer(),
                    None if ping.silent >= ping.after
                        || engine.admission().give_ups.is_current(activity) =>
                    {
                        ping.sent = Some(ping.silent);
                        engine.ping((ping.request)())?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Ready when a drain has had its time.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.engine.settings.drain_timeout;
        let timer = self.drain.get_or_insert_with(|| Box::pin(rt::sleep(limit)));
        timer.as_mut().poll(cx)
    }
}

/// However the task ends, no caller waits for it any more, and the connection's halves are dropped even if handles
/// remain.
impl<Req, Resp, D> Drop for Driver<Req, Resp, D> {
    fn drop(&mut self) {
        self.engine.end(Disconnected::RuntimeGone);
        let io = lock(&self.engine.write_half).take_io();
        drop(io);
    }
}
