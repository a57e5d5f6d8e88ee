//! The right to use a connection together with others.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::active_connection::{ActiveConnection, Ending};
use super::set::Trial;
use super::state::Core;
use crate::connect::Multiplex;
use crate::endpoints::Outcome;
use crate::lifecycle::health::Ended;
use crate::report::{ConnectionInfo, EventKind};

/// The right to use a connection that others use too, until it is dropped.
///
/// It dereferences to the connection, shared: `&Connection`, never `&mut`. It is tied to nothing: it may be
/// moved to a task of its own, and outlive the last [`SharedPool`](crate::SharedPool) handle; the connection
/// then closes when the last of its leases ends.
///
/// Dropping it never blocks and never panics, on any thread, with or without a runtime. A holder that panics
/// gives its lease back like any other: the connection serves others, and only it knows whether it is still
/// sound ([`Connect::is_open`](crate::Connect::is_open)). Forgotten ([`std::mem::forget`]), it costs its connection one
/// share for good, and keeps it from ever going.
#[must_use = "a lease dropped at once does nothing but a round through the pool"]
pub struct SharedLease<C: Multiplex> {
    /// `None` only within its drop.
    conn: Option<Arc<ActiveConnection<C>>>,
    /// When the pool last looked at its connections before it began.
    began: u64,
    /// It is the one lease of this trial of its endpoint.
    trial: Option<Trial>,
}

impl<C: Multiplex> SharedLease<C> {
    #[inline]
    pub(super) fn new(conn: Arc<ActiveConnection<C>>, trial: Option<Trial>) -> Self {
        let began = conn.core.looked_at.load(Relaxed);
        Self {
            conn: Some(conn),
            began,
            trial,
        }
    }

    #[inline(always)]
    fn conn(&self) -> &Arc<ActiveConnection<C>> {
        self.conn
            .as_ref()
            .expect("a lease has its conn until it is dropped")
    }

    /// The connector that opened the connection: where a pool is over a set of endpoints, that of its endpoint.
    pub fn connector(lease: &Self) -> &C {
        lease.conn().connector()
    }

    /// Tells how a call on the connection ended, so that an endpoint whose calls fail gets none for a while; see
    /// [`SharedPoolBuilder::ejection`](crate::shared::SharedPoolBuilder::ejection), and
    /// [`SharedPool::balanced`](crate::SharedPool::balanced) for an example. Each call counts that is told, several of
    /// one lease as well; each as if it had begun with the lease. So once an endpoint was ejected, what is told by leases
    /// from before counts for nothing: take another lease now and then. Where the pool is of one endpoint, it does
    /// nothing.
    pub fn outcome(lease: &Self, outcome: Outcome) {
        let took = None;
        let conn = lease.conn();
        conn.tell_outcome(lease.began, Ended { outcome, took });
    }

    /// As [`outcome`](Self::outcome), of a call that took so long from request to reply, for
    /// [`Balance::PeakEwma`](crate::endpoints::Balance::PeakEwma) and
    /// [`EndpointStatus::latency`](crate::report::EndpointStatus::latency). One that its caller gave up is [`Outcome::Ignore`],
    /// however long it took.
    pub fn timed_outcome(lease: &Self, outcome: Outcome, took: Duration) {
        let took = Some(took);
        let conn = lease.conn();
        conn.tell_outcome(lease.began, Ended { outcome, took });
    }

    /// Says that the connection is no good to anybody: it gets no new leases, and once those it carries have
    /// ended it is closed. Another takes its place.
    ///
    /// ```
    /// # use cenote::{Multiplex, SharedLease, SharedPool};
    /// # async fn f<C: Multiplex<Connection = tokio::net::TcpStream>>(
    /// #     pool: SharedPool<C>,
    /// # ) -> Result<(), cenote::GetError> {
    /// let conn = pool.get().await?;
    /// if conn.peer_addr().is_err() {
    ///     SharedLease::discard(conn);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn discard(lease: Self) {
        let conn = lease.conn();
        conn.core.withdraw(conn, Ending::Discarded);
    }

    /// Says that the connection is sound but no longer wanted, as when the server behind it has become a
    /// read-only replica: it gets no new leases, and once those it carries have ended it is closed, with a
    /// goodbye. Another takes its place. [`SharedPool::evict`](crate::SharedPool::evict) does so with all of them.
    pub fn retire(lease: &Self) {
        let conn = lease.conn();
        conn.core.withdraw(conn, Ending::Retired);
    }

    /// Tells observers what happened on the connection.
    pub(crate) fn tell<'a>(lease: &Self, kind: impl FnOnce() -> EventKind<'a>) {
        lease.conn().tell(kind);
    }

    /// What the pool knows of the connection. It counts as used once for each time it was active until
    /// that ends; then by the leases it carried.
    pub fn info(lease: &Self) -> ConnectionInfo {
        lease.conn().info()
    }
}

impl<C: Multiplex> Deref for SharedLease<C> {
    type Target = C::Connection;

    #[inline(always)]
    fn deref(&self) -> &C::Connection {
        self.conn().connection()
    }
}

impl<C: Multiplex> Drop for SharedLease<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            Core::release(conn, self.trial);
        }
    }
}

impl<C: Multiplex> fmt::Debug for SharedLease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedLease")
            .field(&Self::info(self))
            .finish()
    }
}
