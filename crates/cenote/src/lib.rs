//! Connection pools under one model: **a pool hands out leases on connections; a connection says how many it
//! can carry at once.**
//!
//! A [`Pool`] keeps connections to one endpoint, or to a [set](Pool::balanced) of them that a source tells
//! ([`endpoints`]), and leases each to one user at a time; a [`SharedPool`] leases
//! each to as many at once as it can carry. You say how to
//! connect, by implementing [`Connect`] (or take `cenote-postgres` or `cenote-redis`, which do); the pool
//! does the rest: how many, for how long, for whom next, and what to do when the server goes away.
//!
//! ```
//! use cenote::net::{DialError, Dialer, Host, Socket, is_quiet};
//! use cenote::{Connect, Dial, Pool, Verdict};
//! use std::io;
//! use std::time::Duration;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! struct Server(Host);
//!
//! /// A connection, and whether its server owes a reply.
//! struct Session {
//!     socket: Socket,
//!     reply_owed: bool,
//! }
//!
//! impl Session {
//!     /// Wherever its caller leaves, the mark stays until the whole reply has been read.
//!     async fn ask(&mut self, question: [u8; 4]) -> io::Result<[u8; 4]> {
//!         if std::mem::replace(&mut self.reply_owed, true) {
//!             return Err(io::Error::other("the reply to an earlier question is still to come"));
//!         }
//!         self.socket.write_all(&question).await?;
//!         let mut reply = [0; 4];
//!         self.socket.read_exact(&mut reply).await?;
//!         self.reply_owed = false;
//!         Ok(reply)
//!     }
//! }
//!
//! impl Connect for Server {
//!     type Connection = Session;
//!     type Error = DialError;
//!
//!     async fn connect(&self, dial: &Dial) -> Result<Session, DialError> {
//!         let socket = Dialer::new().connect(&self.0, dial).await?;
//!         Ok(Session { socket, reply_owed: false })
//!     }
//!
//!     /// Not when the server closed the connection while it was idle, nor when it sent what nobody asked for.
//!     fn is_open(&self, session: &Session) -> bool {
//!         is_quiet(&session.socket)
//!     }
//!
//!     /// A reply that is still to come is for the user who left, and not for the next.
//!     fn verdict(&self, session: &mut Session) -> Verdict {
//!         if session.reply_owed { Verdict::Close } else { Verdict::Reuse }
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let server = Host::from(listener.local_addr()?);
//! # tokio::spawn(async move {
//! #     while let Ok((mut client, _)) = listener.accept().await {
//! #         tokio::spawn(async move {
//! #             let (mut read, mut write) = client.split();
//! #             tokio::io::copy(&mut read, &mut write).await
//! #         });
//! #     }
//! # });
//! let pool = Pool::builder(Server(server))
//!     .name("orders")
//!     .max_size(20)
//!     .acquire_timeout(Duration::from_secs(2))
//!     .build()?;
//!
//! let mut session = pool.get().await?;
//! let reply = session.ask(*b"ping").await?;
//! drop(session); // back to the pool
//!
//! println!("{}", pool.status());
//! # assert_eq!(&reply, b"ping");
//! # Ok(())
//! # }
//! ```
//!
//! What each method is for, and a connector with everything:
//! [docs/connectors.md](https://github.com/cenote-rs/cenote/blob/main/docs/connectors.md).
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
//! | a pool for your driver | [`Connect`], [`PoolBuilder`](pool::PoolBuilder) |
//! | sockets for it that pass what hangs, and notice a peer that vanished | [`net`] |
//! | many users on one connection | [`SharedPool`], [`Multiplex`] |
//! | many requests at once over one connection | [`mux`] |
//! | messages without a reply, over many connections | [`OneWayPool`] |
//! | a lease for a spawned task | [`Pool::get_owned`] |
//! | a pool for each tenant, shard or host | [`Keyed`] |
//! | several pools within one server's `max_connections` | [`Budget`] |
//! | pools of several kinds in one place, or none at all | [`DynPool`](any::DynPool), [`Unpooled`](any::Unpooled), [`ErasedPool`](any::ErasedPool) |
//! | the same of pools by key | [`DynKeyed`](any::DynKeyed), [`UnpooledKeyed`](any::UnpooledKeyed), [`ErasedKeyed`](any::ErasedKeyed) |
//! | a synchronous driver | [`blocking`], from tasks by [`OwnedLease::interact`](blocking::OwnedLease::interact) |
//! | time-outs for it that any runtime will do for | [`time`] |
//! | to know what happens | [`Pool::inspect`], [`Pool::counters`], [`Pool::timings`], [`PoolBuilder::on_event`](pool::PoolBuilder::on_event) |
//! | all pools of the process | [`registry`] |
//!
//! # Features
//!
//! All are on by default. Without any there is [`Pool`] and what belongs to it.
//!
//! | feature | gives | brings in |
//! |---|---|---|
//! | `blocking` | [`blocking`] | |
//! | `mux` | [`mux`] | bytes, tokio-util |
//! | `net` | [`net`] | socket2, libc |
//! | `shared` | [`SharedPool`], [`OneWayPool`] | |
//!
//! # Time and runtimes
//!
//! The pool runs on tokio. Its time is `tokio::time`, so `tokio::time::pause` drives it in tests; there,
//! let time pass with `tokio::time::sleep`, which gives upkeep its turns, rather than with `advance`. It
//! spawns on the runtime that calls it, and survives the end of that runtime: the next caller's takes
//! over. Pause time before the pool is used: timers set by then fire in real time, the last of them within a second
//! unless a dial or a check is under way.
//!
//! The pool needs no timers of that runtime, for it has its own: one thread for the process, `cenote-timers`, begun
//! with the first, wakes what waits. It is there for connectors too: [`time`]. Connectors that use tokio's own timers
//! or its sockets need a runtime that has them.
//!
//! A pool in a `static` meets many runtimes, as each `#[tokio::test]` has one of its own. When one of them ends,
//! so does what was opened on it: connections whose sockets or tasks lived there are found closed, or fail their
//! check, and are replaced; a dial under way fails, with [`ConnectError::Aborted`]; a lease that was taken to
//! another runtime gives its driver's errors. The pool, its settings and its counts go on, and its
//! waiters elsewhere go on waiting. [`PoolBuilder::runtime`](pool::PoolBuilder::runtime) gives the connections a runtime that outlives them all.
//!
//! # Processes
//!
//! A pool belongs to the process that opened its connections. Programs started with
//! `std::process::Command` inherit none of them: the sockets of tokio and of the standard library are
//! closed on exec. After a bare `fork`, without exec, the child must neither use nor drop anything of the
//! pool, for both processes would write to one session: build a new pool there. Where tokio has its feature `parking_lot`
//! (part of `full`), a child that goes on to use threads may hang or crash, with or without a pool.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![deny(unsafe_code)]
// The lower layers serve every face; what one of them alone uses is not dead because that face is left out.
#![cfg_attr(
    not(all(feature = "blocking", feature = "mux", feature = "shared")),
    allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)
)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod any;
#[cfg(feature = "blocking")]
pub mod blocking;
pub mod budget;
mod connect;
mod dial;
pub mod endpoints;
pub mod error;
mod hooks;
mod keeper;
#[allow(
    unsafe_code,
    reason = "the only module with any; each use says why it is sound"
)]
mod kernel;
pub mod keyed;
mod lifecycle;
#[cfg(feature = "mux")]
pub mod mux;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "shared")]
pub mod one_way;
#[cfg(any(feature = "mux", feature = "shared"))]
mod permit_cache;
mod plural;
mod policy;
pub mod pool;
pub mod registry;
pub mod report;
mod rt;
pub mod settings;
#[cfg(feature = "shared")]
pub mod shared;
mod signals;
mod sync;
#[cfg(not(cenote_shuttle))]
pub mod time;
mod wake;

pub use budget::Budget;
pub use connect::{Connect, FailureKind, Multiplex, NotTaken, OneWay, Verdict};
pub use dial::Dial;
pub use error::{ConnectError, GetError};
pub use keyed::Keyed;
#[cfg(feature = "shared")]
pub use one_way::OneWayPool;
pub use pool::{Lease, OwnedLease, Pool};
pub use report::ConnectionInfo;
#[cfg(feature = "shared")]
pub use shared::{SharedLease, SharedPool};
pub use signals::Signals;
