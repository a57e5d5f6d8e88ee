//! The settings of a blocking pool: those of [`cenote::pool::PoolBuilder`](crate::pool::PoolBuilder), hooks synchronous.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::driver::{Driver, Threads};
use super::{Connect, Pool};
use crate::error::{BoxError, SettingsError};
use crate::policy::telling::ConnectFailures;
use crate::report::{CloseReason, ConnectionInfo, Event};
use crate::settings::{Backoff, IdleOrder, ReturnEvents};
use crate::{Budget, pool};

/// Sets up a [`Pool`]. Each setting means what it means on [`cenote::pool::PoolBuilder`](crate::pool::PoolBuilder).
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder<C: Connect> {
    builder: pool::PoolBuilder<Threads<C>>,
}

macro_rules! settings {
    ($($name:ident: $type:ty,)*) => {
        $(
            #[doc = concat!("See [`cenote::pool::PoolBuilder::", stringify!($name), "`](crate::pool::PoolBuilder::", stringify!($name), ").")]
            pub fn $name(self, value: $type) -> Self {
                Self { builder: self.builder.$name(value) }
            }
        )*
    };
}

macro_rules! hooks {
    ($($name:ident,)*) => {
        $(
            #[doc = concat!("See [`cenote::pool::PoolBuilder::", stringify!($name), "`](crate::pool::PoolBuilder::", stringify!($name), "); runs on a thread of its own.")]
            pub fn $name<F>(self, hook: F) -> Self
            where
                F: Fn(&mut C::Connection, &ConnectionInfo) -> Result<(), BoxError> + Send + Sync + 'static,
            {
                let hook = Arc::new(hook);
                let builder = self.builder.$name(move |seat, info| {
                    let (hook, info) = (Arc::clone(&hook), *info);
                    Box::pin(async move { seat.run(move |conn| hook(conn, &info)).await })
                });
                Self { builder }
            }
        )*
    };
}

impl<C: Connect> PoolBuilder<C> {
    pub(super) fn new(connector: C) -> Self {
        Self {
            builder: pool::Pool::builder(Threads(Arc::new(connector))),
        }
    }

    settings! {
        name: impl Into<String>,
        max_size: usize,
        min_idle: usize,
        min_size: usize,
        max_idle: impl Into<Option<usize>>,
        idle_order: IdleOrder,
        acquire_timeout: impl Into<Option<Duration>>,
        max_waiters: impl Into<Option<usize>>,
        idle_timeout: impl Into<Option<Duration>>,
        max_lifetime: impl Into<Option<Duration>>,
        lifetime_jitter: f64,
        check_after_idle: impl Into<Option<Duration>>,
        keepalive: impl Into<Option<Duration>>,
        max_connecting: usize,
        connect_timeout: Duration,
        check_timeout: Duration,
        reset_timeout: Duration,
        close_timeout: Duration,
        backoff: Backoff,
        connect_failures: ConnectFailures,
        connect_failures_while_open: ConnectFailures,
        leak_threshold: impl Into<Option<Duration>>,
        slow_get: impl Into<Option<Duration>>,
        return_events: ReturnEvents,
        seed: u64,
        budget: &Budget,
        on_event: impl Fn(&Event<'_>) + Send + Sync + 'static,
    }

    hooks! {
        after_connect,
        before_get,
        after_return,
    }

    /// See [`cenote::pool::PoolBuilder::before_close`](crate::pool::PoolBuilder::before_close).
    pub fn before_close(
        self,
        hook: impl Fn(&mut C::Connection, &ConnectionInfo, CloseReason) + Send + Sync + 'static,
    ) -> Self {
        let builder = self.builder.before_close(move |seat, info, reason| {
            if let Some(conn) = seat.get_mut() {
                hook(conn, info, reason);
            }
        });
        Self { builder }
    }

    /// The pool, its thread started; it opens `min_idle` connections in the background.
    ///
    /// # Errors
    /// A setting that can't work, named with what would; or no thread to be had.
    pub fn build(self) -> Result<Pool<C>, SettingsError> {
        Ok(Pool {
            driver: Arc::new(Driver::start(self.builder)?),
        })
    }
}

impl<C: Connect> fmt::Debug for PoolBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder")
            .field("settings", self.builder.settings())
            .finish_non_exhaustive()
    }
}
