//! Many callers on one connection: the engine of a multiplexed or pipelined protocol.
//!
//! A protocol is a codec (tokio-util's `Encoder` and `Decoder`) and how replies find their requests: by a
//! *tag*, in any order, or *in order*. A [`Mux`] puts the two on a connection; its clones share it.
//!
//! ```
//! use bytes::{Buf, BufMut, Bytes, BytesMut};
//! use cenote::mux::{Frame, MuxBuilder};
//! use cenote::net::Dialer;
//! use tokio::net::TcpStream;
//! use tokio_util::codec::{Decoder, Encoder};
//!
//! /// A length and a tag, four bytes each, then the message.
//! #[derive(Clone)]
//! struct Codec;
//!
//! impl Encoder<Frame<Bytes>> for Codec {
//!     type Error = std::io::Error;
//!
//!     fn encode(&mut self, frame: Frame<Bytes>, buffer: &mut BytesMut) -> std::io::Result<()> {
//!         buffer.put_u32(frame.message.len() as u32);
//!         buffer.put_u32(frame.tag.unwrap_or(u32::MAX));
//!         buffer.put(frame.message);
//!         Ok(())
//!     }
//! }
//!
//! impl Decoder for Codec {
//!     type Item = Frame<Bytes>;
//!     type Error = std::io::Error;
//!
//!     fn decode(&mut self, input: &mut BytesMut) -> std::io::Result<Option<Frame<Bytes>>> {
//!         let Some((mut head, _)) = input.split_at_checked(8) else {
//!             return Ok(None);
//!         };
//!         let (length, tag) = (head.get_u32() as usize, head.get_u32());
//!         if input.len() < 8 + length {
//!             return Ok(None);
//!         }
//!         input.advance(8);
//!         let message = input.split_to(length).freeze();
//!         Ok(Some(Frame { tag: Some(tag), message }))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = listener.local_addr()?;
//! # tokio::spawn(async move {
//! #     let (mut socket, _) = listener.accept().await.unwrap();
//! #     let (mut read, mut write) = socket.split();
//! #     tokio::io::copy(&mut read, &mut write).await
//! # });
//! let stream = TcpStream::connect(server).await?;
//! Dialer::new().configure(&stream)?; // a peer that vanishes is noticed
//! let (read, write) = stream.into_split();
//! let mux = MuxBuilder::new().max_in_flight(256).tagged(read, write, Codec)?;
//!
//! let (one, other) = tokio::join!(
//!     mux.call(Bytes::from("one")),
//!     mux.call(Bytes::from("other")),
//! );
//! assert_eq!((one?, other?), ("one".into(), "other".into()));
//! # Ok(())
//! # }
//! ```
//!
//! # In a pool
//!
//! Where one connection is not enough, or is to be replaced when it ends, a [`SharedPool`](crate::SharedPool) keeps
//! them, each a mux. Its connector says what the pool cannot know: that a connection carries many leases
//! ([`Multiplex`](crate::Multiplex), with [`capacity`](Mux::capacity)), and when it has ended
//! ([`is_open`](Mux::is_open); without it, it is leased for ever).
//!
//! ```
//! # use bytes::{Buf, BufMut, Bytes, BytesMut};
//! # use cenote::mux::Frame;
//! # use tokio_util::codec::{Decoder, Encoder};
//! # #[derive(Clone)]
//! # struct Codec;
//! # impl Encoder<Frame<Bytes>> for Codec {
//! #     type Error = std::io::Error;
//! #     fn encode(&mut self, frame: Frame<Bytes>, buffer: &mut BytesMut) -> std::io::Result<()> {
//! #         buffer.put_u32(frame.message.len() as u32);
//! #         buffer.put_u32(frame.tag.unwrap_or(u32::MAX));
//! #         buffer.put(frame.message);
//! #         Ok(())
//! #     }
//! # }
//! # impl Decoder for Codec {
//! #     type Item = Frame<Bytes>;
//! #     type Error = std::io::Error;
//! #     fn decode(&mut self, input: &mut BytesMut) -> std::io::Result<Option<Frame<Bytes>>> {
//! #         let Some((mut head, _)) = input.split_at_checked(8) else { return Ok(None) };
//! #         let (length, tag) = (head.get_u32() as usize, head.get_u32());
//! #         if input.len() < 8 + length { return Ok(None) }
//! #         input.advance(8);
//! #         Ok(Some(Frame { tag: Some(tag), message: input.split_to(length).freeze() }))
//! #     }
//! # }
//! use cenote::mux::{Mux, MuxBuilder};
//! use cenote::net::{Dialer, Host};
//! use cenote::{Connect, ConnectionInfo, Dial, Multiplex, SharedPool, Verdict};
//! use std::io;
//! use std::time::Duration;
//!
//! struct Server(Host);
//!
//! impl Connect for Server {
//!     type Connection = Mux<Bytes, Bytes>;
//!     type Error = io::Error;
//!
//!     async fn connect(&self, dial: &Dial) -> io::Result<Mux<Bytes, Bytes>> {
//!         let socket = Dialer::new().connect(&self.0, dial).await?;
//!         let (read, write) = tokio::io::split(socket);
//!         MuxBuilder::new()
//!             .ping(Duration::from_secs(5), || Bytes::from("ping"))
//!             .tagged(read, write, Codec)
//!             .map_err(io::Error::other)
//!     }
//!
//!     fn is_open(&self, mux: &Mux<Bytes, Bytes>) -> bool {
//!         mux.is_open()
//!     }
//!
//!     // Calls leave nothing behind, and late replies reach nobody.
//!     fn verdict(&self, mux: &mut Mux<Bytes, Bytes>) -> Verdict {
//!         if mux.is_open() { Verdict::Reuse } else { Verdict::Close }
//!     }
//!
//!     async fn close(&self, mux: Mux<Bytes, Bytes>, _: &ConnectionInfo) {
//!         mux.close().await;
//!     }
//! }
//!
//! impl Multiplex for Server {
//!     fn capacity(&self, mux: &Mux<Bytes, Bytes>) -> usize {
//!         mux.capacity()
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = Server(Host::from(listener.local_addr()?));
//! # tokio::spawn(async move {
//! #     while let Ok((mut socket, _)) = listener.accept().await {
//! #         tokio::spawn(async move {
//! #             let (mut read, mut write) = socket.split();
//! #             tokio::io::copy(&mut read, &mut write).await
//! #         });
//! #     }
//! # });
//! let pool = SharedPool::builder(server).max_size(4).build()?;
//! let ask = async |question: &'static str| {
//!     let reply = pool.get().await?.call(Bytes::from(question)).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(reply)
//! };
//! let (one, other) = tokio::try_join!(ask("one"), ask("other"))?; // on one connection
//! assert_eq!((one, other), ("one".into(), "other".into()));
//! # assert_eq!(pool.status().size, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Never more than `max_in_flight` requests without a reply. A call that is dropped or times out keeps its
//!   tag until its reply has come, which reaches nobody; a reply never reaches another call.
//! - Calls beyond that wait their turn, in the order they came; as many as `max_queued`.
//! - Whatever ends the connection ends every call with the reason, and says whether the peer may have seen the
//!   request.
//! - A peer that closes is noticed at once; one that vanished, by a [`ping`](MuxBuilder::ping) or by callers that give
//!   up one after the other without a byte from it, whether their calls time out or are dropped. A reply that is only
//!   slow ends nothing while other bytes come: other replies, or those to pings.
//! - While a peer owes the answer to a ping for long, new calls wait, and what they ask is not sent: if the connection
//!   ends they are told so, and may ask elsewhere.
//! - No task and no channel per call, and no allocation beside what the codec makes; only a call that waits
//!   for its turn allocates, once.

mod ask;
mod beginning;
mod call;
mod cells;
mod desk;
mod driver;
mod engine;
mod error;
mod frame;
mod lane;
#[cfg(all(test, cenote_loom))]
mod models;
mod permit;
mod settings;
mod silence;
mod tags;
mod writer;
mod writing;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use call::Call;
pub use error::{CallError, Disconnected, Sent};
pub use frame::{Frame, Tag};
pub use permit::{Permit, Reserve};
pub use settings::MuxBuilder;

use desk::Phase;
use engine::Engine;
use lane::Order;

/// One connection that many callers share; a [`MuxBuilder`] makes one. Cheap to clone; when the last clone is dropped,
/// the connection is closed once its pending calls have ended.
pub struct Mux<Req, Resp> {
    engine: Arc<Engine<Req, Resp>>,
    /// Of this handle's requests.
    order: Arc<Order>,
}

impl<Req, Resp> Mux<Req, Resp> {
    fn new(engine: Engine<Req, Resp>) -> Self {
        Self {
            engine: Arc::new(engine),
            order: Arc::new(Order::new()),
        }
    }

    /// The same handle, for a call that is to own it.
    fn same(&self) -> Self {
        self.engine.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            engine: Arc::clone(&self.engine),
            order: Arc::clone(&self.order),
        }
    }

    /// Sends a request and waits for its reply. Nothing happens before the first poll. Calls made on one handle are
    /// sent in the order of their first polls, those that waited for their turn when it has come; those on
    /// clones of it in any order.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] after `call_timeout`; [`CallError::QueueFull`] when too many wait for their
    /// turn; [`CallError::Disconnected`] when the connection has ended or takes no new calls;
    /// [`CallError::Encode`] when the codec refuses the request.
    pub fn call(&self, request: Req) -> Call<'_, Req, Resp> {
        Call::new(self, request)
    }

    /// Waits for a turn before the request is known, so that the call itself need not: for those who must say
    /// that they are ready first. Queues as a call does, with no time-out of its own.
    ///
    /// # Errors
    /// [`CallError::QueueFull`] and [`CallError::Disconnected`], as [`call`](Self::call).
    pub fn reserve(&self) -> Reserve<Req, Resp> {
        Reserve::new(self.same())
    }

    /// Sends a message that has no reply. Waits while more than `max_buffered` bytes are to be written. Done
    /// when the message is among those to be written next, in order with what else was sent on this handle; whether
    /// it arrives is not known. Dropped before it is done, nothing is sent.
    ///
    /// # Errors
    /// [`CallError::Disconnected`] and [`CallError::Encode`], as [`call`](Self::call).
    pub async fn send(&self, message: Req) -> Result<(), CallError> {
        let mut message = message;
        loop {
            let mut room = pin!(self.engine.room.notified());
            // Listening before it looks, so that room made meanwhile is not missed.
            room.as_mut().enable();
            match self.engine.send(message, &self.order) {
                Ok(done) => return done,
                Err(back) => message = back,
            }
            room.await;
        }
    }

    /// Whether it takes new calls: it has not ended, is not being closed and its peer answers.
    pub fn is_open(&self) -> bool {
        self.engine.is_open()
    }

    /// How many requests have no reply yet, those whose callers have left included; nearly so while calls begin and
    /// end.
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Of those, how many whose callers have left.
    pub fn abandoned(&self) -> usize {
        self.engine.abandoned()
    }

    /// How many calls wait for their turn.
    pub fn queued(&self) -> usize {
        self.engine.desk().tags.waiting()
    }

    /// How busy it is: its pending requests and the calls that wait for their turn. Nearly so while calls begin and
    /// end, and cheap enough for every call, as where connections are balanced by load.
    pub fn load(&self) -> usize {
        let (pending, queued) = self.engine.pending_and_queued();
        pending + queued
    }

    /// How many requests may be pending at once.
    pub fn max_in_flight(&self) -> usize {
        self.engine.settings.max_in_flight
    }

    /// How many leases of a [`SharedPool`](crate::SharedPool) it can carry as of now, for
    /// [`Multiplex::capacity`](crate::Multiplex::capacity): as many as requests may be pending, but for those whose callers
    /// have left; and none while the peer owes the answer to a ping for more than a quarter of
    /// [`ping_timeout`](MuxBuilder::ping_timeout). Such a peer either speaks again or the connection ends; until then
    /// the pool sends nobody new to it.
    pub fn capacity(&self) -> usize {
        if self.engine.heard.is_suspect() {
            return 0;
        }
        self.max_in_flight().saturating_sub(self.abandoned())
    }

    /// Takes no new calls, lets the pending ones finish, those that wait for their turn included, and then
    /// closes; after `drain_timeout` it closes all the same. Done when it is closed. Dropping the future
    /// does not stop it.
    pub async fn close(&self) {
        self.engine.drain(self.engine.desk(), Disconnected::Closed);
        self.closed().await;
    }

    /// Waits until the connection has ended, and says why.
    pub async fn closed(&self) -> Disconnected {
        loop {
            let mut ended = pin!(self.engine.ended.notified());
            ended.as_mut().enable();
            if let Phase::Ended(why) = &self.engine.desk().phase {
                return why.clone();
            }
            ended.await;
        }
    }
}

impl<Req, Resp> Clone for Mux<Req, Resp> {
    fn clone(&self) -> Self {
        self.engine.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            engine: Arc::clone(&self.engine),
            order: Arc::new(Order::clone(&self.order)),
        }
    }
}

impl<Req, Resp> Drop for Mux<Req, Resp> {
    fn drop(&mut self) {
        // A handle is cloned from a handle, so that nothing can follow the last.
        if self.engine.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.engine.drain(self.engine.desk(), Disconnected::Closed);
        }
    }
}

impl<Req, Resp> fmt::Debug for Mux<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("is_open", &self.is_open())
            .field("in_flight", &self.in_flight())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}
