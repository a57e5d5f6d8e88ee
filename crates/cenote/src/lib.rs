//! Connection pools under one model: **a pool hands out leases on connections; a connection says how many it
//! can carry at once.**
//!
//! A [`Pool`] keeps connections to one endpoint and leases each to one user at a time; a [`SharedPool`] leases
//! each to as many at once as it can carry. You say how to
//! connect, by implementing [`Connect`] (or take `cenote-postgres` or `cenote-redis`, which do); the pool
//! does the rest: how many, for how long, for whom next, and what to do when the server goes away.
//!
//! ```
//! use cenote::{Connect, Dial, Pool, Verdict};
//! use std::time::Duration;
//! use tokio::net::TcpStream;
//!
//! struct Server(std::net::SocketAddr);
//!
//! impl Connect for Server {
//!     type Connection = TcpStream;
//!     type Error = std::io::Error;
//!
//!     async fn connect(&self, _: &Dial) -> std::io::Result<TcpStream> {
//!         TcpStream::connect(self.0).await
//!     }
//!
//!     /// Clean means: nothing to read is left over from an earlier user, and the peer is still there.
//!     fn verdict(&self, conn: &mut TcpStream) -> Verdict {
//!         match conn.try_read(&mut [0]) {
//!             Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => Verdict::Reuse,
//!             _ => Verdict::Close,
//!         }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = Server(listener.local_addr()?);
//! let pool = Pool::builder(server)
//!     .name("orders")
//!     .max_size(20)
//!     .acquire_timeout(Duration::from_secs(2))
//!     .build()?;
//!
//! let conn = pool.get().await?;
//! conn.set_nodelay(true)?;
//! drop(conn); // back to the pool
//!
//! println!("{}", pool.status());
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//!
//! - Never more than `max_size` connections, those being opened included; never two users on one.
//! - Waiters are served in the order they came, and nobody passes them. Never an idle connection beside a
//!   waiter.
//! - Dropping any future at any await point loses nothing: not a connection, not a place, not a turn. A
//!   dial belongs to the pool and goes on.
//! - A connection is handed on only if [`Connect::verdict`] says it is clean; a reset that fails, hangs or
//!   panics closes it.
//! - Dropping leases and pools never blocks and never panics, on any thread.
//! - Taking an idle connection and giving it back is two compare-and-swaps: no lock, no allocation, no
//!   clock, no shared counter.
//!
//! # Where to look
//!
//! | you want | see |
//! |---|---|
//! | a pool for your driver | [`Connect`], [`Builder`] |
//! | many users on one connection | [`SharedPool`], [`Connect::capacity`] |
//! | many requests at once over one connection | [`mux`] |
//! | a lease for a spawned task | [`Pool::get_owned`] |
//! | pools of several kinds in one place, or none at all | [`DynPool`], [`NoPool`], [`AnyPool`] |
//! | a synchronous driver | [`blocking`] |
//! | to know what happens | [`Pool::status`], [`Pool::counters`], [`Builder::on_event`] |
//!
//! # Time and runtimes
//!
//! The pool runs on tokio. Its time is `tokio::time`, so `tokio::time::pause` drives it in tests; there,
//! let time pass with `tokio::time::sleep`, which gives upkeep its turns, rather than with `advance`. It
//! spawns on the runtime that calls it, and survives the end of that runtime: the next caller's takes
//! over.
//!
//! A pool in a `static` meets many runtimes, as each `#[tokio::test]` has one of its own. When one of them ends,
//! so does what was opened on it: connections whose sockets or tasks lived there are found closed, or fail their
//! check, and are replaced; a dial under way fails, with [`ConnectError::Aborted`]; a lease that was taken to
//! another runtime gives its driver's errors. The pool, its settings and its counts go on, and so does whoever
//! waits for it elsewhere. [`Builder::runtime`] gives the connections a runtime that outlives them all.
//!
//! # Processes
//!
//! A pool belongs to the process that opened its connections. Programs started with
//! `std::process::Command` inherit none of them: the sockets of tokio and of the standard library are
//! closed on exec. After a bare `fork`, without exec, the child must neither use nor drop anything of the
//! pool, for both processes would write to one session: build a new pool there.
#![deny(missing_docs)]

pub mod blocking;
mod builder;
mod connect;
mod dial;
mod erased;
mod error;
mod event;
mod hooks;
mod kernel;
pub mod mux;
#[cfg(feature = "net")]
pub mod net;
mod no_pool;
mod policy;
mod pool;
mod rt;
mod settings;
mod shared_pool;
mod status;
mod sync;

pub use builder::Builder;
pub use connect::{Connect, FailureKind, Verdict};
pub use dial::Dial;
pub use erased::{AnyPool, BoxFuture, DynLease, DynPool};
pub use error::{
    AddError, BoxError, ConnectError, GetError, SettingsError, SharedError, TimedOut, TryGetError,
};
pub use event::{CloseReason, ConnectionInfo, Event};
pub use hooks::HookFuture;
pub use no_pool::{FreshLease, NoPool};
pub use policy::backoff::Backoff;
pub use policy::sharing::Choice;
pub use pool::{Close, Closed, Get, GetOwned, Lease, OwnedLease, Pool};
pub use settings::{ConnectFailures, IdleOrder};
pub use shared_pool::{SharedBuilder, SharedGet, SharedLease, SharedPool};
pub use status::{Counters, PoolState, Sharing, Status};
