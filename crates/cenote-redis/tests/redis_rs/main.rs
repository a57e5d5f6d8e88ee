//! redis-rs's commands, typed replies, pipelines, transactions and scripts on every pool, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fake/mod.rs"]
mod fake;

/// What redis-rs can do, on every connection.
mod calls;
/// What a call leaves to those of others: nothing.
mod others;
/// The pools.
mod pools;
