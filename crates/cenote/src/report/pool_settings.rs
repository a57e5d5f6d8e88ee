//! The settings in force, to be shown.

use std::fmt;
use std::time::Duration;

use crate::endpoints::{Balance, Ejection};
use crate::policy::backoff::Backoff;
use crate::policy::sharing::Choice;
use crate::policy::telling::ConnectFailures;
use crate::settings::{IdleOrder, Settings};

/// A value as the builder's documentation names it.
trait Shown {
    fn shown(&self) -> String;
}

macro_rules! shown_as_debug {
    ($($type:ty),*) => {
        $(impl Shown for $type {
            fn shown(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}

shown_as_debug!(
    usize,
    f64,
    Duration,
    IdleOrder,
    Choice,
    ConnectFailures,
    Balance
);

impl Shown for Ejection {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Backoff {
    fn shown(&self) -> String {
        format!("{:?} to {:?}", self.base, self.max)
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "none".into(), Shown::shown)
    }
}

macro_rules! settings {
    (
        $(#[$doc:meta])* pub struct $name:ident for $builder:literal of $module:literal,
        same { $($same:ident: $same_type:ty,)* }
        own { $($(#[$own_doc:meta])* $own:ident: $own_type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $(
                #[doc = concat!("See [`", $builder, "::", stringify!($same), "`](crate::", $module, "::", $builder, "::", stringify!($same), ").")]
                pub $same: $same_type,
            )*
            $($(#[$own_doc])* pub $own: $own_type,)*
        }

        impl $name {
            /// Each setting by its name.
            fn pairs(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($same), self.$same.shown()),)*]
            }
        }
    };
}

settings! {
    /// A pool's settings in force: as they were given, or by default, and as [`resize`](crate::Pool::resize) changed them.
    pub struct PoolSettings for "PoolBuilder" of "pool",
    same {
        max_size: usize,
        min_size: usize,
        min_idle: usize,
        max_idle: Option<usize>,
        idle_order: IdleOrder,
        acquire_timeout: Option<Duration>,
        max_waiters: Option<usize>,
        idle_timeout: Option<Duration>,
        max_lifetime: Option<Duration>,
        lifetime_jitter: f64,
        check_after_idle: Option<Duration>,
        keepalive: Option<Duration>,
        max_connecting: usize,
        connect_timeout: Duration,
        check_timeout: Duration,
        reset_timeout: Duration,
        close_timeout: Duration,
        backoff: Backoff,
        connect_failures: ConnectFailures,
        connect_failures_while_open: ConnectFailures,
        leak_threshold: Option<Duration>,
        slow_get: Option<Duration>,
    }
    own {
        /// Those of a [`SharedPool`](crate::SharedPool) alone.
        sharing: Option<SharingSettings>,
        /// Those of a pool over a [set of endpoints](crate::Pool::balanced) alone.
        set: Option<SetSettings>,
    }
}

settings! {
    /// The settings in force that only a pool over a [set of endpoints](crate::Pool::balanced) has.
    pub struct SetSettings for "PoolBuilder" of "pool",
    same {
        balance: Balance,
        max_per_endpoint: usize,
        ejection: Ejection,
        slow_start: Option<Duration>,
        drain_timeout: Option<Duration>,
    }
    own {}
}

settings! {
    /// The settings in force that only a [`SharedPool`](crate::SharedPool) has.
    pub struct SharingSettings for "SharedPoolBuilder" of "shared",
    same {
        choice: Choice,
        high_water: f64,
        grow_after: Duration,
        shrink_after: Duration,
    }
    own {}
}

impl PoolSettings {
    /// What `settings` say, in a pool that has come to be of this size.
    pub(crate) fn new(settings: &Settings, max_size: usize) -> Self {
        Self {
            max_size,
            min_size: settings.min_size,
            min_idle: settings.min_idle,
            max_idle: settings.max_idle,
            idle_order: settings.idle_order,
            acquire_timeout: settings.acquire_timeout,
            max_waiters: settings.max_waiters,
            idle_timeout: settings.idle_timeout,
            max_lifetime: settings.max_lifetime,
            lifetime_jitter: settings.lifetime_jitter,
            check_after_idle: settings.check_after_idle,
            keepalive: settings.keepalive,
            max_connecting: settings.max_connecting,
            connect_timeout: settings.connect_timeout,
            check_timeout: settings.check_timeout,
            reset_timeout: settings.reset_timeout,
            close_timeout: settings.close_timeout,
            backoff: settings.backoff,
            connect_failures: settings.connect_failures,
            connect_failures_while_open: settings.connect_failures_while_open,
            leak_threshold: settings.leak_threshold,
            slow_get: settings.slow_get,
            sharing: None,
            set: settings.set.map(|set| SetSettings {
                balance: set.balance,
                max_per_endpoint: set.max_per_endpoint,
                ejection: set.ejection,
                slow_start: set.slow_start,
                drain_timeout: set.drain_timeout,
            }),
        }
    }
}

/// Each setting by its name, as in `max_size 20, min_idle 2, max_idle none`.
impl fmt::Display for PoolSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sharing = self.sharing.iter().flat_map(SharingSettings::pairs);
        let set = self.set.iter().flat_map(SetSettings::pairs);
        let pairs = self.pairs().into_iter().chain(sharing).chain(set);
        for (i, (name, value)) in pairs.enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {value}")?;
        }
        Ok(())
    }
}
