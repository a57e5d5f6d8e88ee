//! How a mux is set up and put on a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;
use tokio_util::codec::{Decoder, Encoder};

use super::codec::{Decode, decode_in_order, decode_tagged, encode_in_order, encode_tagged};
use super::driver::{Driver, MakePing};
use super::engine::Engine;
use super::frame::{Frame, Tag};
use super::handle::Mux;
use super::lane::Lanes;
use super::settings::Settings;
use super::write_half::WriteHalf;
use crate::error::{BoxError, SettingsError};
use crate::settings::refuse;
use crate::signals::Signals;

/// Says how a [`Mux`] is to behave, then puts it on a connection: [`tagged`](Self::tagged) or
/// [`in_order`](Self::in_order).
/// Clones are alike: one builder serves many connections.
#[must_use = "a builder does nothing until it is given a connection"]
pub struct MuxBuilder<Req> {
    settings: Settings,
    ping: Option<MakePing<Req>>,
}

impl<Req: Send + 'static> MuxBuilder<Req> {
    /// All settings at their defaults.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            ping: None,
        }
    }

    /// Whom the mux tells that it takes no new calls any more, or that its [capacity](Mux::capacity) has come to nothing
    /// or come back: the pool that it is for, by [`Dial::signals`](crate::Dial::signals). Default: nobody.
    pub fn signals(mut self, signals: Signals) -> Self {
        self.settings.signals = signals;
        self
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
        self.settings.encoders = Some(clones);
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
        self.settings.max_abandoned = Some(requests);
        self
    }

    /// Sends this request when not a byte came from the peer for `after`, whether or not calls are pending; and sooner,
    /// within an eighth of [`ping_timeout`](Self::ping_timeout), when a caller gave up and not a byte came since. Its
    /// reply is dropped; if nothing comes within `ping_timeout` the connection ends. It
    /// has a tag of its own, beside those of `max_in_flight`, and at most one is without a reply. In order, its
    /// reply comes after those to all requests before it. At least 8 ms. Default: no pings.
    pub fn ping(
        mut self,
        after: Duration,
        request: impl Fn() -> Req + Send + Sync + 'static,
    ) -> Self {
        self.settings.ping_after = Some(after);
        self.ping = Some(Arc::new(request));
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
        Codec: Encoder<Frame<Req, T>, Error: Into<BoxError>>
            + Decoder<Item = Frame<Resp, T>, Error: Into<BoxError>>
            + Clone
            + Send
            + 'static,
    {
        let encoders = self.clones(&codec).map(encode_tagged).collect();
        let lanes = Lanes::new(encoders, false);
        self.start(T::BITS, lanes, read, write, decode_tagged(codec))
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
        Codec: Encoder<Req, Error: Into<BoxError>>
            + Decoder<Item = Resp, Error: Into<BoxError>>
            + Clone
            + Send
            + 'static,
    {
        let encoders = self.clones(&codec).map(encode_in_order).collect();
        let lanes = Lanes::new(encoders, true);
        self.start(u32::BITS, lanes, read, write, decode_in_order(codec))
    }

    fn clones<Codec: Clone>(&self, codec: &Codec) -> impl Iterator<Item = Codec> + use<Codec, Req> {
        std::iter::repeat_n(codec.clone(), self.settings.encoders_for::<Codec>())
    }

    fn start<Resp: Send + 'static>(
        self,
        tag_bits: u32,
        lanes: Lanes<Req>,
        read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        decode: impl Decode<Resp>,
    ) -> Result<Mux<Req, Resp>, SettingsError> {
        self.settings.validate(tag_bits)?;
        let Ok(runtime) = Handle::try_current() else {
            let accepted =
                "a tokio runtime must be there to run the connection on: build it within one";
            return refuse("runtime", "none", accepted);
        };
        let write_half = WriteHalf::new(Box::new(write));
        let mux = Mux::new(Engine::new(self.settings, tag_bits, lanes, write_half));
        Driver::start(&runtime, &mux, Box::new(read), decode, self.ping);
        Ok(mux)
    }
}

impl<Req: Send + 'static> Default for MuxBuilder<Req> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Req> Clone for MuxBuilder<Req> {
    fn clone(&self) -> Self {
        Self {
            settings: self.settings.clone(),
            ping: self.ping.clone(),
        }
    }
}

impl<Req> fmt::Debug for MuxBuilder<Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxBuilder")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
