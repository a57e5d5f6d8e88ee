//! What belongs to no one kind of pool: the shape that all share, the pool for threads, sockets, what the documentation
//! shows, and processes and wakers out of the ordinary.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// A program built with `panic = "abort"` lives through what a pool cannot serve.
mod aborting;
/// A test in a process of its own.
mod alone;
/// The pool for synchronous drivers.
mod blocking;
/// The connectors that the documentation shows are right.
#[cfg(feature = "net")]
mod documented;
/// One shape for every pool: ours, none, the user's own.
mod erased;
/// One shape for pools by key: ours, none, the user's own.
mod erased_keyed;
/// Errors as people print them.
mod error_texts;
/// A process that was forked, without exec, after its parent had used a pool.
#[cfg(all(unix, feature = "net"))]
mod forked;
/// The dialer: addresses that hang or refuse are passed, and an error says how far each came.
#[cfg(feature = "net")]
mod net_dialing;
/// The walk over several hosts: each has its share of the dial.
#[cfg(feature = "net")]
mod net_hosts;
/// What a dialled socket is set to, and what a look at a socket tells.
#[cfg(feature = "net")]
mod net_sockets;
/// Wakers as foreign executors may make them.
#[path = "../odd_wakers/mod.rs"]
mod odd_wakers;
/// All pools of the process, of whatever kind.
mod registry;
/// The connector whose every step does as it is told.
#[path = "../server/mod.rs"]
mod server;
/// `examples/sharded_store` does what it shows.
#[cfg(feature = "net")]
mod sharded_store;
/// `examples/smtp`: whatever moment a user leaves at, the next one sees nothing of it.
#[cfg(feature = "net")]
mod smtp;
/// What a thread keeps for itself is dropped as the thread ends.
mod thread_end;
/// Waiters of both pools whose wakers panic, or do as they like when they are cloned.
mod wakers;
