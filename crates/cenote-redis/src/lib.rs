//! Redis connections for the [`cenote`] pools: exclusive ones, and pipelined ones that many users share.
//!
//! A pooled Redis connection is only as good as its bookkeeping: when a command is cancelled after
//! it was sent, its reply still arrives, and the next user of the connection reads it as the answer
//! to a question of its own. That is how strangers came to see each other's data in other clients.
//! Here each connection counts the replies it is owed, and neither the holder nor the pool ever
//! takes one reply for another; see [`RedisConnection`].
//!
//! ```no_run
//! use cenote::Pool;
//! use cenote_redis::{Cmd, RedisConnector};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let pool = Pool::new(RedisConnector::new("redis://127.0.0.1:6379/0")?);
//! let mut redis = pool.get().await?;
//!
//! redis.set("greeting", "hello").await?;
//! let greeting: Option<String> = redis.get("greeting").await?;
//! assert_eq!(greeting.as_deref(), Some("hello"));
//!
//! // Any command, and its reply as the type you ask for.
//! let visits: i64 = redis.query(&Cmd::new("INCR").arg("visits")).await?;
//!
//! // Several at once, in one round trip.
//! let replies = redis
//!     .pipeline(&[
//!         Cmd::new("LPUSH").arg("log").arg(visits),
//!         Cmd::new("LTRIM").arg("log").arg(0).arg(99),
//!     ])
//!     .await?;
//! # let _ = replies;
//! # Ok(())
//! # }
//! ```
//!
//! Time-outs may be put around any call. After this one, the connection drops the late reply, for
//! its holder and for the pool:
//!
//! ```no_run
//! # use std::time::Duration;
//! # async fn example(redis: &mut cenote_redis::RedisConnection) -> Result<(), Box<dyn std::error::Error>> {
//! let reply = redis.get::<Option<String>>("greeting");
//! if tokio::time::timeout(Duration::from_millis(50), reply).await.is_err() {
//!     // Too late for this request. `redis` can go on, or go back to the pool.
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Many users on one connection
//!
//! A [`RedisClient`] sends the ordinary commands of all its users down shared connections, one behind the other
//! without waiting for replies, and gives commands that wait, subscriptions and transactions with `WATCH` a
//! connection of their own. Every call takes `&self`:
//!
//! ```no_run
//! use cenote_redis::{Cmd, RedisClient};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let redis = RedisClient::new("redis://127.0.0.1:6379/0")?;
//! redis.set("greeting", "hello").await?;
//! let job: Option<Vec<String>> = redis.query(&Cmd::new("BLPOP").arg("jobs").arg(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Its parts are to be had singly: [`PipelinedConnector`] for a [`SharedPool`](cenote::SharedPool), and
//! [`PipelinedConnection`].
//!
//! # A master that is replaced
//!
//! [`Sentinels`] tell pools over a set of endpoints where the master is, and its replicas: after a failover callers are
//! served by the new one, without a restart and without a configuration of addresses. Whatever names the master, a
//! connector can [ask the server](RedisConnector::require_master) whether it is one.
//!
//! Features: `rustls` for `rediss://` URLs; `redis-rs` for the commands, typed replies, pipelines, transactions and
//! scripts of the crate `redis` on all of these, see `RedisRs`.
//!
//! Runs on a tokio runtime with I/O (`enable_io`, or `enable_all` as `#[tokio::main]` has): timers are Cenote's own.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod classify;
mod client;
mod cmd;
mod codec;
mod command_table;
mod connection;
mod connector;
mod convert;
mod dial;
mod endpoint;
mod error;
mod handshake;
mod listening;
mod mastership;
mod message;
mod node;
mod pipelined;
#[cfg(feature = "redis-rs")]
mod redis_rs;
mod sentinel;
mod session;
mod silence;
mod stream;
#[cfg(feature = "rustls")]
mod tls;
mod value;
mod wire;

pub use client::{ClientBuilder, ClientCounters, ClientStatus, RedisClient};
pub use cmd::{Argument, Cmd};
pub use connection::RedisConnection;
pub use connector::RedisConnector;
pub use convert::FromReply;
pub use endpoint::UrlError;
pub use error::{ConversionError, DialStep, FrameError, RedisError, Refusal, ServerError, Silence};
pub use message::Message;
pub use node::{RedisNode, ServerRole};
pub use pipelined::{PipelinedConnection, PipelinedConnector};
#[cfg(feature = "redis-rs")]
pub use redis;
#[cfg(feature = "redis-rs")]
pub use redis_rs::RedisRs;
pub use sentinel::{SentinelError, SentinelFault, SentinelSource, Sentinels, TriedSentinel};
#[cfg(feature = "rustls")]
pub use tls::RootsError;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
pub use value::Value;
