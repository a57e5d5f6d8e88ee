//! HTTP/2: the client against servers that say exactly what a test wants, frame by frame.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

/// How many streams a connection carries, and how many connections there are.
mod capacity;
/// What is sent, and what comes back.
mod exchanges;
/// The server that a test scripts.
mod peer;
/// What callers of the service may put into requests.
mod services;
