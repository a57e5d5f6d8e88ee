//! The exclusive pool: one lease on a connection at a time.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// A pool in which somebody has waited of late: all that looks at idle connections finds them.
mod after_waiting;
/// What time does to idle connections, and in which order they are taken.
mod aging;
/// Uses and drops where there is no runtime, another one, or one that has ended.
mod anywhere;
/// Several pools under one budget of connections.
mod budget;
/// What changes while a pool runs: its size, a pause, eviction, its end.
mod changing;
/// The end of a pool: what is refused, what is waited for, what outlives it.
mod closing;
/// Time running out: when, for whom, and what becomes of what was waited for.
mod deadlines;
/// Opening connections: how many, when, and what a failure means.
mod dialling;
/// What the pool tells those who observe it.
mod events;
/// When the pool grows, how fast, and when it does not.
mod growth;
/// How long callers waited, connecting took and leases lasted.
mod histograms;
/// Where the leases were taken that are out when a caller gives up.
mod holders;
/// Hooks that refuse, dawdle, hang or panic.
mod hook_failures;
/// The user's own code at the turns of a connection's life.
mod hooks;
/// What befell others between the concerns of the rest: set-up that never holds, fairness, sockets that outlive their
/// use.
mod incidents;
/// A pool seen from all sides, for the person on call.
mod inspecting;
/// Blocking work on a leased connection, from a task.
mod interacting;
/// Leases held too long are reported once, with the place where they were taken.
mod leaks;
/// Pausing, evicting, retaining, resizing and adding with leases, dials and resets under way.
mod levers;
/// What those who wait learn of a server that is away, and when.
mod outages;
/// Why each connection was closed, under one name everywhere.
mod reasons;
/// Replies belong to those who asked, whenever they leave.
mod replies;
/// A server that dies, hangs, comes back.
mod restarts;
/// A pool that nobody uses is not looked at, and is as before when somebody does.
mod resting;
/// What becomes of a connection after a lease.
mod returning;
/// The connector whose every step does as it is told.
#[path = "../server/mod.rs"]
mod server;
/// Settings that cannot work are errors that name the setting.
mod settings;
/// What a connection tells by itself is dealt with at once.
mod signals;
/// Gets that take long are told of, however they end.
mod slow_gets;
/// When those who wait are told that a server is away, as it can be set.
mod telling;
/// Each setting that is a time takes effect at its time.
mod timing;
/// Who is served, in which order, and what those learn who are not.
mod waiting;
/// Connections that are there before anybody asks for them.
mod warming;
