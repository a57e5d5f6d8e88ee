//! Real servers for a test: [`PostgresServer`], [`RedisServer`], [`SentinelServer`], [`PgBouncerServer`], the web server
//! [`NginxServer`], the proxies [`TinyproxyServer`] (HTTP) and [`DanteServer`] (SOCKS), and the name servers [`KnotServer`]
//! and [`NsdServer`] run on a free port with their data in a temporary
//! folder, can be killed, frozen, continued and restarted while clients are connected, and are gone with everything they
//! wrote when the value is dropped. And a [`FaultProxy`], which stands in front of any TCP server and breaks what passes
//! through it: late, slow, cut, swallowed or refused, switched at any moment. And a [`SilentAddress`], which says neither yes
//! nor no to who connects.
//!
//! ```
//! use cenote_testkit::RedisServer;
//! use std::io::{Read, Write};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = RedisServer::start()?;
//! let mut client = std::net::TcpStream::connect(server.addr())?;
//! client.write_all(b"PING\r\n")?;
//! let mut reply = [0; 7];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"+PONG\r\n");
//!
//! server.kill()?;
//! assert_eq!(client.read(&mut reply)?, 0, "a killed server closes its connections");
//! server.restart()?; // same port, same data
//! # Ok(())
//! # }
//! ```
//!
//! What the servers promise:
//!
//! * **Ready means ready.** `start` and `restart` return once the server accepts connections. They
//!   probe, with a deadline of 60 seconds, and never sleep for a fixed time.
//! * **Faults reach every process.** PostgreSQL serves each connection from a process of its own, in
//!   a process group of its own: `kill`, `stop` and `cont` act on all of them, and `kill` returns
//!   when all of them are gone.
//! * **Nothing stays behind.** Dropping the value ends the server and removes its folder, during a
//!   panic too. A server in a `static`, or in a test that is itself killed, is ended by a small
//!   guardian process as soon as the test's process is gone.
//! * **The port is not an ephemeral one** (where the system's settings allow), so that a client
//!   reconnecting to a dead server can neither meet itself nor take the port away.
//!
//! Every method of a server takes `&self`, blocks the calling thread and needs no async runtime. Servers are there on
//! Linux only: processes are found in `/proc`, and the guardian is a script of `sh`. The proxy runs on tokio, on any
//! system; the faults for which nothing may arrive at a socket are Linux's too, and an error elsewhere.
//!
//! The servers' programs are looked for in `PATH` and, for PostgreSQL, in
//! `/usr/lib/postgresql/*/bin` (the newest first). Where they are missing, the error says which
//! Debian package has them.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(target_os = "linux")]
mod account;
#[cfg(target_os = "linux")]
mod cluster;
#[cfg(target_os = "linux")]
mod dante;
mod error;
#[cfg(target_os = "linux")]
mod guardian;
#[cfg(target_os = "linux")]
mod knot;
#[cfg(target_os = "linux")]
mod nginx;
#[cfg(target_os = "linux")]
mod nsd;
#[cfg(target_os = "linux")]
mod percent;
#[cfg(target_os = "linux")]
mod pgbouncer;
mod port;
#[cfg(target_os = "linux")]
mod postgres;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod programs;
mod proxy;
#[cfg(target_os = "linux")]
mod redis;
#[cfg(target_os = "linux")]
mod sentinel;
#[cfg(target_os = "linux")]
mod server;
mod silent;
#[cfg(target_os = "linux")]
mod standby;
#[cfg(target_os = "linux")]
mod tinyproxy;
#[cfg(target_os = "linux")]
mod zone;

#[cfg(target_os = "linux")]
pub use dante::DanteServer;
pub use error::ServerError;
#[cfg(target_os = "linux")]
pub use knot::KnotServer;
#[cfg(target_os = "linux")]
pub use nginx::NginxServer;
#[cfg(target_os = "linux")]
pub use nsd::NsdServer;
#[cfg(target_os = "linux")]
pub use pgbouncer::{PgBouncerBuilder, PgBouncerServer};
#[cfg(target_os = "linux")]
pub use postgres::{PostgresBuilder, PostgresServer};
pub use proxy::{Fault, FaultProxy};
#[cfg(target_os = "linux")]
pub use redis::{RedisBuilder, RedisServer};
#[cfg(target_os = "linux")]
pub use sentinel::{SentinelBuilder, SentinelServer};
pub use silent::SilentAddress;
#[cfg(target_os = "linux")]
pub use tinyproxy::TinyproxyServer;
