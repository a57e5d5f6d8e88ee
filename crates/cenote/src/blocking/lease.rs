//! Leases of a blocking pool: those of the pool beneath, with the connection out of its seat.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Connect;
use super::driver::{Seat, Threads};
use crate::pool::{self, InteractError};
use crate::report::ConnectionInfo;

macro_rules! lease {
    ($(#[$doc:meta])* $name:ident<$($lifetime:lifetime,)? C>($token:ty)) => {
        $(#[$doc])*
        #[must_use = "a lease dropped at once does nothing but a round through the pool"]
        pub struct $name<$($lifetime,)? C: Connect>(pub(super) $token);

        impl<$($lifetime,)? C: Connect> $name<$($lifetime,)? C> {
            /// Closes the connection instead of giving it back.
            pub fn discard(lease: Self) {
                <$token>::discard(lease.0);
            }

            /// Has the connection closed, with a goodbye, when this lease ends.
            pub fn retire(lease: &Self) {
                <$token>::retire(&lease.0);
            }

            /// Says what this lease is for; see [`cenote::Lease::set_label`](crate::Lease::set_label).
            pub fn set_label(lease: &Self, label: &'static str) {
                <$token>::set_label(&lease.0, label);
            }

            /// Takes the connection out of the pool for good.
            pub fn detach(lease: Self) -> C::Connection {
                <$token>::detach(lease.0).into_connection()
            }

            /// What the pool knows of the connection.
            pub fn info(lease: &Self) -> ConnectionInfo {
                <$token>::info(&lease.0)
            }
        }

        impl<$($lifetime,)? C: Connect> Deref for $name<$($lifetime,)? C> {
            type Target = C::Connection;

            #[inline]
            fn deref(&self) -> &C::Connection {
                self.0.conn()
            }
        }

        impl<$($lifetime,)? C: Connect> DerefMut for $name<$($lifetime,)? C> {
            #[inline]
            fn deref_mut(&mut self) -> &mut C::Connection {
                self.0.conn_mut()
            }
        }

        impl<$($lifetime,)? C: Connect> fmt::Debug for $name<$($lifetime,)? C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&Self::info(self)).finish()
            }
        }
    };
}

lease! {
    /// The right to use a connection until it is dropped; see [`cenote::Lease`](crate::Lease).
    Lease<'a, C>(pool::Lease<'a, Threads<C>>)
}

lease! {
    /// As [`Lease`], without a tie to the handle it was taken from.
    OwnedLease<C>(pool::OwnedLease<Threads<C>>)
}

impl<C: Connect> OwnedLease<C> {
    /// Runs a closure with the connection on a thread of the pool's, for a task, which must not block; the lease comes
    /// back with the outcome. Dropping the future does not stop the closure: the lease goes back to the pool when it has
    /// ended. See [`cenote::OwnedLease::interact`](crate::OwnedLease::interact).
    ///
    /// # Errors
    /// - [`Panicked`](InteractError::Panicked): the closure panicked; the connection is closed.
    /// - [`Aborted`](InteractError::Aborted): the pool has been dropped, and its threads have ended.
    pub async fn interact<T: Send + 'static>(
        lease: Self,
        work: impl FnOnce(&mut C::Connection) -> T + Send + 'static,
    ) -> Result<(Self, T), InteractError> {
        let work = move |seat: &mut Seat<C::Connection>| work(seat.conn_mut());
        let (lease, outcome) = pool::OwnedLease::interact(lease.0, work).await?;
        Ok((Self(lease), outcome))
    }
}
