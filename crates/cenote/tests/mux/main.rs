//! The mux: one connection for many callers.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Calls and handles where there is no runtime, another one, or one that has ended.
mod anywhere;
/// A line that is full: reading and writing do not wait for each other.
mod blocked;
/// Replies find their requests.
mod calls;
/// Calls dropped at every point: nobody reads another's reply, nothing stays taken.
mod cancelling;
/// How a connection is closed from this side.
mod ending;
/// What a peer may send, at random, against a naive reading of the same bytes.
mod fuzz;
/// Callers that give up on a silent peer: the connection ends soon; what is only slow lives.
mod giving_up;
/// What a peer must not do, and codecs that fail.
mod hostile;
/// Wakers as foreign executors may make them.
#[path = "../odd_wakers/mod.rs"]
mod odd_wakers;
/// Messages that have no reply.
mod one_way;
/// A mux as the connection of a one-way pool.
mod one_way_pool;
/// In which order requests of many threads are sent, and who encodes them.
mod order;
/// Codecs, and peers whose other end a test holds.
mod peer;
/// A mux as the connection of a shared pool.
mod pooled;
/// Settings that cannot work are refused by name.
mod settings;
/// Tags in quarantine, late replies, and a peer that answers too little.
mod sick;
/// A peer that has vanished, and the pings that tell.
mod silent;
/// Time-outs of calls.
mod time;
/// Back-pressure: the cap, the queue for it, and its bound.
mod waiting;
/// Callers whose wakers panic, or are cloned by code that does.
mod wakers;
/// Real TCP through a proxy that does what networks do.
mod wire;
