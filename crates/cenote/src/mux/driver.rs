//! The one task of a connection: reads, writes what callers asked it to, and keeps time.
//!
//! Reading and writing do not wait for each other: a peer that does not read, because it waits for its
//! replies to be read, is read. And there is always a read under way, whether or not a call is: a peer that
//! closes an idle connection is noticed at once.
//!
//! Before it writes, it steps back once behind all tasks that can run: they append their requests first, and
//! all go in one write. Waking it for each request would send each in a write of its own.

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

use super::cells::Delivery;
use super::codec::{Decode, Reply};
use super::desk::Phase;
use super::engine::Engine;
use super::error::Disconnected;
use super::handle::Mux;
use super::settings::Ticks;
use crate::rt::{self, Sleep, catching};
use crate::sync::lock;
use crate::wake::wake_all;

/// Read at once: hundreds of replies, and not so many that their callers overflow the runtime's queue and
/// their cells the cache before they run.
const READ: usize = 16 << 10;

/// How long the goodbye may take when all is over.
const GOODBYE: Duration = Duration::from_secs(1);

pub(super) struct Driver<Req, Resp, D> {
    engine: Arc<Engine<Req, Resp>>,
    read: Box<dyn AsyncRead + Send + Unpin>,
    decode: D,
    input: BytesMut,
    /// How many callers' replies have come, and the wakers of those that wait.
    answered: usize,
    wakers: Vec<Waker>,
    /// Tags whose replies have come to nobody.
    quarantined: Vec<u32>,
    /// Where replies come in order, the cells of the next.
    order: VecDeque<u32>,
    /// It has stepped back, and is to write now.
    stepped_back: bool,
    clock: Option<Clock<Req>>,
    drain: Option<Pin<Box<Sleep>>>,
}

/// Makes the request of a ping.
pub(super) type MakePing<Req> = Arc<dyn Fn() -> Req + Send + Sync>;

/// What happens at set times.
struct Clock<Req> {
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
        let clock = settings.ticks().map(|Ticks { every, .. }| {
            let mut ticks = rt::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let ping = ping.zip(settings.ping_after).map(|(request, after)| Ping {
                request,
                after,
                silent: Duration::ZERO,
                sent: None,
            });
            Clock { ticks, every, ping }
        });
        Self {
            engine: Arc::clone(&mux.engine),
            read,
            decode,
            input: BytesMut::new(),
            answered: 0,
            wakers: Vec::new(),
            quarantined: Vec::new(),
            order: VecDeque::new(),
            stepped_back: false,
            clock,
            drain: None,
        }
    }

    async fn run(mut self) {
        let lost = catching(poll_fn(|cx| self.poll(cx))).await;
        // Left by a panic: their replies have come.
        wake_all(self.wakers.drain(..));
        self.engine.end(lost.unwrap_or(Disconnected::Panicked));
        // Whether the peer hears of it is its own affair.
        let engine = Arc::clone(&self.engine);
        let goodbye = poll_fn(|cx| lock(&engine.writer).poll_shutdown(cx));
        let _ = rt::timeout(GOODBYE, goodbye).await;
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

    /// Whether it is to step back and then write.
    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnected> {
        // Before the driver looks at anything: a caller that changes something after that wakes this task.
        self.engine.ask.set_driver(cx.waker());
        let (wrote, advances) = {
            let mut writer = lock(&self.engine.writer);
            let wrote = if self.stepped_back || !writer.is_done() {
                self.stepped_back = false;
                self.engine.poll_write(&mut writer, cx)
            } else {
                Poll::Ready(Ok(()))
            };
            (wrote, writer.advances())
        };
        if advances {
            self.is_taken_in();
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
        self.poll_clock(cx)?;
        // Asked is answered by taking the lanes even if another took what was in them: nobody asks twice.
        let has_requests = self.engine.ask.is_asked();
        let desk = self.engine.desk();
        match &desk.phase {
            Phase::Open => {}
            Phase::Draining(why) => {
                let why = why.clone();
                drop(desk);
                if self.engine.is_drained() || self.poll_drain(cx).is_ready() {
                    return Err(why);
                }
            }
            Phase::Ended(why) => return Err(why.clone()),
        }
        // After a delivery there may be more to read, however blocked the writing is.
        self.stepped_back = delivered || (has_requests && !is_blocked);
        Ok(self.stepped_back)
    }

    /// The peer takes in a request that is too large for the line: it is there, however long it takes, though it has
    /// nothing to say yet, nor a ping behind the request to answer.
    fn is_taken_in(&mut self) {
        self.engine.hears();
        if let Some(ping) = self.clock.as_mut().and_then(|clock| clock.ping.as_mut()) {
            ping.sent = ping.sent.map(|_| ping.silent);
        }
    }

    /// Reads until nothing is there or more than one caller was given a reply, which is then said.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Disconnected> {
        let mut delivered = false;
        loop {
            self.input.reserve(READ);
            let Poll::Ready(read) = poll_read_buf(Pin::new(&mut self.read), cx, &mut self.input)
            else {
                return Ok(delivered);
            };
            let is_end = read? == 0;
            if !is_end {
                self.engine.hears();
            }
            if let Some(ping) = self.clock.as_mut().and_then(|clock| clock.ping.as_mut()) {
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
        let Engine { cells, lanes, .. } = &*self.engine;
        let delivery = match tag {
            Some(tag) => cells.deliver_to_tag(tag, message),
            None => {
                if self.order.is_empty() {
                    lanes.written_in_order(&mut self.order);
                }
                match self.order.pop_front() {
                    Some(index) => cells.deliver(index, message),
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

    /// Wakes those whose replies have come. Whether there were more than one.
    fn wake_callers(&mut self) -> bool {
        let engine = &self.engine;
        let callers = std::mem::take(&mut self.answered);
        if !self.quarantined.is_empty() {
            engine.release(&mut self.quarantined);
        }
        engine.ask.answered(callers);
        wake_all(self.wakers.drain(..));
        callers > 1
    }

    /// Counts the ticks; wakes those whose time is over; pings.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Result<(), Disconnected> {
        let Some(clock) = &mut self.clock else {
            return Ok(());
        };
        while clock.ticks.poll_tick(cx).is_ready() {
            let engine = &self.engine;
            engine.ticks.fetch_add(1, Ordering::Relaxed);
            engine.wake_overdue();
            let heard = engine.heard.times();
            if let Some(ping) = &mut clock.ping {
                ping.silent += clock.every;
                let limit = engine.settings.ping_timeout;
                let silent = |sent| ping.silent - sent;
                match ping.sent {
                    Some(sent) if silent(sent) >= limit => {
                        return Err(Disconnected::Silent { limit });
                    }
                    Some(sent) if silent(sent) >= limit / 4 => engine.suspects(),
                    None if ping.silent >= ping.after || engine.desk().row.goes_on(heard) => {
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

/// However the task ends, no caller waits for it any more, and the connection's halves are dropped though handles
/// remain.
impl<Req, Resp, D> Drop for Driver<Req, Resp, D> {
    fn drop(&mut self) {
        self.engine.end(Disconnected::RuntimeGone);
        let half = lock(&self.engine.writer).take_half();
        drop(half);
    }
}
