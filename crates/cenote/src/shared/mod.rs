//! The shared pool: many leases on each connection, at once.
//!
//! [`SharedPool`] is a handle that anyone may clone, [`SharedPoolBuilder`] has its settings, [`Choice`] is one of them;
//! [`SharedGet`] and [`SharedGetOwned`] are leases on their way, [`SharedLease`] is one in a user's hands.

// The shared pool: many leases on each connection, at once.
//
// A thin face of the [`lifecycle`](crate::lifecycle): dials, back-off, lifetime, idle time, checks, close, hooks and
// events are that one's. This face decides which connection carries a new lease (`policy::sharing`), who waits, and
// when a connection becomes active or drains. To the lifecycle, an active connection is taken, once.
//
// `get`, `permits`, `grant`, `shards` and `lease` are a lease's life, `roster` and `lease_word` its life without the lock;
// `active_connection`, `activation`, `grow`, `upkeep` and `times` an active connection's, `active` all of them; `state` is
// what they go by, under one lock, `locked` how it is changed and `deferred` what follows then. An active connection and
// the state hold each other, as the roster and its connections do while it is out; no other two files do.
//
// Locks: under `state`'s only those of the cached permits and of the threads' views are taken, and under these none, so
// that nothing of the lifecycle is called under any.

mod activation;
mod active;
mod active_connection;
mod builder;
mod deferred;
mod get;
mod grant;
mod grow;
mod inspect;
mod lease;
mod lease_word;
mod locked;
#[cfg(all(test, cenote_shuttle))]
mod models;
mod permits;
mod roster;
mod set;
mod shards;
mod state;
mod times;
mod upkeep;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Duration;

use state::Core;

use crate::connect::Multiplex;
use crate::endpoints::{Endpoint, IntoDiscovery};
use crate::error::{GetError, SettingsError, TryGetError};
use crate::lifecycle::close::Close;
use crate::lifecycle::supply::Supply;
use crate::lifecycle::{change, warm};
use crate::report::{Counters, EventKind, PoolState, SetStatus, Snapshot, Status, Timings};
use crate::rt::Runtime;

pub use crate::policy::sharing::Choice;
pub use builder::SharedPoolBuilder;
pub use get::{SharedGet, SharedGetOwned};
pub use lease::SharedLease;

/// A pool of connections that carry many leases at once, as many as [`Multiplex::capacity`] says.
///
/// A cheap handle: clones share the pool, and dropping the last one closes it. Leases may outlive it.
///
/// A caller is given a share of the connection that the [`Choice`] falls on. Once all
/// connections are at the high-water mark, one more is opened, one at a time; when the load has been light
/// for a while, one is parked. Where connections turn out to carry one lease each, more are opened for callers that wait
/// and for no others, [several at once](SharedPoolBuilder::max_connecting) if they may be. With nothing connected, callers
/// wait for the dial; what they learn when connecting fails, and when, is set by
/// [`connect_failures`](SharedPoolBuilder::connect_failures): by default a restart is ridden out, and a mistake told.
///
/// ```
/// # use cenote::{Connect, Dial, Multiplex, SharedPool, Verdict};
/// # struct Rpc;
/// # impl Rpc {
/// #     async fn call(&self, _: &str) {}
/// #     fn is_closed(&self) -> bool { false }
/// # }
/// struct Server;
///
/// impl Connect for Server {
///     type Connection = Rpc; // its calls take `&self`
///     type Error = std::io::Error;
///
///     async fn connect(&self, _: &Dial) -> std::io::Result<Rpc> {
///         Ok(Rpc)
///     }
///
///     // Without this, a connection that has ended would be leased again.
///     fn is_open(&self, rpc: &Rpc) -> bool {
///         !rpc.is_closed()
///     }
///
///     /// Asked when the last lease is over: no call is outstanding then, and calls leave no state behind.
///     fn verdict(&self, _: &mut Rpc) -> Verdict {
///         Verdict::Reuse
///     }
/// }
///
/// impl Multiplex for Server {
///     fn capacity(&self, _: &Rpc) -> usize {
///         1_000
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = SharedPool::builder(Server).max_size(2).build()?;
/// let (one, other) = (pool.get().await?, pool.get().await?);
/// tokio::join!(one.call("ping"), other.call("ping")); // on one connection
/// # Ok(())
/// # }
/// ```
///
/// A connector for connections of a protocol of your own, each a [`Mux`](crate::mux::Mux):
/// [there](crate::mux#in-a-pool).
pub struct SharedPool<C: Multiplex> {
    core: Arc<Core<C>>,
}

impl<C: Multiplex> SharedPool<C> {
    /// Sets up a pool of the connections that `connector` opens.
    pub fn builder(connector: C) -> SharedPoolBuilder<C> {
        SharedPoolBuilder::new(Supply::One(connector))
    }

    /// Sets up a pool over a set of endpoints: connections to all of them, one queue for all callers, each lease on a
    /// connection of the endpoint that [`balance`](SharedPoolBuilder::balance) chooses by the leases on each.
    ///
    /// `source` and `make` are as those of [`Pool::balanced`](crate::Pool::balanced), which says what becomes of endpoints
    /// that come, go, or cannot be reached. Of one that leaves, connections carry their leases to the end and get no new
    /// ones. An endpoint that was chosen and has no connection is dialled, while another serves in its place; one whose
    /// connections are busy has more opened once those of the others are, too.
    ///
    /// An endpoint that is used so seldom that its connection rests between two leases serves one lease later than it is
    /// chosen, for its connection is checked meanwhile.
    ///
    /// The set is asked for and followed on the tokio runtime on which this is called;
    /// [`build`](SharedPoolBuilder::build) fails where there is none. Once that runtime has ended, the set stays as it
    /// was, and no endpoint is ejected any more.
    ///
    /// The defaults differ: [`max_per_endpoint`](SharedPoolBuilder::max_per_endpoint) bounds the connections, and
    /// [`max_size`](SharedPoolBuilder::max_size), all together, does not; up to 16 dials are in flight.
    ///
    /// ```
    /// # use cenote::{Connect, Dial, Multiplex, Verdict};
    /// # struct Rpc(&'static str);
    /// # struct Calls;
    /// # impl Calls { async fn call(&self, said: &str) -> std::io::Result<String> { Ok(said.into()) } }
    /// # impl Connect for Rpc {
    /// #     type Connection = Calls;
    /// #     type Error = std::io::Error;
    /// #     async fn connect(&self, _: &Dial) -> std::io::Result<Calls> { Ok(Calls) }
    /// #     fn verdict(&self, _: &mut Calls) -> Verdict { Verdict::Reuse }
    /// # }
    /// # impl Multiplex for Rpc { fn capacity(&self, _: &Calls) -> usize { 1_000 } }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cenote::endpoints::{EndpointSet, Outcome, fixed};
    /// use cenote::{SharedLease, SharedPool};
    ///
    /// let servers = fixed(EndpointSet::of(["10.0.0.1:7000", "10.0.0.2:7000"]));
    /// let pool = SharedPool::balanced(servers, |at| Rpc(at.key)).build()?;
    /// let conn = pool.get().await?;
    /// let reply = conn.call("ping").await;
    /// // So that an endpoint whose calls fail gets none for a while.
    /// SharedLease::outcome(&conn, if reply.is_ok() { Outcome::Ok } else { Outcome::Failed });
    /// # Ok(()) }
    /// ```
    pub fn balanced<S: IntoDiscovery>(
        source: S,
        make: impl Fn(&Endpoint<S::Key>) -> C + Send + Sync + 'static,
    ) -> SharedPoolBuilder<C> {
        SharedPoolBuilder::new(Supply::set(source.into_discovery(), make))
    }

    /// A pool with default settings.
    pub fn new(connector: C) -> Self {
        let built = Self::builder(connector).build();
        built.expect("default settings are possible")
    }

    /// Leases a share of a connection: at once if one has room and nobody waits, else the first that comes
    /// free, in arrival order.
    ///
    /// Waits for `acquire_timeout` at most, or [`SharedGet::timeout`]. Dropping the future leaves the queue
    /// and loses nothing.
    ///
    /// # Errors
    /// - [`TimedOut`](GetError::TimedOut): the time passed; carries the last connect error if connects fail.
    /// - [`QueueFull`](GetError::QueueFull): `max_waiters` were waiting already.
    /// - [`Connect`](GetError::Connect): nothing is open, and connecting fails as it does where something is set wrong;
    ///   see [`connect_failures`](SharedPoolBuilder::connect_failures).
    /// - [`Closed`](GetError::Closed): the pool is closed, before or while waiting.
    /// - [`NoRuntime`](GetError::NoRuntime): it had to wait, and there is no tokio runtime to connect on.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> SharedGet<'_, C> {
        self.get_at(Location::caller())
    }

    #[inline]
    pub(crate) fn get_at(&self, call_site: &'static Location<'static>) -> SharedGet<'_, C> {
        SharedGet::new(&self.core, call_site)
    }

    /// As [`get`](Self::get), by a future without a tie to this handle: for structs that keep it. It costs a counted
    /// reference more, and keeps the pool no more open than a lease does.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn get_owned(&self) -> SharedGetOwned<C> {
        SharedGetOwned::new(Arc::clone(&self.core), Location::caller())
    }

    /// Leases a share of a connection if there is one at once, or says why not; never waits. It has no connection opened
    /// for itself; for those that come after, as any lease that leaves all connections busy, or that goes elsewhere than
    /// to the endpoint of a [set](Self::balanced) whose turn it was.
    ///
    /// # Errors
    /// [`NoneIdle`](TryGetError::NoneIdle): no open connection has room, or others wait for it, or those that
    /// are open must be checked first, which then begins. [`Closed`](TryGetError::Closed).
    pub fn try_get(&self) -> Result<SharedLease<C>, TryGetError> {
        let core = &self.core;
        if let Some(conn) = core.take_cached() {
            return Ok(SharedLease::new(conn, None));
        }
        let unlisted = match core.take_listed() {
            Ok(lease) => return Ok(lease),
            Err(unlisted) => unlisted,
        };
        loop {
            let listed = || Some(Ok((Some(core.listed(unlisted)?), false)));
            let (grant, may_grow) = core.locked_unless(listed, |state, deferred| {
                if state.phase == PoolState::Closed {
                    return Err(TryGetError::Closed);
                }
                let is_first = state.waitlist.len() == 0;
                let grant = is_first.then(|| core.give(state, deferred)).flatten();
                let may_grow = grant.is_none()
                    && state.waitlist.len() == 0
                    && state.growing == 0
                    && state.active.len() < state.max_size;
                state.growing += usize::from(may_grow);
                Ok((grant, may_grow))
            })?;
            match grant {
                Some(grant) => {
                    if let Some(lease) = core.admit(grant) {
                        return Ok(lease);
                    }
                }
                None if may_grow && grow::take_one(core) => {}
                None => return Err(TryGetError::NoneIdle),
            }
        }
    }

    /// The pool as it is now. Looks at every connection: cheap, but not for every request.
    ///
    /// `leased` are the connections that carry a lease at least, `idle` those that carry none; `sharing` tells of
    /// the leases on them.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// The endpoints of a pool over a [set](Self::balanced), as they are now; none where it is of one endpoint. Takes a
    /// few locks for each: for people, not for every request.
    pub fn endpoints(&self) -> Option<SetStatus> {
        self.core.life.set_status()
    }

    /// How busy it is: its leases and those who wait for one. Nearly so while they come and go, and cheap enough for
    /// every request, as where pools are balanced by load.
    pub fn load(&self) -> usize {
        let state = self.core.state();
        let permits = state.in_flight_now();
        // Still under the lock: recalled in between, they would all count as leases.
        let cached = self.core.shards.count();
        permits.saturating_sub(cached) + state.waitlist.len()
    }

    /// What happened since the pool began. `gets`, `waited`, `timed_out` and `rejected` count the users of
    /// this pool, everything else its connections.
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// How long callers waited and connecting took since the pool began, as histograms.
    pub fn timings(&self) -> Timings {
        self.core.life.timings()
    }

    /// The pool from all sides, for the person on call; see [`Pool::inspect`](crate::Pool::inspect). Who holds a lease
    /// the pool does not know, only how many there are on each connection.
    pub fn inspect(&self) -> Snapshot {
        self.core.inspect()
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.core.life.owner.settings.name
    }

    /// The connector the pool was built with; none where it is over a set of endpoints.
    pub fn connector(&self) -> Option<&C> {
        Some(&self.core.life.owner.targets.one()?.connector)
    }

    /// Changes `max_size`. Growing serves waiters at once; shrinking closes idle connections and drains the
    /// least loaded of the others, as many as are too many.
    ///
    /// # Errors
    /// Zero, more than a pool can have, or less than `min_size`; nothing is changed then.
    pub fn resize(&self, max_size: usize) -> Result<(), SettingsError> {
        let core = &self.core;
        change::resize(&core.life, max_size)?;
        core.locked(|state, deferred| {
            state.flush_cached(deferred);
            state.max_size = max_size;
            while state.active.len() > max_size {
                let active = state.active.entries().iter().enumerate();
                let Some((least, _)) = active.min_by_key(|(_, entry)| entry.in_flight()) else {
                    return;
                };
                state.start_drain(deferred, least);
            }
            core.dial_if_needed(state, deferred);
        });
        Ok(())
    }

    /// Opens as many connections as [`min_size`](SharedPoolBuilder::min_size) says, now, and returns when they are
    /// there: as
    /// [`Pool::warm`](crate::Pool::warm).
    ///
    /// # Errors
    /// As those of [`Pool::warm`](crate::Pool::warm).
    pub async fn warm(&self) -> Result<(), GetError> {
        let core = &self.core;
        let limit = core.limits.acquire_timeout;
        warm::warm(&core.life, limit, |waited| core.timed_out(waited)).await
    }

    /// Replaces every connection open now, without disturbing those who use one: each is closed once the leases
    /// it carries have ended, and gets no new ones. For when credentials or addresses have changed, or another
    /// server has taken over.
    pub fn evict(&self) {
        let core = &self.core;
        change::evict(&core.life);
        core.locked(|state, deferred| {
            while !state.active.is_empty() {
                state.start_drain(deferred, 0);
            }
            core.dial_if_needed(state, deferred);
        });
    }

    /// Closes the pool, at once: waiters get [`Closed`](GetError::Closed), idle connections end now, the
    /// others when the last of their leases ends. Await the result to wait for that, [`Close::timeout`] at
    /// most.
    pub fn close(&self) -> Close {
        self.core.close()
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_spent(&self) -> bool {
        self.core.life.is_spent()
    }

    /// Where its tasks run.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.core.life.owner.runtime
    }

    /// Tells observers what happened in front of the pool.
    pub(crate) fn tell<'a>(&self, kind: impl FnOnce() -> EventKind<'a>) {
        self.core.life.owner.tell(kind);
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.core.state().phase == PoolState::Closed
    }
}

impl<C: Multiplex> Core<C> {
    fn close(self: &Arc<Self>) -> Close {
        // First: what is given back below is closed at once.
        let close = Close::begin(&self.life);
        let error = self.closed_error();
        self.locked(|state, deferred| {
            state.phase = PoolState::Closed;
            while !state.active.is_empty() {
                state.start_drain(deferred, 0);
            }
            state.refuse_all(deferred, &error);
        });
        upkeep::dismiss(self);
        close
    }

    fn status(self: &Arc<Self>) -> Status {
        let connections = self.life.status();
        self.locked(|state, deferred| {
            state.flush_cached(deferred);
            state.status(connections)
        })
    }

    fn closed_error(&self) -> GetError {
        self.life.owner.closed_error()
    }

    /// The error of a caller that waited `waited`.
    fn timed_out(self: &Arc<Self>, waited: Duration) -> GetError {
        self.state().timed_out += 1;
        self.life.owner.tell(|| EventKind::TimedOut { waited });
        self.life.timed_out(waited, None, self.status(), Vec::new())
    }
}

impl<C: Multiplex> Clone for SharedPool<C> {
    fn clone(&self) -> Self {
        self.core.life.owner.handles.fetch_add(1, Relaxed);
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl<C: Multiplex> Drop for SharedPool<C> {
    fn drop(&mut self) {
        // AcqRel: what other handles did comes before the end of the pool.
        if self.core.life.owner.handles.fetch_sub(1, AcqRel) == 1 {
            drop(self.core.close());
        }
    }
}

impl<C: Multiplex> fmt::Debug for SharedPool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPool")
            .field("name", &self.name())
            .field("status", &self.status())
            .finish()
    }
}
