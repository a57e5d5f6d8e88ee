//! The settings of a shared pool: the exclusive pool's where they mean the same, and those of sharing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::SharedPool;
use super::set::SharedSet;
use super::state::{Core, Limits};
use super::times::{Times, checked_while_parked};
use crate::connect::Multiplex;
use crate::endpoints::{Balance, Ejection};
use crate::error::SettingsError;
use crate::hooks::HookFuture;
use crate::lifecycle::blueprint::Blueprint;
use crate::lifecycle::supply::Supply;
use crate::policy::backoff::Backoff;
use crate::policy::balance::Picker;
use crate::policy::sharing::{Choice, Chooser, Marks};
use crate::policy::telling::ConnectFailures;
use crate::report::{CloseReason, ConnectionInfo, Event};
use crate::settings::{MINUTE, SHORTEST, check_duration, refuse};

/// Sets up a [`SharedPool`].
///
/// ```
/// # use cenote::{Multiplex, SharedPool};
/// # use cenote::shared::Choice;
/// # use std::time::Duration;
/// # fn pool<C: Multiplex>(connector: C) -> Result<SharedPool<C>, cenote::error::SettingsError> {
/// SharedPool::builder(connector)
///     .name("orders")
///     .min_size(2)
///     .max_size(8)
///     .choice(Choice::RoundRobin)
///     .high_water(0.5)
///     .acquire_timeout(Duration::from_secs(2))
///     .build()
/// # }
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct SharedPoolBuilder<C: Multiplex> {
    blueprint: Blueprint<C>,
    choice: Choice,
    high_water: f64,
    grow_after: Duration,
    shrink_after: Duration,
}

/// One method for each of the connections' settings.
macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident($value:ident: $kind:ty) = |$settings:ident| $change:expr;)*) => {
        $($(#[$doc])*
        pub fn $name(mut self, $value: $kind) -> Self {
            let $settings = &mut self.blueprint.settings;
            $change;
            self
        })*
    };
}

impl<C: Multiplex> SharedPoolBuilder<C> {
    pub(super) fn new(supply: Supply<C>) -> Self {
        let mut blueprint = Blueprint::new(supply);
        let settings = &mut blueprint.settings;
        // One connection carries many leases: four are a lot, and leave room for one that drains beside those that
        // serve.
        match &mut settings.set {
            Some(set) => set.max_per_endpoint = 4,
            None => {
                settings.max_size = 4;
                // One that grows asks for one at a time.
                settings.max_connecting = 1;
            }
        }
        Self {
            blueprint,
            choice: Choice::default(),
            high_water: 0.75,
            grow_after: Duration::ZERO,
            shrink_after: MINUTE,
        }
    }

    settings! {
        /// The name that errors and reports carry. Default: "unnamed".
        name(name: impl Into<String>) = |s| s.name = name.into().into();
        /// Connections there may be at once, those being opened and those draining included. Default: 4; over a
        /// [set of endpoints](SharedPool::balanced) as many as those may have, which
        /// [`max_per_endpoint`](Self::max_per_endpoint) says.
        ///
        /// With 1, the end of a connection's lifetime is a pause: it drains before the next is opened.
        max_size(connections: usize) = |s| s.max_size = connections;
        /// Connections there may be at once to one endpoint of a [set](SharedPool::balanced), as [`max_size`](Self::max_size)
        /// counts them. Default: 4. A pool of one endpoint refuses it.
        ///
        /// With 1, an endpoint whose connection is old, evicted or retired serves nobody until the last lease on that has
        /// ended, and the others have its load.
        max_per_endpoint(connections: usize) = |s| {
            s.change_set("max_per_endpoint", |set| set.max_per_endpoint = connections);
        };
        /// Dials in flight at once while callers wait: of connections that carry one lease each, and of a
        /// [set](SharedPool::balanced) that serves nobody yet. What the first connection carries is known before the next is
        /// opened, and one that carries many is opened alone. Default: 1, so that connections are opened one by one; over a
        /// set 16, of which two to one endpoint.
        max_connecting(dials: usize) = |s| s.max_connecting = dials;
        /// Which endpoint of a [set](SharedPool::balanced) serves next, by the leases on each. Default:
        /// [`Balance::PowerOfTwo`]. Which of its connections does is for [`choice`](Self::choice) to say. A pool of one
        /// endpoint refuses it.
        balance(balance: Balance) = |s| s.change_set("balance", |set| set.balance = balance);
        /// When an endpoint of a [set](SharedPool::balanced) whose calls fail gets none for a while. Default:
        /// [`Ejection::default`]. A pool of one endpoint refuses it.
        ejection(ejection: Ejection) = |s| s.change_set("ejection", |set| set.ejection = ejection);
        /// How long an endpoint of a [set](SharedPool::balanced) that is new, or back from an ejection, takes to come to
        /// its whole share, from a tenth of it on. `None`: it has it at once. Default: `None`. A pool of one endpoint
        /// refuses it.
        slow_start(window: impl Into<Option<Duration>>) = |s| {
            s.change_set("slow_start", |set| set.slow_start = window.into());
        };
        /// How long the leases of an endpoint of a [set](SharedPool::balanced) may last once it has left, or has weight 0,
        /// before that is [told](crate::report::EventKind::EndpointDrainOverdue), once for each time that it drains.
        /// `None`: it never is. Default: 30 s, which is what Kubernetes leaves a pod that is to go before it kills it. A
        /// pool of one endpoint refuses it.
        ///
        /// It is told and that is all: each lease is a reference to its connection, which stays open until the last of them
        /// has ended.
        drain_timeout(limit: impl Into<Option<Duration>>) = |s| {
            s.change_set("drain_timeout", |set| set.drain_timeout = limit.into());
        };
        /// How long a caller waits at most. `None`: without end. Default: 5 s. Watched by the runtime that looks after the
        /// pool, or by a timer of the caller's own where it waits on another; a runtime that blocking code holds up ends
        /// no wait.
        acquire_timeout(limit: impl Into<Option<Duration>>) = |s| s.acquire_timeout = limit.into();
        /// Callers that may wait at once; one more fails with
        /// [`GetError::QueueFull`](crate::GetError::QueueFull). `None`: no bound. Default: 10,000.
        max_waiters(callers: impl Into<Option<usize>>) = |s| s.max_waiters = callers.into();
        /// Closes a connection that has had no lease for this long, as long as `min_size` others are open.
        /// `None`: never. Default: 10 min.
        idle_timeout(limit: impl Into<Option<Duration>>) = |s| s.idle_timeout = limit.into();
        /// A connection this old gets no new leases and is closed once those it carries have ended; where
        /// `max_size` and `max_per_endpoint` permit, another to the same endpoint is opened first. `None`: never. Default:
        /// 30 min.
        max_lifetime(limit: impl Into<Option<Duration>>) = |s| s.max_lifetime = limit.into();
        /// The share of `max_lifetime` that chance may take off, rolled once for each connection, so that
        /// those opened together do not end together. Default: 0.1.
        lifetime_jitter(share: f64) = |s| s.lifetime_jitter = share;
        /// A connection that has had no lease for this long is [checked](crate::Connect::check) before the next.
        /// `None`: never. Default: 1 s, kept to within a quarter, early rather than late.
        check_after_idle(idle: impl Into<Option<Duration>>) = |s| s.check_after_idle = idle.into();
        /// [Checks](crate::Connect::check) connections without leases in the background this often. `None`: never.
        /// Default: 2 min. Those in use are the protocol's to keep alive: a check needs a connection alone.
        keepalive(period: impl Into<Option<Duration>>) = |s| s.keepalive = period.into();
        /// How long a dial and the `after_connect` hook may take together. Default: 3 s. A new connection
        /// whose capacity is 0 counts as being opened for as long again.
        connect_timeout(limit: Duration) = |s| s.connect_timeout = limit;
        /// How long a check may take. Default: 5 s.
        check_timeout(limit: Duration) = |s| s.check_timeout = limit;
        /// How long a reset may take. Default: 5 s. Connections are reset when they cease to be active, if
        /// [`verdict`](crate::Connect::verdict) says so.
        reset_timeout(limit: Duration) = |s| s.reset_timeout = limit;
        /// How long a goodbye may take; the slot is vacant after that. Default: 5 s.
        close_timeout(limit: Duration) = |s| s.close_timeout = limit;
        /// How long the pool waits after failed connects. Default: 100 ms to 2 s, full jitter.
        backoff(backoff: Backoff) = |s| s.backoff = backoff;
        /// When callers who wait learn that connecting fails while nothing is open; see
        /// [`PoolBuilder::connect_failures`](crate::pool::PoolBuilder::connect_failures). Default:
        /// [`ConnectFailures::RideOut`].
        connect_failures(policy: ConnectFailures) = |s| s.connect_failures = policy;
        /// When callers who wait beside open connections, all of them full, learn that opening one more fails.
        /// Default: [`ConnectFailures::KeepWaiting`], for leases end.
        connect_failures_while_open(policy: ConnectFailures) =
            |s| s.connect_failures_while_open = policy;
        /// Tells of a get that took longer than this, once it has ended; see
        /// [`PoolBuilder::slow_get`](crate::pool::PoolBuilder::slow_get). Default: 1 s.
        slow_get(threshold: impl Into<Option<Duration>>) = |s| s.slow_get = threshold.into();
        /// Seeds the random numbers behind choice, jitter and back-off, so that a run on virtual time
        /// (`tokio::time::pause`) can be repeated. Default: another seed for each pool.
        seed(seed: u64) = |s| s.seed = Some(seed);
    }

    /// The runtime that the pool's tasks and its connections live on. Default: the one that calls, or else the
    /// last that called; see [`PoolBuilder::runtime`](crate::pool::PoolBuilder::runtime) for what that means.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.blueprint.runtime = Some(runtime);
        self
    }

    /// Called before a connection is closed, whatever the reason. Several are called in the order given; a panic is
    /// ignored.
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

    /// Connections kept open, in use or not; as soon as there are that many leases, they all serve. Default:
    /// 0, so that a pool nobody uses costs nothing and the first caller pays for the dial.
    pub fn min_size(mut self, connections: usize) -> Self {
        self.blueprint.settings.min_size = connections;
        self
    }

    /// Which connection carries a new lease; over a [set](SharedPool::balanced), of those of the endpoint that
    /// [`balance`](Self::balance) chooses. Default: [`Choice::LeastLoaded`].
    pub fn choice(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    /// The share of its capacity from which on a connection is busy: one more is opened once all are, over a
    /// [set](SharedPool::balanced) to the endpoint that has the fewest for its share. Above 0.0; at most 1.0, which waits
    /// until all are full. Default: 0.75.
    pub fn high_water(mut self, share: f64) -> Self {
        self.high_water = share;
        self
    }

    /// How long all connections must have been busy before one more is opened: a burst that those there are carry in less
    /// time costs none. It is for connections that carry many leases; of those that carry one each, one more is opened at
    /// once for a caller that waits, as is the first, and one that `min_size` asks for. Default: 0.
    pub fn grow_after(mut self, busy: Duration) -> Self {
        self.grow_after = busy;
        self
    }

    /// How long the load must have been light before one connection fewer serves: so light that the others
    /// would be at half the high-water mark at most. It is then parked, and `idle_timeout` closes it. The last one
    /// of an endpoint stays. Default: 1 min.
    pub fn shrink_after(mut self, light: Duration) -> Self {
        self.shrink_after = light;
        self
    }

    /// Bounds the connections of this pool and of all others under the same budget together, beside `max_size`; see
    /// [`Budget`](crate::Budget). `min_size` is then a reservation. Default: none.
    pub fn budget(mut self, budget: &crate::budget::Budget) -> Self {
        self.blueprint.budget = Some(budget.clone());
        self
    }

    /// Runs on every new connection before anyone gets it, within `connect_timeout`. An error or a panic
    /// closes it and counts as a failed connect. Several run in the order given, until one fails.
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

    /// Whether the settings can work, without making a pool: for pools that are made later, as those of
    /// [`Keyed`](crate::Keyed) are, so that what is wrong is told where it was written.
    ///
    /// # Errors
    /// A setting that can't work, named with what would.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(self.high_water > 0.0 && self.high_water <= 1.0) {
            let accepted = "a fraction of a connection's capacity, above 0.0 and at most 1.0";
            return refuse("high_water", self.high_water, accepted);
        }
        check_duration("shrink_after", Some(self.shrink_after), SHORTEST)?;
        let settings = &self.blueprint.settings;
        settings.validate()?;
        // Upkeep takes its turns in an eighth of it.
        check_duration("check_after_idle", settings.check_after_idle, 8 * SHORTEST)
    }

    /// The pool. Within a tokio runtime it opens `min_size` connections at once; else the first `get` begins.
    ///
    /// # Errors
    /// A setting that can't work, named with what would.
    pub fn build(self) -> Result<SharedPool<C>, SettingsError> {
        let (pool, start) = self.prepare_pool()?;
        start();
        Ok(pool)
    }

    /// As [`build`](Self::build), of a pool that does nothing by itself before it is started.
    pub(crate) fn prepare_pool(
        self,
    ) -> Result<(SharedPool<C>, impl FnOnce() + use<C>), SettingsError> {
        self.check()?;
        let Self {
            mut blueprint,
            choice,
            high_water,
            grow_after,
            shrink_after,
        } = self;
        let settings = &mut blueprint.settings;
        let limits = Limits {
            choice,
            marks: Marks { high: high_water },
            min_size: settings.min_size,
            acquire_timeout: settings.acquire_timeout,
            max_waiters: settings.max_waiters.unwrap_or(usize::MAX),
            max_growing: settings.max_connecting,
            times: Times::new(settings, grow_after, shrink_after),
        };
        settings.check_after_idle = checked_while_parked(settings);
        let rng = settings
            .seed
            .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed);
        let picker = Picker::new(settings.seed.unwrap_or_else(|| fastrand::u64(..)));
        let chooser = Chooser::new(choice, rng);
        let prepared = blueprint.prepare()?;
        let life = Arc::clone(&prepared.core);
        let set = life.rule().map(|rule| SharedSet::new(rule, picker));
        let core = Core::new(life, limits, chooser, set);
        let listed = Arc::downgrade(&core);
        core.life.owner.list(listed);
        Ok((SharedPool { core }, move || prepared.start()))
    }

    pub(crate) fn blueprint(&mut self) -> &mut Blueprint<C> {
        &mut self.blueprint
    }
}

impl<C: Multiplex> fmt::Debug for SharedPoolBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            blueprint,
            choice,
            high_water,
            grow_after,
            shrink_after,
        } = self;
        f.debug_struct("SharedPoolBuilder")
            .field("settings", &blueprint.settings)
            .field("choice", choice)
            .field("high_water", high_water)
            .field("grow_after", grow_after)
            .field("shrink_after", shrink_after)
            .finish_non_exhaustive()
    }
}
