//! The types of settings that both pools have. The builders,
//! [`PoolBuilder`](crate::pool::PoolBuilder) and [`SharedPoolBuilder`](crate::shared::SharedPoolBuilder), say what each
//! setting is for.

use std::time::Duration;

use crate::endpoints::{Balance, Ejection};
use crate::error::SettingsError;
use crate::kernel::{MAX_SLOTS, Order};

pub use crate::hooks::HookFuture;
pub use crate::policy::backoff::Backoff;
pub use crate::policy::telling::ConnectFailures;

/// Which idle connection a caller is given. In the strict orders, a connection that upkeep has checked
/// counts as just come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdleOrder {
    /// The one this thread gave back last, else the first idle one in slot order. Like most recently used,
    /// it works few connections and lets the others idle out, without a lock or a shared cache line. It
    /// promises no order between threads.
    #[default]
    Local,
    /// Most recently used first: a stack, LIFO. Few connections stay warm, the others idle out. Across
    /// links of unequal speed it can settle on the slow one and stay there. Takes a lock at every get and
    /// return.
    MostRecent,
    /// Least recently used first: a queue, FIFO. Spreads use over all connections, keeps all of them warm
    /// and so keeps them all. Takes a lock at every get and return.
    LeastRecent,
}

/// Whether leases that end are [told](crate::report::EventKind::Returned).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnEvents {
    /// None is: what is done for every lease costs nothing then.
    #[default]
    None,
    /// Each is. Every return then takes a lock and calls the observers.
    Each,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: std::sync::Arc<str>,
    pub(crate) max_size: usize,
    pub(crate) min_idle: usize,
    /// Connections kept open, idle or leased; a shared pool's.
    pub(crate) min_size: usize,
    pub(crate) max_idle: Option<usize>,
    pub(crate) idle_order: IdleOrder,
    pub(crate) acquire_timeout: Option<Duration>,
    pub(crate) max_waiters: Option<usize>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) lifetime_jitter: f64,
    pub(crate) check_after_idle: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) max_connecting: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) check_timeout: Duration,
    pub(crate) reset_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) connect_failures: ConnectFailures,
    pub(crate) connect_failures_while_open: ConnectFailures,
    pub(crate) leak_threshold: Option<Duration>,
    pub(crate) slow_get: Option<Duration>,
    pub(crate) return_events: ReturnEvents,
    pub(crate) seed: Option<u64>,
    /// Of a pool over a set of endpoints.
    pub(crate) set: Option<SetSettings>,
    /// One of those was set for a pool of one endpoint; which.
    pub(crate) set_only: Option<&'static str>,
}

/// What a pool over a set of endpoints has beside the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetSettings {
    pub(crate) balance: Balance,
    pub(crate) max_per_endpoint: usize,
    pub(crate) ejection: Ejection,
    pub(crate) slow_start: Option<Duration>,
    pub(crate) drain_timeout: Option<Duration>,
}

impl Default for SetSettings {
    fn default() -> Self {
        Self {
            balance: Balance::default(),
            max_per_endpoint: 10,
            ejection: Ejection::default(),
            slow_start: None,
            // What Kubernetes leaves a pod that is to go, before it kills it.
            drain_timeout: Some(30 * SECOND),
        }
    }
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Longer than any process lives, short enough for every clock's arithmetic.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Upkeep can't be finer than tokio's timer.
pub(crate) const SHORTEST: Duration = Duration::from_millis(1);

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "unnamed".into(),
            max_size: 10,
            min_idle: 0,
            min_size: 0,
            max_idle: None,
            idle_order: IdleOrder::default(),
            acquire_timeout: Some(5 * SECOND),
            max_waiters: Some(10_000),
            idle_timeout: Some(10 * MINUTE),
            max_lifetime: Some(30 * MINUTE),
            lifetime_jitter: 0.1,
            check_after_idle: Some(SECOND),
            keepalive: Some(2 * MINUTE),
            max_connecting: 2,
            // Below acquire_timeout: a caller who waits on a silent server is told why in its time-out.
            connect_timeout: CONNECT_TIMEOUT,
            check_timeout: 5 * SECOND,
            reset_timeout: 5 * SECOND,
            close_timeout: 5 * SECOND,
            backoff: Backoff::default(),
            connect_failures: ConnectFailures::default(),
            connect_failures_while_open: ConnectFailures::KeepWaiting,
            leak_threshold: None,
            slow_get: Some(SECOND),
            return_events: ReturnEvents::None,
            seed: None,
            set: None,
            set_only: None,
        }
    }
}

impl Settings {
    /// The defaults of a pool over a set of endpoints: each of them has its own bound, and dials of one do not wait for
    /// those of another.
    pub(crate) fn of_set() -> Self {
        Self {
            max_size: MAX_SLOTS,
            max_connecting: 16,
            set: Some(SetSettings::default()),
            ..Self::default()
        }
    }

    /// Changes what only a pool over a set of endpoints has; that of one endpoint refuses it later.
    pub(crate) fn change_set(
        &mut self,
        setting: &'static str,
        change: impl FnOnce(&mut SetSettings),
    ) {
        match &mut self.set {
            Some(set) => change(set),
            None => self.set_only = Some(setting),
        }
    }

    /// Refuses what can't work of a set of endpoints, or without one.
    fn validate_set(&self) -> Result<(), SettingsError> {
        if let Some(setting) = self.set_only {
            let wanted = "it is for pools over a set of endpoints (`Pool::balanced`)";
            return refuse(setting, "set for one endpoint", wanted);
        }
        let Some(set) = self.set else {
            return Ok(());
        };
        if set.max_per_endpoint == 0 {
            return refuse("max_per_endpoint", 0, "at least 1");
        }
        set.ejection.validate()?;
        check_duration("slow_start", set.slow_start, SHORTEST)?;
        check_duration("drain_timeout", set.drain_timeout, SHORTEST)?;
        if self.idle_order != IdleOrder::Local {
            let wanted = "IdleOrder::Local: over a set of endpoints, `balance` says which connection is leased";
            return refuse("idle_order", format!("{:?}", self.idle_order), wanted);
        }
        if let Some(max_idle) = self.max_idle {
            let wanted =
                "None: over a set of endpoints, max_per_endpoint and idle_timeout bound them";
            return refuse("max_idle", max_idle, wanted);
        }
        Ok(())
    }

    /// Refuses what can't work, first offender first.
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        self.check_max_size(self.max_size)?;
        self.validate_set()?;
        if let Some(max_idle) = self.max_idle.filter(|max_idle| *max_idle < self.min_idle) {
            let wanted = format!(
                "at least min_idle ({}); lower min_idle or raise max_idle",
                self.min_idle
            );
            return refuse("max_idle", max_idle, &wanted);
        }
        if self.max_waiters == Some(0) {
            let wanted = "at least 1, since a caller waits for its connection to be opened; \
                          `try_get` never waits";
            return refuse("max_waiters", 0, wanted);
        }
        if self.max_connecting == 0 {
            return refuse(
                "max_connecting",
                0,
                "at least 1, or nothing could ever be opened",
            );
        }
        if !(0.0..=0.9).contains(&self.lifetime_jitter) {
            return refuse(
                "lifetime_jitter",
                self.lifetime_jitter,
                "a fraction of max_lifetime from 0.0 to 0.9",
            );
        }
        for (setting, policy) in [
            ("connect_failures", self.connect_failures),
            (
                "connect_failures_while_open",
                self.connect_failures_while_open,
            ),
        ] {
            match policy {
                ConnectFailures::FailAfter(0) => {
                    return refuse(setting, "FailAfter(0)", "FailAfter(1) or more, or another");
                }
                ConnectFailures::FailAfterTime(limit) => {
                    check_duration(setting, Some(limit), SHORTEST)?;
                }
                _ => {}
            }
        }
        for (setting, value) in [
            ("acquire_timeout", self.acquire_timeout),
            ("idle_timeout", self.idle_timeout),
            ("max_lifetime", self.max_lifetime),
            ("keepalive", self.keepalive),
            ("leak_threshold", self.leak_threshold),
            ("connect_timeout", Some(self.connect_timeout)),
            ("check_timeout", Some(self.check_timeout)),
            ("reset_timeout", Some(self.reset_timeout)),
            ("close_timeout", Some(self.close_timeout)),
            ("backoff.base", Some(self.backoff.base)),
            ("backoff.max", Some(self.backoff.max)),
        ] {
            check_duration(setting, value, SHORTEST)?;
        }
        // Zero has a meaning here: check before every lease.
        check_duration("check_after_idle", self.check_after_idle, Duration::ZERO)?;
        // And here: every get that waits.
        check_duration("slow_get", self.slow_get, Duration::ZERO)?;
        if self.backoff.max < self.backoff.base {
            let wanted = format!("at least backoff.base ({:?})", self.backoff.base);
            return refuse("backoff.max", format!("{:?}", self.backoff.max), &wanted);
        }
        Ok(())
    }

    /// Refuses a `max_size` that can't work beside the other settings.
    pub(crate) fn check_max_size(&self, max_size: usize) -> Result<(), SettingsError> {
        if max_size == 0 {
            return refuse("max_size", 0, "at least 1");
        }
        if max_size > MAX_SLOTS {
            return refuse("max_size", max_size, &format!("at most {MAX_SLOTS}"));
        }
        for (setting, least) in [("min_idle", self.min_idle), ("min_size", self.min_size)] {
            if least > max_size {
                let wanted =
                    format!("at most max_size ({max_size}); lower {setting} or raise max_size");
                return refuse(setting, least, &wanted);
            }
        }
        Ok(())
    }

    /// What a budget keeps for the pool, and which setting says so.
    pub(crate) fn reserved(&self) -> (&'static str, usize) {
        if self.min_size > self.min_idle {
            ("min_size", self.min_size)
        } else {
            ("min_idle", self.min_idle)
        }
    }

    pub(crate) fn order(&self) -> Order {
        if self.set.is_some() {
            return Order::Balanced;
        }
        let max_idle = self.max_idle.unwrap_or(usize::MAX);
        match self.idle_order {
            IdleOrder::Local if self.max_idle.is_none() => Order::Local,
            // The bound needs a count under the lock; most recently used is what Local comes closest to.
            IdleOrder::Local | IdleOrder::MostRecent => Order::Listed {
                newest_first: true,
                max_idle,
            },
            IdleOrder::LeastRecent => Order::Listed {
                newest_first: false,
                max_idle,
            },
        }
    }

    /// How often upkeep looks around: often enough that no setting is overrun by more than an eighth.
    pub(crate) fn turn(&self) -> Duration {
        let check_after_idle = self.check_after_idle.filter(|after| !after.is_zero());
        [
            self.idle_timeout,
            self.max_lifetime,
            self.keepalive,
            check_after_idle,
            self.leak_threshold,
        ]
        .into_iter()
        .flatten()
        .min()
        .map_or(SECOND, |shortest| (shortest / 8).clamp(SHORTEST, SECOND))
    }
}

pub(crate) fn check_duration(
    setting: &'static str,
    value: Option<Duration>,
    shortest: Duration,
) -> Result<(), SettingsError> {
    match value {
        Some(value) if value < shortest => refuse(
            setting,
            format!("{value:?}"),
            &format!("at least {shortest:?}{}", never(setting)),
        ),
        Some(value) if value > LONGEST => refuse(
            setting,
            format!("{value:?}"),
            &format!("at most 100 years{}", never(setting)),
        ),
        _ => Ok(()),
    }
}

/// How to switch `setting` off, where that can be done.
fn never(setting: &str) -> &'static str {
    match setting {
        "acquire_timeout" => "; None waits without end",
        "idle_timeout" | "max_lifetime" => "; None never closes for it",
        "keepalive" | "leak_threshold" | "slow_get" | "check_after_idle" | "slow_start"
        | "drain_timeout" => "; None switches it off",
        _ => "",
    }
}

pub(crate) fn refuse<T>(
    setting: &'static str,
    value: impl std::fmt::Display,
    accepted: &str,
) -> Result<T, SettingsError> {
    Err(SettingsError {
        setting,
        value: value.to_string(),
        accepted: accepted.to_owned(),
    })
}
