//! Exclusive Redis connections for the [`cenote`] pool.
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
//! Features: `rustls` for `rediss://` URLs.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod cmd;
mod codec;
mod connection;
mod connector;
mod convert;
mod endpoint;
mod error;
mod handshake;
mod session;
mod stream;
#[cfg(feature = "rustls")]
mod tls;
mod value;
mod wire;

pub use cmd::{Argument, Cmd};
pub use connection::RedisConnection;
pub use connector::RedisConnector;
pub use convert::FromReply;
pub use endpoint::UrlError;
pub use error::{ConversionError, FrameError, RedisError, Refusal, ServerError};
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
pub use value::Value;
