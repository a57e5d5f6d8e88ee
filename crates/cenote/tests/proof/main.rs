//! Proof by mass: the duties of the pools after every cancellation, every panic, any script and any fault, under many
//! threads; and what a call allocates, counted.
#![allow(clippy::unwrap_used, reason = "a test may")]

/// What a call of the mux allocates.
mod allocations;
/// Random scripts on several pools under one budget, against what a naive reference knows of it.
mod budget_scripts;
/// Every combination of what a connector and the hooks can do, each get dropped after every number of polls.
mod cancel_sweep;
/// Many users on several threads, on pools that are being changed and connections that die, age and carry less.
mod contention;
/// Panics in everything the pool calls and in everyone who calls it.
mod panics;
/// Random scripts on the pool and on a naive reference, which must look alike.
mod reference_model;
/// Which scripts are run.
mod scripts;
/// The connector whose every step does as it is told.
#[path = "../server/mod.rs"]
mod server;
/// The pool on virtual time, with users and a backend that do what a seed says; and against what is known of queues.
mod simulation;
