//! The client against servers that say exactly what a test wants.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bodies;
mod bounds;
mod cancelling;
#[path = "../clock/mod.rs"]
mod clock;
mod crowds;
mod errors;
mod fields;
mod handles;
mod keeping;
mod plain;
mod proxies;
#[cfg(target_os = "linux")]
mod real_proxies;
mod routes;
mod server;
mod services;
mod socks;
#[path = "../streamed/mod.rs"]
mod streamed;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(feature = "rustls")]
mod tunnels;
mod upgrading;
mod ways;
