//! Sets of endpoints, and how they are found out.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// How a source is asked: again, however it fails, and at which pace.
mod asking;
/// What is known of a service: kept, aged, told to those who wait for it, and whose word it is.
mod discovery;
/// A file that is replaced, deleted, cut short and written over.
mod files;
/// `examples/watched_json` does what it shows.
mod json;
/// The addresses of a name.
mod lookups;
/// What is asked again and again, and goes on when nobody waits for it.
mod polling;
mod scripted;
/// What a set is, and what differs between two.
mod sets;
