//! A mux's settings and how one is built.

use std::fmt;
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_util::codec::{Decoder, Encoder};

use super::driver::{Decode, Driver, Reply};
use super::engine::Engine;
use super::frame::{Frame, Tag};
use super::handle::Mux;
use super::lane::{Encode, Lanes, MAX_LANES};
use super::writer::Writer;
use crate::error::{BoxError, SettingsError};
use crate::settings::refuse;

/// The default of `encoders` where there may be several, at most.
const ENCODERS: usize = 16;

/// Requests may be pending on one connection.
const MAX_IN_FLIGHT: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) max_in_flight: usize,
    pub(super) max_queued: usize,
    pub(super) max_buffered: usize,
    pub(super) max_frame: usize,
    pub(super) call_timeout: Option<Duration>,
    pub(super) drain_timeout: Duration,
    pub(super) max_timeouts: u32,
    pub(super) max_abandoned: usize,
    pub(super) max_silence: Option<Duration>,
    pub(super) ping_after: Option<Duration>,
    pub(super) ping_timeout: Duration,
}

impl Settings {
    /// How often the driver looks at the time, and after how many of its looks a call has had its time.
    /// Nothing is watched for less than eight of them, and a call's time-out is a whole number of them.
    pub(super) fn ticks(&self) -> Option<Ticks> {
        let ping = self.ping_after.map(|after| after.min(self.ping_timeout));
        let least = self.call_timeout.into_iter().chain(ping).min()?;
        let every = least / TICKS;
        let counted = self.call_timeout.and_then(|limit| {
            let ticks = limit.as_nanos().div_ceil(every.as_nanos());
            let per_call = u32::try_from(ticks).ok()?;
            Some(Ticks {
                every: limit / per_call,
                per_call,
            })
        });
        // Beyond what is counted, no call is ever overdue.
        let per_call = u32::MAX;
        Some(counted.unwrap_or(Ticks { every, per_call }))
    }
}

/// How often time is looked at, at least, in the shortest of what is watched.
const TICKS: u32 = 8;

#[derive(Clone, Copy, Debug)]
pub(super) struct Ticks {
    pub(super) every: Duration,
    pub(super) per_call: u32,
}

/// Says how a [`Mux`] is to behave, then puts it on a connection: [`tagged`](Self::tagged) or
/// [`in_order`](Self::in_order).
#[must_use = "a builder does nothing until it is given a connection"]
pub struct MuxBuilder<Req> {
    settings: Settings,
    max_abandoned: Option<usize>,
    encoders: Option<usize>,
    ping: Option<Box<dyn Fn() -> Req + Send>>,
}

impl<Req: Send + 'static> MuxBuilder<Req> {
    /// All settings at their defaults.
    pub fn new() -> Self {
        Self {
            settings: Settings {
                max_in_flight: 1024,
                max_queued: 10_000,
                max_buffered: 1 << 20,
                max_frame: 64 << 20,
                call_timeout: Some(Duration::from_secs(30)),
                drain_timeout: Duration::from_secs(5),
                max_timeouts: 8,
                max_abandoned: 0,
                max_silence: Some(Duration::from_secs(3)),
                ping_after: None,
                ping_timeout: Duration::from_secs(5),
            },
            max_abandoned: None,
            encoders: None,
            ping: None,
        }
    }

    /// How many requests may be pending at once, those whose callers have left included. 1 to 1,048,576, and
    /// no more than the protocol has tags. Default: 1,024.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.settings.max_in_flight = requests;
        self
    }

    /// How many calls may wait for their turn when so many are pending; one more is refused with
    /// [`CallError::QueueFull`](super::CallError::QueueFull). Default: 10,000. With 0 none waits.
    pub fn max_queued(mut self, calls: usize) -> Self {
        self.settings.max_queued = calls;
        self
    }

    /// How many bytes of messages without a reply may wait to be written before [`Mux::send`] waits; threads that send
    /// at the same moment may each add one message to that. At least 1. Default: 1 MiB.
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.settings.max_buffered = bytes;
        self
    }

    /// How many bytes the peer may send without ending a frame; more end the connection. At least 1.
    /// Default: 64 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.settings.max_frame = bytes;
        self
    }

    /// How long a call may take, its turn included; none: as long as the connection lives. Watched by one
    /// timer for all calls, so that it may be late by an eighth; [`Call::timeout`](super::Call::timeout) is
    /// exact. At least 8 ms. Default: 30 s.
    pub fn call_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.call_timeout = limit.into();
        self
    }

    /// How many threads may encode their requests at once, each with a clone of the codec; no more are used than half
    /// of `max_in_flight`. With one, the encoder sees all messages in the order in which they are sent, and may keep
    /// something from one for the next: a counter, a dictionary of compression. Several let callers on many threads
    /// run beside each other. An encoder must not call the mux.
    ///
    /// 1 to 128. Default: one; for a codec without fields, which can keep nothing, twice as many as there are
    /// processors, and no more than 16.
    pub fn encoders(mut self, clones: usize) -> Self {
        self.encoders = Some(clones);
        self
    }

    /// How long a connection that takes no new calls waits for its pending ones. Default: 5 s.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }

    /// After how many time-outs without a byte from the peer in between the connection takes no new calls, ends when
    /// its pending ones have, and is to be replaced. With [pings](Self::ping) it is they that decide, and this does not
    /// count. At least 1. Default: 8.
    pub fn max_timeouts(mut self, in_a_row: u32) -> Self {
        self.settings.max_timeouts = in_a_row;
        self
    }

    /// For how long the peer may be silent while callers give up: when one does so long after another, and not a byte
    /// came between, the same happens as after [`max_timeouts`](Self::max_timeouts). A caller gives up when
    /// the call times out or is dropped while its reply is due, as by `tokio::time::timeout` around it. With
    /// [pings](Self::ping) it is they that decide, and this does not count.
    ///
    /// A request too large for the line to take at once counts as such a byte with each step in which it goes in; it
    /// does so for pings, too, which wait behind it.
    ///
    /// Without pings there is no telling a peer that vanished from one that is only slow with everything: where all
    /// replies may take longer than callers wait, set it longer, or to `None`, and only `max_timeouts` counts. At least
    /// 8 ms. Default: 3 s.
    pub fn max_silence(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.settings.max_silence = limit.into();
        self
    }

    /// How many requests whose callers have left may be without a reply before the same happens. At least 1.
    /// Default: half of `max_in_flight`.
    pub fn max_abandoned(mut self, requests: usize) -> Self {
        self.max_abandoned = Some(requests);
        self
    }

    /// Sends this request when not a byte came from the peer for `after`, whether or not calls are pending; and sooner,
    /// within an eighth of [`ping_timeout`](Self::ping_timeout), when a caller gave up and not a byte came since. Its
    /// reply is dropped; if nothing comes within `ping_timeout` the connection ends. It
    /// has a tag of its own, beside those of `max_in_flight`, and at most one is without a reply. In order, its
    /// reply comes after those to all requests before it. At least 8 ms. Default: no pings.
    pub fn ping(mut self, after: Duration, request: impl Fn() -> Req + Send + 'static) -> Self {
        self.settings.ping_after = Some(after);
        self.ping = Some(Box::new(request));
        self
    }

    /// How long the peer may be silent after a ping. From a quarter of that on, new calls wait for their turn, until it
    /// speaks or the connection ends. At least 8 ms. Default: 5 s.
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.settings.ping_timeout = limit;
        self
    }

    /// On a connection whose replies carry their request's tag and come in any order. The codec is cloned, once for
    /// reading and once for each of its [`encoders`](Self::encoders).
    ///
    /// # Errors
    /// A setting that can't work, `max_in_flight` beyond what `T` can tell apart included; or `runtime`, outside a
    /// tokio runtime: the connection's task runs on the caller's.
    pub fn tagged<Resp, T, Codec>(
        self,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        codec: Codec,
    ) -> Result<Mux<Req, Resp>, SettingsError>
    where
        Resp: Send + 'static,
        T: Tag,
        Codec: Clone + Send + 'static,
        Codec: Encoder<Frame<Req, T>> + Decoder<Item = Frame<Resp, T>>,
        <Codec as Encoder<Frame<Req, T>>>::Error: Into<BoxError>,
        <Codec as Decoder>::Error: Into<BoxError>,
    {
        let encoder = |mut codec: Codec| -> Encode<Req> {
            Box::new(move |tag, message, buffer| {
                let tag = tag.map(T::from_raw);
                codec
                    .encode(Frame { tag, message }, buffer)
                    .map_err(Into::into)
            })
        };
        let encoders = self.clones(&codec).map(encoder).collect();
        let decode = Decoding(codec, |Frame { tag, message }: Frame<Resp, T>| Reply {
            tag: tag.map(T::raw),
            message,
        });
        let lanes = Lanes::new(encoders, false);
        self.start(T::BITS, lanes, read, write, decode)
    }

    /// On a connection whose replies come in the order of their requests, one for each. The codec is cloned,
    /// once for reading and once for each of its [`encoders`](Self::encoders).
    ///
    /// # Errors
    /// A setting that can't work; or `runtime`, outside a tokio runtime: the connection's task runs on the caller's.
    pub fn in_order<Resp, Codec>(
        self,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        codec: Codec,
    ) -> Result<Mux<Req, Resp>, SettingsError>
    where
        Resp: Send + 'static,
        Codec: Clone + Send + 'static,
        Codec: Encoder<Req> + Decoder<Item = Resp>,
        <Codec as Encoder<Req>>::Error: Into<BoxError>,
        <Codec as Decoder>::Error: Into<BoxError>,
    {
        let encoder = |mut codec: Codec| -> Encode<Req> {
            Box::new(move |_, message, buffer| codec.encode(message, buffer).map_err(Into::into))
        };
        let encoders = self.clones(&codec).map(encoder).collect();
        let decode = Decoding(codec, |message| Reply { tag: None, message });
        let lanes = Lanes::new(encoders, true);
        self.start(u32::BITS, lanes, read, write, decode)
    }

    fn clones<Codec: Clone>(&self, codec: &Codec) -> impl Iterator<Item = Codec> {
        let by_default = || match size_of::<Codec>() {
            0 => available_parallelism().map_or(1, |cores| (2 * cores.get()).min(ENCODERS)),
            _ => 1,
        };
        // What is no number of lanes is refused before any is used.
        let count = self
            .encoders
            .unwrap_or_else(by_default)
            .min(self.settings.max_in_flight / 2)
            .clamp(1, MAX_LANES);
        std::iter::repeat_n(codec.clone(), count)
    }

    fn start<Resp: Send + 'static>(
        mut self,
        tag_bits: u32,
        lanes: Lanes<Req>,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        decode: impl Decode<Resp>,
    ) -> Result<Mux<Req, Resp>, SettingsError> {
        self.validate(tag_bits)?;
        let Ok(runtime) = Handle::try_current() else {
            let accepted =
                "a tokio runtime must be there to run the connection on: build it within one";
            return refuse("runtime", "none", accepted);
        };
        let writer = Writer::new(Box::new(write));
        let mux = Mux::new(Engine::new(self.settings, tag_bits, lanes, writer));
        Driver::start(&runtime, &mux, Box::new(read), decode, self.ping);
        Ok(mux)
    }

    fn validate(&mut self, tag_bits: u32) -> Result<(), SettingsError> {
        let settings = &mut self.settings;
        let (pings, and_ping) = match self.ping {
            Some(_) => (1, ", one of them the ping's"),
            None => (0, ""),
        };
        let most = MAX_IN_FLIGHT.min((1 << tag_bits.min(21)) - pings);
        if settings.max_in_flight == 0 || settings.max_in_flight > most {
            let accepted = format!("1 to {most}, with tags of {tag_bits} bits{and_ping}");
            return refuse("max_in_flight", settings.max_in_flight, &accepted);
        }
        if let Some(encoders) = self.encoders
            && !(1..=MAX_LANES).contains(&encoders)
        {
            return refuse("encoders", encoders, &format!("1 to {MAX_LANES}"));
        }
        settings.max_abandoned = match self.max_abandoned {
            Some(0) => return refuse("max_abandoned", 0, "at least 1: any call may be cancelled"),
            Some(most) => most,
            None => settings.max_in_flight.div_ceil(2),
        };
        for (setting, value) in [
            ("max_buffered", settings.max_buffered),
            ("max_frame", settings.max_frame),
            ("max_timeouts", settings.max_timeouts as usize),
        ] {
            if value == 0 {
                return refuse(setting, value, "at least 1");
            }
        }
        for (setting, value) in [
            ("call_timeout", settings.call_timeout),
            ("max_silence", settings.max_silence),
            ("ping", settings.ping_after),
            ("ping_timeout", Some(settings.ping_timeout)),
        ] {
            if let Some(value) = value
                && value < Duration::from_millis(8)
            {
                return refuse(setting, format!("{value:?}"), "at least 8 ms");
            }
        }
        Ok(())
    }
}

impl<Req: Send + 'static> Default for MuxBuilder<Req> {
    fn default() -> Self {
        Self::new()
    }
}

/// A codec's decoder, and how its items become replies.
struct Decoding<Codec, F>(Codec, F);

impl<Codec, F, Resp> Decode<Resp> for Decoding<Codec, F>
where
    Codec: Decoder + Send + 'static,
    Codec::Error: Into<BoxError>,
    F: Fn(Codec::Item) -> Reply<Resp> + Send + 'static,
{
    fn decode(&mut self, input: &mut bytes::BytesMut) -> Result<Option<Reply<Resp>>, BoxError> {
        let item = self.0.decode(input).map_err(Into::into)?;
        Ok(item.map(&self.1))
    }

    fn decode_eof(&mut self, input: &mut bytes::BytesMut) -> Result<Option<Reply<Resp>>, BoxError> {
        let item = self.0.decode_eof(input).map_err(Into::into)?;
        Ok(item.map(&self.1))
    }
}

impl<Req> fmt::Debug for MuxBuilder<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxBuilder")
            .field("settings", &self.settings)
            .field("max_abandoned", &self.max_abandoned)
            .field("encoders", &self.encoders)
            .finish_non_exhaustive()
    }
}
