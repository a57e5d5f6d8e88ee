//! The exclusive pool: each connection is leased to one user at a time.
//!
//! [`Pool`] is a handle that anyone may clone, [`PoolBuilder`] has its settings; [`Get`] and [`GetOwned`] are a lease on its
//! way, [`Lease`] and [`OwnedLease`] one in a user's hands, [`Close`] the end of the pool.

// The exclusive pool: a handle anyone may clone, over the life of its connections ([`lifecycle`](crate::lifecycle)).
// It decides what a lease is, who waits for one and for how long.
//
// `get` leads to a lease, by `waiting` if there is none at once; its drop is a return to the lifecycle's `recycle`.

mod builder;
mod get;
mod holders;
mod interact;
mod lease;
#[cfg(all(test, cenote_shuttle))]
pub(crate) mod models;
mod timed_out;
mod waiting;

use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use get::Acquire;
use timed_out::timed_out;

use crate::connect::Connect;
use crate::endpoints::{Candidates, Endpoint, EndpointId, IntoDiscovery, Key};
use crate::error::{AddError, GetError, SettingsError, TryGetError};
use crate::kernel::{Arc, IdleSince, Phase, State};
use crate::lifecycle::blueprint::Blueprint;
use crate::lifecycle::close;
use crate::lifecycle::state::{ConnectionToken, LifecycleCore};
use crate::lifecycle::supply::Supply;
use crate::lifecycle::{add, change, dial, recycle, retire, take, warm};
use crate::registry::Listed;
use crate::report::{CloseReason, ConnectionInfo, Counters, SetStatus, Snapshot, Status, Timings};
use crate::settings::Settings;

pub use crate::lifecycle::close::{Close, CloseReport};
pub use builder::PoolBuilder;
pub use get::{Get, GetOwned};
pub use interact::InteractError;
pub use lease::{Lease, OwnedLease};

/// A pool of exclusive connections to one endpoint.
///
/// A cheap handle: clones share the pool, and dropping the last one closes it. Leases may outlive it.
///
/// ```
/// # use cenote::{Connect, Pool};
/// # async fn f<C: Connect<Connection = Vec<u8>>>(connector: C) -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::builder(connector).max_size(20).build()?;
/// let mut conn = pool.get().await?;
/// conn.push(1);
/// drop(conn); // goes back to the pool
/// pool.close().await;
/// # Ok(())
/// # }
/// ```
pub struct Pool<C: Connect> {
    core: Arc<LifecycleCore<C>>,
}

impl<C: Connect> Pool<C> {
    /// Sets up a pool of the connections that `connector` opens.
    pub fn builder(connector: C) -> PoolBuilder<C> {
        PoolBuilder::new(Supply::One(connector))
    }

    /// Sets up a pool over a set of endpoints: connections to all of them, one queue for all callers, each lease on a
    /// connection of the endpoint that [`balance`](PoolBuilder::balance) chooses.
    ///
    /// `source` tells the endpoints, now and whenever they change: a [source](crate::endpoints) or a
    /// [`Discovery`](crate::endpoints::Discovery). `make` makes the connector of one of them; it is called again when its
    /// addresses change.
    ///
    /// - An endpoint that appears is used as soon as it is connected to; one that disappears, or has weight 0, gets no more
    ///   leases, and its connections are closed when they are idle.
    /// - One that cannot be reached is passed over, and dialled at the pace of its own
    ///   [`backoff`](PoolBuilder::backoff) while the pool is in use. Callers hear of it only where no endpoint can be
    ///   reached.
    /// - The defaults differ: [`max_per_endpoint`](PoolBuilder::max_per_endpoint) bounds the connections, and
    ///   [`max_size`](PoolBuilder::max_size), all together, does not; up to 16 dials are in flight.
    ///
    /// The set is asked for and followed on the tokio runtime on which this is called;
    /// [`build`](PoolBuilder::build) fails where there is none. Once that runtime has ended, the set stays as it was, and no
    /// endpoint is ejected any more. Keys are shown in errors and events where a connector does
    /// not [say](Connect::endpoint) what it dials: no secrets belong in them.
    ///
    /// ```no_run
    /// # use cenote::{Connect, Dial, Verdict};
    /// # struct Rpc(&'static str);
    /// # impl Connect for Rpc {
    /// #     type Connection = tokio::net::TcpStream;
    /// #     type Error = std::io::Error;
    /// #     async fn connect(&self, _: &Dial) -> std::io::Result<tokio::net::TcpStream> { tokio::net::TcpStream::connect(self.0).await }
    /// #     fn verdict(&self, _: &mut tokio::net::TcpStream) -> Verdict { Verdict::Reuse }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cenote::Pool;
    /// use cenote::endpoints::{EndpointSet, fixed};
    ///
    /// let servers = fixed(EndpointSet::of(["10.0.0.1:7000", "10.0.0.2:7000"]));
    /// let pool = Pool::balanced(servers, |at| Rpc(at.key))
    ///     .max_per_endpoint(4)
    ///     .build()?;
    /// let conn = pool.get().await?;
    /// # drop(conn); Ok(()) }
    /// ```
    pub fn balanced<S: IntoDiscovery>(
        source: S,
        make: impl Fn(&Endpoint<S::Key>) -> C + Send + Sync + 'static,
    ) -> PoolBuilder<C> {
        PoolBuilder::new(Supply::set(source.into_discovery(), make))
    }

    /// A pool with default settings, which are always possible.
    pub fn new(connector: C) -> Self {
        let begun = Blueprint::new(Supply::One(connector)).begin();
        Self::new_on(begun.expect("default settings are possible"))
    }

    /// The first handle on `core`.
    fn new_on(core: Arc<LifecycleCore<C>>) -> Self {
        let listed = Arc::downgrade(&core);
        core.owner.list(listed);
        Self { core }
    }

    /// Leases a connection: an idle one at once, else the first that comes free or is opened, in arrival
    /// order.
    ///
    /// Waits for `acquire_timeout` at most, or [`Get::timeout`]. Dropping the future leaves the queue and
    /// loses nothing.
    ///
    /// # Errors
    /// - [`TimedOut`](GetError::TimedOut): the time passed; carries the last connect error if connects fail.
    /// - [`QueueFull`](GetError::QueueFull): `max_waiters` were waiting already.
    /// - [`Connect`](GetError::Connect): nothing is open, and connecting fails as it does where something is set wrong;
    ///   see [`connect_failures`](PoolBuilder::connect_failures).
    /// - [`Hook`](GetError::Hook): the `before_get` hook refused a new connection.
    /// - [`Closed`](GetError::Closed): the pool is closed, before or while waiting.
    /// - [`NoRuntime`](GetError::NoRuntime): it had to wait, and there is no tokio runtime to connect on.
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Get<'_, C> {
        Get::new(Acquire::new(&self.core, Location::caller()))
    }

    /// As [`get`](Self::get), for a lease without a tie to this handle. It costs the same.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    #[inline]
    #[track_caller]
    pub fn get_owned(&self) -> GetOwned<'_, C> {
        self.get_owned_at(Location::caller())
    }

    #[inline]
    pub(crate) fn get_owned_at(&self, call_site: &'static Location<'static>) -> GetOwned<'_, C> {
        GetOwned::new(Acquire::new(&self.core, call_site))
    }

    /// Leases an idle connection, or says why not; never waits, and never dials for one. Over a
    /// [set](Self::balanced), an endpoint that it chooses and that has no connection is dialled for those to come.
    ///
    /// Over a set it takes a connection of any endpoint. [`Get::at`] and [`Get::by_key`] take one without waiting as well,
    /// where their time-out is zero; what is lacking there is dialled for those to come.
    ///
    /// ```
    /// # use cenote::{Connect, Pool};
    /// # use cenote::endpoints::EndpointId;
    /// # async fn f<C: Connect>(pool: Pool<C>, server: EndpointId) {
    /// # use std::time::Duration;
    /// if let Ok(conn) = pool.get().at(server).timeout(Duration::ZERO).await {
    ///     # drop(conn);
    ///     // It had an idle one.
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`NoneIdle`](TryGetError::NoneIdle), [`Paused`](TryGetError::Paused) or
    /// [`Closed`](TryGetError::Closed). Connections that must be checked first count as not idle; their
    /// check begins in the background. Where no runtime runs the pool, nothing can be checked, and all count as
    /// not idle; so they do with a `before_get` hook, or a check before every lease.
    #[inline]
    #[track_caller]
    pub fn try_get(&self) -> Result<Lease<'_, C>, TryGetError> {
        match take::fresh(&self.core) {
            Some((token, now)) => Ok(self.lease(token, now, Location::caller())),
            None => Err(self.none_idle()),
        }
    }

    /// As [`try_get`](Self::try_get), for a thread that may wait: what must be checked first is checked here.
    pub(crate) async fn try_get_checking(
        &self,
        call_site: &'static Location<'static>,
    ) -> Result<Lease<'_, C>, TryGetError> {
        match take::checked(&self.core).await {
            Some((token, now)) => Ok(self.lease(token, now, call_site)),
            None => Err(self.none_idle()),
        }
    }

    fn lease(
        &self,
        token: ConnectionToken<C>,
        now: u64,
        call_site: &'static Location<'static>,
    ) -> Lease<'_, C> {
        token.meta().leased(now, call_site);
        Lease::new(token, &self.core)
    }

    fn none_idle(&self) -> TryGetError {
        match self.core.demand().phase {
            Phase::Open => TryGetError::NoneIdle,
            Phase::Paused => TryGetError::Paused,
            Phase::Closed => TryGetError::Closed,
        }
    }

    /// Gives the pool a connection opened elsewhere. It is treated as one of its own, and must be to the
    /// same endpoint.
    ///
    /// An `after_connect` hook runs on it first, in the background; if it does not end well, the connection is
    /// closed for it ([`CloseReason::Hook`]). Whatever becomes of an added connection counts as no failed connect.
    ///
    /// # Errors
    /// Each gives the connection back: [`Full`](AddError::Full), [`Closed`](AddError::Closed),
    /// [`Broken`](AddError::Broken) if it is not open, [`NoRuntime`](AddError::NoRuntime) if there is a hook and
    /// nothing to run it on.
    pub fn add(&self, conn: C::Connection) -> Result<(), AddError<C::Connection>> {
        add::add(&self.core, conn)
    }

    /// The pool as it is now. Looks at every slot: cheap, but not for every request.
    pub fn status(&self) -> Status {
        self.core.status()
    }

    /// The endpoints of a pool over a [set](Self::balanced), as they are now; none where it is of one endpoint. Takes a
    /// few locks for each: for people, not for every request.
    pub fn endpoints(&self) -> Option<SetStatus> {
        self.core.set_status()
    }

    /// The endpoints that may be chosen now, for a rule of one's own; none in a pool of one endpoint.
    pub fn candidates(&self) -> Candidates<'_, C> {
        Candidates::new(&self.core)
    }

    /// What names the endpoint with this key, for [`Get::at`]; none where it is not in the set as the pool follows it now,
    /// keys of the set are of another type, or the pool is of one endpoint. It stays the same for as long as the endpoint
    /// is in the set.
    pub fn endpoint_id<K: Key>(&self, key: &K) -> Option<EndpointId> {
        self.core.endpoint_id(key)
    }

    /// What happened since the pool began.
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// How long callers waited and connecting took since the pool began, as histograms.
    pub fn timings(&self) -> Timings {
        self.core.timings()
    }

    /// The pool from all sides, for the person on call: the settings in force, status and counters, who holds what since
    /// when and from which call site, for how long the oldest caller has waited, why connecting fails, and when it is
    /// tried again. Looks at every slot: cheap, but not for every request. At any time and anywhere, also once the pool
    /// is closed.
    ///
    /// ```
    /// # use cenote::{Connect, Pool};
    /// # async fn f<C: Connect>(pool: Pool<C>) -> Result<(), cenote::GetError> {
    /// let lease = pool.get().await?;
    /// println!("{}", pool.inspect());
    /// for holder in pool.inspect().holders() {
    ///     println!("{holder}"); // 7 at src/report.rs:88 for up to 41.0s
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn inspect(&self) -> Snapshot {
        self.core.inspect(holders::leased)
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.core.owner.settings.name
    }

    /// The connector the pool was built with; none where it is over a set of endpoints, of which each has its own: see
    /// [`Lease::connector`].
    pub fn connector(&self) -> Option<&C> {
        Some(&self.core.owner.targets.one()?.connector)
    }

    /// Changes `max_size`. Growing serves waiters at once; shrinking closes idle connections now and leased
    /// ones when they come back, as many as are too many.
    ///
    /// # Errors
    /// Zero, more than a pool can have, or less than `min_idle`; nothing is changed then.
    pub fn resize(&self, max_size: usize) -> Result<(), SettingsError> {
        change::resize(&self.core, max_size)
    }

    /// Gives no leases until [`resume`](Self::resume): callers queue, their time-outs run. Leases already
    /// out are not touched. Does nothing to a closed pool.
    pub fn pause(&self) {
        self.core.pause();
    }

    /// Ends a [`pause`](Self::pause), serving those who queued in order.
    pub fn resume(&self) {
        self.core.resume();
        dial::dial_if_needed(&self.core);
    }

    /// Closes the idle connections for which `keep` says no. Leased ones are not asked.
    pub fn retain(&self, mut keep: impl FnMut(&mut C::Connection, &ConnectionInfo) -> bool) {
        let idle: Vec<_> = self
            .core
            .slots()
            .filter(|(_, word, _)| word.state() == State::Idle)
            .map(|(i, word, _)| (i, word))
            .collect();
        for (index, word) in idle {
            let Some(mut token) = self.core.reserve(index, word) else {
                continue;
            };
            let now = self.core.owner.clock.now();
            let (_, meta, entry) = token.parts();
            let info = meta.info(now, now);
            match crate::rt::calling(|| keep(&mut entry.conn, &info)) {
                Ok(true) => recycle::release(token, IdleSince::Before),
                Ok(false) => retire::retire(token, CloseReason::Evicted, None),
                Err(panic) => retire::retire(token, CloseReason::Hook, Some(&panic)),
            }
        }
    }

    /// Replaces every connection open now, without disturbing those who use one: idle ones close at once,
    /// leased ones when they come back. For when credentials or addresses have changed.
    pub fn evict(&self) {
        change::evict(&self.core);
    }

    /// Opens as many connections as [`min_idle`](PoolBuilder::min_idle) and [`min_size`](PoolBuilder::min_size) say,
    /// now, and returns when they are there: for the start of a program, which is then ready for its first users, or
    /// knows why not.
    ///
    /// Waits for `acquire_timeout` at most. Dropping the future leaves the dials to go on.
    ///
    /// ```no_run
    /// # async fn f<C: cenote::Connect>(connector: C) -> Result<(), Box<dyn std::error::Error>> {
    /// let pool = cenote::Pool::builder(connector).min_idle(2).build()?;
    /// pool.warm().await?; // a wrong password ends the program here
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Connect`](GetError::Connect): a dial has failed since this began; the pool goes on trying.
    /// [`TimedOut`](GetError::TimedOut), [`Closed`](GetError::Closed), [`NoRuntime`](GetError::NoRuntime).
    pub async fn warm(&self) -> Result<(), GetError> {
        let limit = self.core.owner.settings.acquire_timeout;
        let timed_out = |waited| timed_out(&self.core, waited, None);
        warm::warm(&self.core, limit, timed_out).await
    }

    /// Closes the pool, at once: waiters get [`Closed`](GetError::Closed), idle connections end now, leased
    /// ones when they come back. Await the result to wait for that, [`Close::timeout`] at most.
    pub fn close(&self) -> Close {
        Close::begin(&self.core)
    }

    /// Whether the pool is closed.
    pub fn is_closed(&self) -> bool {
        self.core.demand().phase == Phase::Closed
    }

    /// A lease of an idle connection that is fresh, if there is one.
    #[inline]
    pub(crate) fn take_owned_at(
        &self,
        call_site: &'static Location<'static>,
    ) -> Option<OwnedLease<C>> {
        let token = self.core.claim()?;
        let Some(now) = self.core.owner.fresh_at(&token) else {
            recycle::release(token, IdleSince::Before);
            return None;
        };
        token.meta().leased(now, call_site);
        Some(OwnedLease::new(token))
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.core.is_spent()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.core.owner.settings
    }
}

impl<C: Connect> Listed for LifecycleCore<C> {
    fn name(&self) -> &str {
        &self.owner.settings.name
    }

    fn snapshot(self: Arc<Self>) -> Snapshot {
        LifecycleCore::inspect(&self, holders::leased)
    }
}

impl<C: Connect> Clone for Pool<C> {
    fn clone(&self) -> Self {
        self.core.owner.handles.fetch_add(1, Relaxed);
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl<C: Connect> Drop for Pool<C> {
    fn drop(&mut self) {
        // AcqRel: what other handles did comes before the end of the pool.
        if self.core.owner.handles.fetch_sub(1, AcqRel) == 1 {
            close::shut(&self.core);
        }
    }
}

impl<C: Connect> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name())
            .field("status", &self.status())
            .finish()
    }
}
