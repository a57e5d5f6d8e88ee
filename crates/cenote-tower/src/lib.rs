//! Cenote among tower's services: a [`Mux`](cenote::mux::Mux) as a [`Client`], a
//! [`SharedPool`](cenote::SharedPool) as a [`SharedClient`], any connector of tower's as a
//! [`Connect`](cenote::Connect) ([`MakeConnect`]), one-way messages as a [`MuxSink`], or over a
//! [`OneWayPool`](cenote::OneWayPool) as a [`OneWaySink`], and a discovery of tower's as a source of
//! [endpoint sets](cenote::endpoints) ([`Discovered`]).
//!
//! ```
//! # use bytes::{Buf, BufMut, Bytes, BytesMut};
//! # use cenote::mux::{Frame, MuxBuilder};
//! # #[derive(Clone)]
//! # struct Lines;
//! # impl tokio_util::codec::Encoder<Bytes> for Lines {
//! #     type Error = std::io::Error;
//! #     fn encode(&mut self, line: Bytes, out: &mut BytesMut) -> std::io::Result<()> {
//! #         out.put(line);
//! #         out.put_u8(b'\n');
//! #         Ok(())
//! #     }
//! # }
//! # impl tokio_util::codec::Decoder for Lines {
//! #     type Item = Bytes;
//! #     type Error = std::io::Error;
//! #     fn decode(&mut self, input: &mut BytesMut) -> std::io::Result<Option<Bytes>> {
//! #         let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
//! #         let line = input.split_to(end).freeze();
//! #         input.advance(1);
//! #         Ok(Some(line))
//! #     }
//! # }
//! use cenote_tower::Client;
//! use std::time::Duration;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower::BoxError> {
//! # let (near, far) = tokio::io::duplex(1024);
//! # tokio::spawn(async move {
//! #     let (mut read, mut write) = tokio::io::split(far);
//! #     tokio::io::copy(&mut read, &mut write).await
//! # });
//! # let (read, write) = tokio::io::split(near);
//! let mux = MuxBuilder::new().in_order(read, write, Lines)?;
//! let mut service = ServiceBuilder::new()
//!     .timeout(Duration::from_secs(1))
//!     .service(Client::new(mux));
//! let reply: Bytes = service.ready().await?.call(Bytes::from("hello")).await?;
//! assert_eq!(reply, "hello");
//! # Ok(())
//! # }
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod client;
mod discovered;
mod error;
mod make;
mod one_way;
mod shared;
mod sink;

pub use client::Client;
pub use discovered::Discovered;
pub use error::TowerError;
pub use make::MakeConnect;
pub use one_way::OneWaySink;
pub use shared::SharedClient;
pub use sink::MuxSink;
