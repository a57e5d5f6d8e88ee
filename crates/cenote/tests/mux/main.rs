//! The mux: one connection for many callers.

mod calls;
mod peer;
