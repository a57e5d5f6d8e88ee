//! Pools over a set of endpoints, on virtual time.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// Endpoints that come, go, and change.
mod changes;
/// Which endpoint serves.
mod choice;
/// Endpoints that can be reached, and whose calls fail.
mod ejection;
/// Endpoints that cannot be reached, and come back.
mod failures;
/// What befell the first version.
mod review;
/// The service that all of them are about.
mod service;
/// What can be set, and what is refused.
mod settings;
/// What is told of the endpoints.
mod status;
/// Who waits, for what, and how long.
mod waiting;
