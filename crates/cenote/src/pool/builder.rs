//! The settings of a pool, one method each.

use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;

use super::Pool;
use crate::budget::Budget;
use crate::connect::Connect;
use crate::endpoints::{Balance, Ejection};
use crate::error::SettingsError;
use crate::hooks::HookFuture;
use crate::kernel::Arc;
use crate::lifecycle::blueprint::Blueprint;
use crate::lifecycle::supply::Supply;
use crate::policy::backoff::Backoff;
use crate::policy::telling::ConnectFailures;
use crate::report::{CloseReason, ConnectionInfo, Event};
use crate::settings::{IdleOrder, ReturnEvents, Settings};

/// Sets up a [`Pool`]. Every setting has a default that serves a database behind a web service.
///
/// ```
/// # use cenote::{Connect, Pool};
/// # use cenote::settings::IdleOrder;
/// # use std::time::Duration;
/// # fn pool<C: Connect>(connector: C) -> Result<Pool<C>, cenote::error::SettingsError> {
/// Pool::builder(connector)
///     .name("orders")
///     .max_size(20)
///     .min_idle(2)
///     .acquire_timeout(Duration::from_secs(2))
///     .idle_timeout(None)
///     .idle_order(IdleOrder::LeastRecent)
///     .build()
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder<C: Connect> {
    blueprint: Blueprint<C>,
}

impl<C: Connect> PoolBuilder<C> {
    pub(crate) fn new(supply: Supply<C>) -> Self {
        Self {
            blueprint: Blueprint::new(supply),
        }
    }

    fn map_settings(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.blueprint.settings);
        self
    }

    /// The name that errors and reports carry. Default: "unnamed".
    pub fn name(self, name: impl Into<String>) -> Self {
        self.map_settings(|s| s.name = name.into().into())
    }

    /// Connections there may be at once, those being opened included. Default: 10; over a
    /// [set of endpoints](Pool::balanced) as many as those may have, which
    /// [`max_per_endpoint`](Self::max_per_endpoint) says.
    pub fn max_size(self, connections: usize) -> Self {
        self.map_settings(|s| s.max_size = connections)
    }

    /// Connections there may be at once to one endpoint of a [set](Pool::balanced). Default: 10. A pool of one endpoint
    /// refuses it.
    pub fn max_per_endpoint(self, connections: usize) -> Self {
        self.map_settings(|s| {
            s.change_set("max_per_endpoint", |set| {
                set.max_per_endpoint = connections;
            });
        })
    }

    /// Which endpoint of a [set](Pool::balanced) serves next. Default: [`Balance::PowerOfTwo`]. A pool of one endpoint
    /// refuses it.
    pub fn balance(self, balance: Balance) -> Self {
        self.map_settings(|s| s.change_set("balance", |set| set.balance = balance))
    }

    /// When an endpoint of a [set](Pool::balanced) whose calls fail gets none for a while. Default:
    /// [`Ejection::default`]. A pool of one endpoint refuses it.
    pub fn ejection(self, ejection: Ejection) -> Self {
        self.map_settings(|s| s.change_set("ejection", |set| set.ejection = ejection))
    }

    /// How long an endpoint of a [set](Pool::balanced) that is new, or back from an ejection, takes to come to its whole
    /// share, from a tenth of it on. `None`: it has it at once. Default: `None`. A pool of one endpoint refuses it.
    pub fn slow_start(self, window: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.change_set("slow_start", |set| set.slow_start = window.into()))
    }

    /// How long the leases of an endpoint of a [set](Pool::balanced) may last once it has left, or has weight 0, before that
    /// is [told](crate::report::EventKind::EndpointDrainOverdue), once for each time that it drains. `None`: it never is.
    /// Default: 30 s, which is what Kubernetes leaves a pod that is to go before it kills it. A pool of one endpoint refuses
    /// it.
    ///
    /// It is told and that is all: a pool takes no lease away.
    /// [`Snapshot::holders`](crate::report::Snapshot::holders) says where those were taken that are out.
    pub fn drain_timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.change_set("drain_timeout", |set| set.drain_timeout = limit.into()))
    }

    /// Connections kept open, idle or leased, however little is to do: none of the last so many is closed for having
    /// idled. Default: 0.
    ///
    /// A pool below it dials at once, and after a failure at the pace of the back-off.
    pub fn min_size(self, connections: usize) -> Self {
        self.map_settings(|s| s.min_size = connections)
    }

    /// Idle connections upkeep keeps ready, as far as `max_size` allows; over a [set of endpoints](Pool::balanced), of all
    /// of them together. Default: 0.
    ///
    /// Where fewer are idle, dials begin within 3 s, whatever the other settings: upkeep looks every second, counts
    /// an idle connection that is no longer [open](Connect::is_open) as none, and leaves a burst of use two looks to
    /// pass.
    pub fn min_idle(self, connections: usize) -> Self {
        self.map_settings(|s| s.min_idle = connections)
    }

    /// Idle connections kept at most; one that comes back beyond that is closed. 0 keeps none. Default:
    /// `None`, as many as `max_size`. With a bound, every get and return takes a lock.
    pub fn max_idle(self, connections: impl Into<Option<usize>>) -> Self {
        self.map_settings(|s| s.max_idle = connections.into())
    }

    /// Which idle connection a caller is given; this is where LIFO and FIFO are chosen. Default:
    /// [`IdleOrder::Local`].
    pub fn idle_order(self, order: IdleOrder) -> Self {
        self.map_settings(|s| s.idle_order = order)
    }

    /// How long a caller waits at most. `None`: without end. Default: 5 s. Watched by the runtime that looks after the
    /// pool, or by a timer of the caller's own where it waits on another; a runtime that blocking code holds up ends no
    /// wait.
    pub fn acquire_timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.acquire_timeout = limit.into())
    }

    /// Callers that may wait at once; one more fails with
    /// [`GetError::QueueFull`](crate::GetError::QueueFull). `None`: no bound. Default: 10,000.
    pub fn max_waiters(self, callers: impl Into<Option<usize>>) -> Self {
        self.map_settings(|s| s.max_waiters = callers.into())
    }

    /// Closes a connection idle for this long, as long as `min_idle` others are. `None`: never. Default:
    /// 10 min.
    pub fn idle_timeout(self, limit: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.idle_timeout = limit.into())
    }

    /// Closes a connection this old, once it is idle. `None`: never. Default: 30 min.
    pub fn max_lifetime(self, limit: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.max_lifetime = limit.into())
    }

    /// The share of `max_lifetime` that chance may take off, rolled once for each connection, so that
    /// those opened together do not end together. Default: 0.1.
    pub fn lifetime_jitter(self, share: f64) -> Self {
        self.map_settings(|s| s.lifetime_jitter = share)
    }

    /// A connection idle for this long is [checked](Connect::check) before it is leased. Zero: before
    /// every lease. `None`: never. Default: 1 s, kept to within an eighth, early rather than late, as long as
    /// the runtime is not blocked: idle time is measured by upkeep's turns.
    pub fn check_after_idle(self, idle: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.check_after_idle = idle.into())
    }

    /// [Checks](Connect::check) idle connections in the background this often, which also keeps firewalls
    /// from forgetting them. `None`: never. Default: 2 min.
    pub fn keepalive(self, period: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.keepalive = period.into())
    }

    /// Dials in flight at once. Default: 2; over a [set of endpoints](Pool::balanced) 16, of which two to one. A dial belongs to the pool: cancelling a get cancels none.
    pub fn max_connecting(self, dials: usize) -> Self {
        self.map_settings(|s| s.max_connecting = dials)
    }

    /// How long a dial and the `after_connect` hook may take together. Default: 3 s, less than
    /// `acquire_timeout`, so that a caller that waits for a silent server learns why it waited in vain.
    pub fn connect_timeout(self, limit: Duration) -> Self {
        self.map_settings(|s| s.connect_timeout = limit)
    }

    /// How long a check, or a `before_get` hook, may take. Default: 5 s.
    pub fn check_timeout(self, limit: Duration) -> Self {
        self.map_settings(|s| s.check_timeout = limit)
    }

    /// How long a reset, or an `after_return` hook, may take. Default: 5 s.
    pub fn reset_timeout(self, limit: Duration) -> Self {
        self.map_settings(|s| s.reset_timeout = limit)
    }

    /// How long a goodbye may take; the connection's place is free after that. Default: 5 s.
    pub fn close_timeout(self, limit: Duration) -> Self {
        self.map_settings(|s| s.close_timeout = limit)
    }

    /// How long the pool waits after failed connects. Default: 100 ms to 2 s, full jitter.
    pub fn backoff(self, backoff: Backoff) -> Self {
        self.map_settings(|s| s.backoff = backoff)
    }

    /// When callers who wait learn that connecting fails while nothing is open. Default:
    /// [`ConnectFailures::RideOut`]: after three failures in a row of a pool that never had a connection, at
    /// once where another attempt cannot fare better, else by their time-out.
    pub fn connect_failures(self, policy: ConnectFailures) -> Self {
        self.map_settings(|s| s.connect_failures = policy)
    }

    /// When callers who wait beside open connections, all of them in use, learn that opening one more fails.
    /// Default: [`ConnectFailures::KeepWaiting`], for what is in use comes back.
    pub fn connect_failures_while_open(self, policy: ConnectFailures) -> Self {
        self.map_settings(|s| s.connect_failures_while_open = policy)
    }

    /// Reports a lease held for longer than this, once, as [`EventKind::Leaked`](crate::report::EventKind::Leaked), with the
    /// place of its `get`. `None`: never. Default: `None`.
    pub fn leak_threshold(self, held: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.leak_threshold = held.into())
    }

    /// Tells of a get that took longer than this, as [`EventKind::SlowGet`](crate::report::EventKind::SlowGet) with its call
    /// site, once it has ended: with a lease, an error, or because its caller left. Zero: of every get that could not be
    /// served at once. `None`: of none. Default: 1 s. A get that is served at once is not even timed.
    ///
    /// ```
    /// # use cenote::{Connect, Pool};
    /// # use cenote::report::EventKind;
    /// # use std::time::Duration;
    /// # fn pool<C: Connect>(connector: C) -> Result<Pool<C>, cenote::error::SettingsError> {
    /// Pool::builder(connector)
    ///     .slow_get(Duration::from_millis(200))
    ///     .on_event(|event| {
    ///         if let EventKind::SlowGet { waited, call_site, outcome, .. } = &event.kind {
    ///             eprintln!("pool {}: get at {call_site} took {waited:?}: {outcome:?}", event.pool);
    ///         }
    ///     })
    ///     .build()
    /// # }
    /// ```
    pub fn slow_get(self, threshold: impl Into<Option<Duration>>) -> Self {
        self.map_settings(|s| s.slow_get = threshold.into())
    }

    /// Seeds the random numbers behind jitter and back-off, so that a run on virtual time
    /// (`tokio::time::pause`) can be repeated. Default: another seed for each pool.
    pub fn seed(self, seed: u64) -> Self {
        self.map_settings(|s| s.seed = Some(seed))
    }

    /// The runtime that the pool's tasks and its connections live on: dials, checks, resets, goodbyes, and what a
    /// connector spawns as it connects. Default: the one that calls, or else the last that called.
    ///
    /// A connection is tied to the runtime it was opened on. With the default, a pool that is used from several
    /// runtimes, such as a `static` in a test program, loses the connections of each that ends, and opens others;
    /// here is how to keep them:
    ///
    /// ```
    /// # use cenote::{Connect, Pool};
    /// use std::sync::LazyLock;
    /// use tokio::runtime::Runtime;
    ///
    /// static CONNECTIONS: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("threads to be had"));
    ///
    /// # fn pool<C: Connect>(connector: C) -> Result<Pool<C>, cenote::error::SettingsError> {
    /// Pool::builder(connector).runtime(CONNECTIONS.handle().clone()).build()
    /// # }
    /// ```
    ///
    /// Once that runtime has ended, a get that cannot be served at once fails with
    /// [`NoRuntime`](crate::GetError::NoRuntime). One that nobody drives, a `current_thread` runtime outside
    /// `block_on`, serves nobody.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.blueprint.runtime = Some(runtime);
        self
    }

    /// Bounds the connections of this pool and of all others under the same [`Budget`] together, beside `max_size`.
    /// Default: none.
    ///
    /// `min_idle` is then a reservation: so many connections no other pool can take. Any other that is idle may be
    /// closed for another pool ([`CloseReason::Budget`]), as [`Budget`] says. [`Pool::add`] finds the pool full where
    /// the budget is.
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.blueprint.budget = Some(budget.clone());
        self
    }

    /// Runs on every new connection before anyone gets it, within `connect_timeout`. An error or a panic
    /// closes it and counts as a failed connect. Several run in the order given, until one fails; so do those of
    /// every other turn.
    ///
    /// A connector whose reset restores the session to its default undoes what was set here: state that is
    /// to outlive resets belongs into the connector, as with `setup` of `cenote-postgres`.
    ///
    /// ```
    /// # use cenote::Connect;
    /// # use cenote::pool::PoolBuilder;
    /// # struct Conn; impl Conn { async fn run(&mut self, _: &str) -> std::io::Result<()> { Ok(()) } }
    /// # fn set<C: Connect<Connection = Conn>>(builder: PoolBuilder<C>) -> PoolBuilder<C> {
    /// builder.after_connect(|conn, _info| {
    ///     Box::pin(async move {
    ///         conn.run("SET application_name = 'orders'").await?;
    ///         Ok(())
    ///     })
    /// })
    /// # }
    /// ```
    pub fn after_connect<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut C::Connection, &ConnectionInfo) -> HookFuture<'a>
            + Send
            + Sync
            + 'static,
    {
        self.blueprint.hooks.after_connect.push(Box::new(hook));
        self
    }

    /// Runs before every lease, within `check_timeout`. An error or a panic closes the connection and the
    /// caller is given another; only if the connection was never leased before does it see the error. Several run
    /// in the order given, until one fails.
    pub fn before_get<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut C::Connection, &ConnectionInfo) -> HookFuture<'a>
            + Send
            + Sync
            + 'static,
    {
        self.blueprint.hooks.before_get.push(Box::new(hook));
        self
    }

    /// Runs after every lease, within `reset_timeout`, after a reset if there is one. An error or a panic closes the
    /// connection; one that is closed anyway is not shown to it. Several run in the order given, until one fails. The
    /// first poll happens where the lease is dropped, the rest in the background.
    pub fn after_return<F>(mut self, hook: F) -> Self
    where
        F: for<'a> Fn(&'a mut C::Connection, &ConnectionInfo) -> HookFuture<'a>
            + Send
            + Sync
            + 'static,
    {
        self.blueprint.hooks.after_return.push(Box::new(hook));
        self
    }

    /// Called before a connection leaves the pool, whatever the reason, [`Lease::detach`](crate::Lease::detach)
    /// included. Several are called in the order given, whatever happens in those before; a panic is ignored.
    pub fn before_close(
        mut self,
        hook: impl Fn(&mut C::Connection, &ConnectionInfo, CloseReason) + Send + Sync + 'static,
    ) -> Self {
        self.blueprint.hooks.add_before_close(Box::new(hook));
        self
    }

    /// Called with everything that happens; see [`Event`]. Several are called in the order given, whatever happens
    /// in those before; a panic is ignored.
    pub fn on_event(mut self, observer: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.blueprint.hooks.add_observer(Box::new(observer));
        self
    }

    /// Whether observers hear of each lease that ends. Default: [`ReturnEvents::None`].
    ///
    /// ```
    /// # use cenote::Connect;
    /// # use cenote::pool::PoolBuilder;
    /// use cenote::report::EventKind;
    /// use cenote::settings::ReturnEvents;
    ///
    /// # fn traced<C: Connect>(builder: PoolBuilder<C>) -> PoolBuilder<C> {
    /// builder.return_events(ReturnEvents::Each).on_event(|event| {
    ///     if let EventKind::Returned { id, held_for, .. } = event.kind {
    ///         println!("{}: connection {id} is back after {held_for:?}", event.pool);
    ///     }
    /// })
    /// # }
    /// ```
    pub fn return_events(mut self, events: ReturnEvents) -> Self {
        self.blueprint.settings.return_events = events;
        self
    }

    /// Whether the settings can work, without making a pool: for pools that are made later, as those of
    /// [`Keyed`](crate::Keyed) are, so that what is wrong is told where it was written.
    ///
    /// # Errors
    /// A setting that can't work, named with what would. What a budget has left, only [`build`](Self::build) knows.
    pub fn check(&self) -> Result<(), SettingsError> {
        self.blueprint.settings.validate()
    }

    /// The pool. Within a tokio runtime its upkeep starts at once and opens `min_idle` connections; else
    /// with the first `get` that has to wait.
    ///
    /// # Errors
    /// A setting that can't work, named with what would; or a `min_idle` that exceeds its budget beside what other
    /// pools have reserved of it.
    pub fn build(self) -> Result<Pool<C>, SettingsError> {
        self.blueprint.begin().map(Pool::new_on)
    }

    /// As [`build`](Self::build), of a pool that does nothing by itself before it is started.
    pub(crate) fn prepare_pool(self) -> Result<(Pool<C>, impl FnOnce() + use<C>), SettingsError> {
        let prepared = self.blueprint.prepare()?;
        let pool = Pool::new_on(Arc::clone(&prepared.core));
        Ok((pool, move || prepared.start()))
    }

    pub(crate) fn blueprint(&mut self) -> &mut Blueprint<C> {
        &mut self.blueprint
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.blueprint.settings
    }
}

impl<C: Connect> fmt::Debug for PoolBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("settings", &self.blueprint.settings)
            .finish_non_exhaustive()
    }
}
