//! Pools over a set of endpoints, on virtual time.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Leases of the endpoint that a key belongs to, or that is named.
mod by_key;
/// Endpoints that come, go, and change.
mod changes;
/// Which endpoint serves.
mod choice;
/// Endpoints that get no more leases, and whose leases last.
mod drains;
/// Endpoints that can be reached, and whose calls fail.
mod ejection;
/// What is told of endpoints as it happens.
mod events;
/// Endpoints that cannot be reached, and come back.
mod failures;
/// How connections come to be where they are needed.
mod growth;
/// An endpoint that has other addresses.
mod moves;
/// Messages that have no reply.
mod one_way;
/// What callers are told of endpoints that cannot be reached, and what becomes of those.
mod outages;
/// Runtimes that end, and pools that are used on others.
mod runtimes;
/// The service that all of them are about.
mod service;
/// What can be set, and what is refused.
mod settings;
/// Pools whose connections carry many leases at once.
mod shared;
/// What is told of the endpoints.
mod status;
/// Calls whose time is told.
mod timed;
/// Endpoints that are up, and not what is wanted.
mod unsuitable;
/// What users write that panics.
mod user_code;
/// Who waits, for what, and how long.
mod waiting;
