//! The shared pool: many leases on one connection.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Which connection carries a new lease, and what connections say of their capacity.
mod choice;
/// The end of a shared pool, and uses of it where nothing can be waited for.
mod closing;
/// A shared pool whose connections carry one lease each.
mod exclusive;
/// How many connections there are: more when all are busy, fewer after a long light load, never back and forth.
mod growth;
/// A shared pool seen from all sides, and its slow gets.
mod inspecting;
/// How connections leave service, and what becomes of the leases they carry.
mod leaving;
/// All connections gone: service comes back, and getters are told why.
mod outage;
/// Leases that take no lock, and nobody can tell.
mod roster;
/// The connector whose every step does as it is told.
#[path = "../server/mod.rs"]
mod server;
/// What connections tell by themselves reaches those who wait at once.
mod signals;
/// Places that come free are kept by the thread that freed them, and nobody can tell.
mod spares;
/// Who waits for a place: in arrival order, in a bounded queue, for a bounded time.
mod waiting;
