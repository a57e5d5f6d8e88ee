//! One shape for every pool of a kind of connection.
//!
//! [`DynPool`] holds a pool of whatever kind: ours, one of your own ([`ErasedPool`]), or [`Unpooled`], which opens a connection
//! for each lease.

// One shape for every pool of a kind of connection: `erased` has the shape, `ours` our pools in it, `unpooled` the pool
// that is none.

mod erased;
mod ours;
mod unpooled;

pub use erased::{BoxFuture, DynLease, DynPool, ErasedPool};
pub use unpooled::{Unpooled, UnpooledLease};
