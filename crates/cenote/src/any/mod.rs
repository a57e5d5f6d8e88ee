//! One shape for every pool of a kind of connection.
//!
//! [`DynPool`] holds a pool of whatever kind: ours, one of your own ([`ErasedPool`]), or [`Unpooled`], which opens a connection
//! for each lease. [`DynKeyed`] is the same of pools by key: [`Keyed`](crate::Keyed), your own ([`ErasedKeyed`]), or
//! [`UnpooledKeyed`].

// `erased` and `keyed` have the shapes, `exclusive`, `shared` and `blocking` are our pools in them, `unpooled` is the pool
// that is none, `unpooled_keyed` one of these for each key.

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

/// What pools by key can do, whatever they are of.
macro_rules! by_key {
    () => {
        fn status(&self) -> Option<KeyedStatus> {
            Some(Keyed::status(self))
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            let close = Keyed::close(self);
            Box::pin(async move {
                close.await;
            })
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
mod keyed;
#[cfg(feature = "shared")]
mod shared;
mod unpooled;
mod unpooled_keyed;

pub use erased::{BoxFuture, DynLease, DynPool, ErasedPool};
pub use keyed::{DynKeyed, ErasedKeyed};
pub use unpooled::{Unpooled, UnpooledLease};
pub use unpooled_keyed::{IntoConnector, UnpooledKeyed};
