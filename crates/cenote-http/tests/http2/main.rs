//! HTTP/2: the client against servers that say exactly what a test wants, frame by frame or in h2's words.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

/// Bodies, both ways.
mod bodies;
/// Requests that are given up.
mod cancelling;
#[path = "../clock/mod.rs"]
mod clock;
/// What is sent, and what comes back.
mod exchanges;
/// What is sent of a request's fields.
mod fields;
/// Connections that end.
mod going_away;
/// What the server says it takes, and when it says otherwise.
mod limits;
/// The server that a test scripts.
mod peer;
/// A server with TLS.
#[cfg(feature = "rustls")]
mod secure;
/// What callers of the service may put into requests.
mod services;
/// Servers that say nothing, and servers that say something else.
mod silence;
/// A server that speaks HTTP/2 by itself.
mod speaker;
#[path = "../streamed/mod.rs"]
mod streamed;
/// The bodies of requests, while they are sent.
mod uploads;
/// Which version of HTTP is spoken.
#[cfg(feature = "rustls")]
mod versions;
