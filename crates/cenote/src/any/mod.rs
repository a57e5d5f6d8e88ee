//! One shape for every pool of a kind of connection.
//!
//! [`DynPool`] holds a pool of whatever kind: ours, one of your own ([`ErasedPool`]), or [`Unpooled`], which opens a connection
//! for each lease.

// `erased` has the shape, `exclusive`, `shared` and `blocking` are our pools in it, `unpooled` is the pool that is none.

/// What all of ours can do, in their own words.
macro_rules! looks {
    () => {
        fn status(&self) -> Option<Status> {
            Some(Self::status(self))
        }

        fn inspect(&self) -> Option<Snapshot> {
            Some(Self::inspect(self))
        }
    };
}

/// Leases that give their connection to one holder.
macro_rules! lease {
    ($connect:path, $lease:ty) => {
        impl<C: $connect> ErasedLease<C::Connection> for $lease {
            fn conn(&self) -> &C::Connection {
                self
            }

            fn conn_mut(&mut self) -> &mut C::Connection {
                self
            }

            fn discard(self: Box<Self>) {
                Self::discard(*self);
            }

            fn retire(&self) {
                Self::retire(self);
            }

            fn set_label(&self, label: &'static str) {
                Self::set_label(self, label);
            }
        }
    };
}

#[cfg(feature = "blocking")]
mod blocking;
mod erased;
mod exclusive;
#[cfg(feature = "shared")]
mod shared;
mod unpooled;

pub use erased::{BoxFuture, DynLease, DynPool, ErasedPool};
pub use unpooled::{Unpooled, UnpooledLease};
