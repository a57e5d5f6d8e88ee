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
//! them, each a mux, and a [`MuxConnect`] opens them: by a host or a [`Transport`] of your own, a codec and settings.
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
//! use cenote::SharedPool;
//! use cenote::mux::{MuxBuilder, MuxConnect};
//! use cenote::net::Host;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = Host::from(listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     while let Ok((mut socket, _)) = listener.accept().await {
//! #         tokio::spawn(async move {
//! #             let (mut read, mut write) = socket.split();
//! #             tokio::io::copy(&mut read, &mut write).await
//! #         });
//! #     }
//! # });
//! let settings = MuxBuilder::new().ping(Duration::from_secs(5), || Bytes::from("ping"));
//! let connect = MuxConnect::tagged(server, Codec).settings(settings);
//! let pool = SharedPool::builder(connect).max_size(4).build()?;
//!
//! let ask = async |question: &'static str| {
//!     let reply: Bytes = pool.get().await?.call(Bytes::from(question)).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(reply)
//! };
//! let (one, other) = tokio::try_join!(ask("one"), ask("other"))?; // on one connection
//! assert_eq!((one, other), ("one".into(), "other".into()));
//! # assert_eq!(pool.status().size, 1);
//! # Ok(())
//! # }
//! ```
//!
//! A connector whose connections are more than a mux is written out: [`Connect`](crate::Connect) with
//! [`is_open`](Mux::is_open), without which a connection that has ended is leased for ever, and
//! [`Multiplex`](crate::Multiplex) with [`capacity`](Mux::capacity).
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

mod admission;
mod builder;
mod call;
mod close;
mod codec;
mod connect;
mod driver;
mod engine;
mod error;
mod flush;
mod frame;
mod handle;
mod lane;
#[cfg(all(test, cenote_loom))]
mod models;
mod one_way;
mod pending;
mod permit;
mod send;
mod settings;
mod silence;
mod submit;
mod tags;
mod transport;
mod write_half;
mod write_signal;

pub use builder::MuxBuilder;
pub use call::Call;
pub use close::{Close, Closed};
pub use connect::{MuxConnect, MuxConnectError};
pub use error::{CallError, Disconnected, Sent};
pub use frame::{Frame, Tag};
pub use handle::Mux;
pub use one_way::OneWayMux;
pub use permit::{Permit, Reserve};
pub use send::Send;
pub use transport::Transport;
