//! Several servers of which one is the primary, and which it is changes.

#[path = "../fixture/mod.rs"]
mod fixture;

/// Servers that are demoted, and promoted, under their connections.
mod changes;
/// Writers and readers, and what comes of their calls.
mod load;
/// Pools of connections that are shared.
mod pipelined;
/// Which servers a pool takes, and what is said of the others.
mod roles;
/// The servers, and what uses them.
mod servers;
/// The primary goes and another is promoted, under load.
mod switchover;
