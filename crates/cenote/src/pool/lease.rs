//! Leases: the right to use a connection until they are dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::connect::Connect;
use crate::endpoints::{EndpointId, Outcome};
use crate::kernel::{Arc, LeaseToken};
use crate::lifecycle::health::{self, Ended};
use crate::lifecycle::retire;
use crate::lifecycle::state::{ConnectionToken, Lifecycle, LifecycleCore};
use crate::report::{CloseReason, ConnectionInfo};

/// The right to use a connection, alone, until it is dropped; it then goes back to its pool.
///
/// It dereferences to the connection. What can be done with the lease itself are associated functions, so
/// that they never shadow the connection's methods: `Lease::discard(lease)`.
///
/// Dropping it never blocks and never panics, on any thread, with or without a runtime. Dropped while its
/// holder panics, it takes the connection with it, which may be in any state. Forgotten
/// ([`std::mem::forget`]), it costs its pool one place for good, and
/// [`leak_threshold`](crate::pool::PoolBuilder::leak_threshold) reports it.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct Lease<'a, C: Connect> {
    loan: LeaseToken<'a, Lifecycle<C>>,
}

/// As [`Lease`], without a tie to the handle it was taken from: for tasks and structs of their own.
///
/// It holds no counted reference and costs what a [`Lease`] costs. It may outlive the last [`Pool`](crate::Pool)
/// handle; the pool is then closed, and so is the connection when it comes back.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct OwnedLease<C: Connect> {
    loan: LeaseToken<'static, Lifecycle<C>>,
}

impl<'a, C: Connect> Lease<'a, C> {
    #[inline(always)]
    pub(crate) fn new(token: ConnectionToken<C>, core: &'a LifecycleCore<C>) -> Self {
        Self {
            loan: LeaseToken::new(token, Some(core)),
        }
    }

    /// The same lease without its tie to the pool handle.
    pub fn into_owned(lease: Self) -> OwnedLease<C> {
        OwnedLease::new(lease.loan.into_token())
    }
}

impl<C: Connect> OwnedLease<C> {
    #[inline(always)]
    pub(crate) fn new(token: ConnectionToken<C>) -> Self {
        Self {
            loan: LeaseToken::new(token, None),
        }
    }

    pub(super) fn core(&self) -> Arc<LifecycleCore<C>> {
        Arc::clone(self.loan.token().core())
    }

    /// Ends a lease whose holder panicked.
    pub(super) fn panicked(lease: Self, panic: &str) {
        retire::retire(lease.loan.into_token(), CloseReason::Panicked, Some(panic));
    }
}

macro_rules! lease {
    ($name:ident<$($lifetime:lifetime,)? C>) => {
        impl<$($lifetime,)? C: Connect> $name<$($lifetime,)? C> {
            /// The connector that opened the connection: where a pool is over a set of endpoints, that of its endpoint.
            pub fn connector(lease: &Self) -> &C {
                let token = lease.loan.token();
                &token.entry().target.connector
            }

            /// Which endpoint of a set the connection is to: for another of the same, [`Get::at`](crate::pool::Get::at).
            /// None where the pool is of one endpoint.
            pub fn endpoint_id(lease: &Self) -> Option<EndpointId> {
                lease.loan.token().entry().target.id()
            }

            /// Tells how a call on the connection ended, so that an endpoint whose calls fail gets none for a while; see
            /// [`PoolBuilder::ejection`](crate::pool::PoolBuilder::ejection). Each call counts that is told, several
            /// of one lease as well. Where the pool is of one endpoint, it does nothing.
            ///
            /// ```
            /// # use cenote::{Connect, Lease};
            /// # struct Session; impl Session { async fn call(&mut self) -> Result<(), &str> { Ok(()) } }
            /// # async fn f<C: Connect<Connection = Session>>(pool: cenote::Pool<C>) -> Result<(), cenote::GetError> {
            /// use cenote::endpoints::Outcome;
            ///
            /// let mut session = pool.get().await?;
            /// let outcome = match session.call().await {
            ///     Ok(()) => Outcome::Ok,
            ///     Err(_) => Outcome::Failed,
            /// };
            /// Lease::outcome(&session, outcome);
            /// # Ok(())
            /// # }
            /// ```
            pub fn outcome(lease: &Self, outcome: Outcome) {
                let took = None;
                health::tell_outcome(lease.loan.token(), Ended { outcome, took });
            }

            /// As [`outcome`](Self::outcome), of a call that took so long from request to reply, for
            /// [`Balance::PeakEwma`](crate::endpoints::Balance::PeakEwma) and
            /// [`EndpointStatus::latency`](crate::report::EndpointStatus::latency). One that its caller gave up is
            /// [`Outcome::Ignore`], however long it took.
            ///
            /// ```
            /// # use cenote::{Connect, Lease};
            /// # struct Session; impl Session { async fn call(&mut self) -> Result<(), &str> { Ok(()) } }
            /// # async fn f<C: Connect<Connection = Session>>(pool: cenote::Pool<C>) -> Result<(), cenote::GetError> {
            /// use cenote::endpoints::Outcome;
            /// use cenote::time::Instant;
            ///
            /// let mut session = pool.get().await?;
            /// let began = Instant::now();
            /// let outcome = match session.call().await {
            ///     Ok(()) => Outcome::Ok,
            ///     Err(_) => Outcome::Failed,
            /// };
            /// Lease::timed_outcome(&session, outcome, began.elapsed());
            /// # Ok(())
            /// # }
            /// ```
            pub fn timed_outcome(lease: &Self, outcome: Outcome, took: Duration) {
                let took = Some(took);
                health::tell_outcome(lease.loan.token(), Ended { outcome, took });
            }

            /// Closes the connection instead of giving it back: it is broken, or in a state nobody else
            /// should see.
            ///
            /// ```
            /// # use cenote::{Connect, Lease};
            /// # async fn f<C: Connect<Connection = tokio::net::TcpStream>>(
            /// #     pool: cenote::Pool<C>,
            /// # ) -> Result<(), cenote::GetError> {
            /// let conn = pool.get().await?;
            /// if conn.set_nodelay(true).is_err() {
            ///     Lease::discard(conn);
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn discard(lease: Self) {
                retire::retire(lease.loan.into_token(), CloseReason::Discarded, None);
            }

            /// Has the connection closed, with a goodbye, when this lease ends: it is sound, but no longer wanted,
            /// as when the server behind it has become a read-only replica.
            ///
            /// ```
            /// # use cenote::{Connect, Lease};
            /// # struct Session; impl Session { async fn write(&mut self) -> Result<(), &str> { Ok(()) } }
            /// # async fn f<C: Connect<Connection = Session>>(
            /// #     pool: cenote::Pool<C>,
            /// # ) -> Result<(), cenote::GetError> {
            /// let mut conn = pool.get().await?;
            /// if conn.write().await == Err("read only") {
            ///     Lease::retire(&conn); // this one, and
            ///     pool.evict(); // all others as well
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn retire(lease: &Self) {
                lease.loan.token().meta().retire();
            }

            /// Takes the connection out of the pool for good; its place is free for another.
            pub fn detach(lease: Self) -> C::Connection {
                retire::detach(lease.loan.into_token())
            }

            /// Says what this lease is for: reports of leaks, time-outs and [`inspect`](crate::Pool::inspect) show the
            /// label beside the call site, which alone says little where all leases are taken in one function. Until
            /// the lease ends, or has another label.
            ///
            /// ```
            /// # use cenote::{Connect, GetError, Lease, Pool};
            /// async fn connection<'a, C: Connect>(
            ///     pool: &'a Pool<C>,
            ///     purpose: &'static str,
            /// ) -> Result<Lease<'a, C>, GetError> {
            ///     let lease = pool.get().await?; // the call site of all
            ///     Lease::set_label(&lease, purpose);
            ///     Ok(lease)
            /// }
            /// ```
            ///
            /// Each pair of a call site and a label is kept for the life of the process, once.
            pub fn set_label(lease: &Self, label: &'static str) {
                lease.loan.token().meta().call_site.set_label(label);
            }

            /// What the pool knows of the connection.
            pub fn info(lease: &Self) -> ConnectionInfo {
                let token = lease.loan.token();
                let now = token.core().owner.clock.now();
                token.meta().info(now, token.meta().leased_at.load(Relaxed))
            }
        }

        impl<$($lifetime,)? C: Connect> Deref for $name<$($lifetime,)? C> {
            type Target = C::Connection;

            #[inline(always)]
            fn deref(&self) -> &C::Connection {
                &self.loan.token().entry().conn
            }
        }

        impl<$($lifetime,)? C: Connect> DerefMut for $name<$($lifetime,)? C> {
            #[inline(always)]
            fn deref_mut(&mut self) -> &mut C::Connection {
                &mut self.loan.token_mut().entry_mut().conn
            }
        }

        impl<$($lifetime,)? C: Connect> fmt::Debug for $name<$($lifetime,)? C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&Self::info(self)).finish()
            }
        }
    };
}

lease!(Lease<'a, C>);
lease!(OwnedLease<C>);
