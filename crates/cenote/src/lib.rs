//! A connection pool: it hands out *leases* on *connections*, and loses none.
#![deny(missing_docs)]

pub mod blocking;
mod builder;
mod connect;
mod erased;
mod error;
mod event;
mod hooks;
mod kernel;
mod no_pool;
mod policy;
mod pool;
mod rt;
mod settings;
mod status;

pub use builder::Builder;
pub use connect::{Connect, Verdict};
pub use erased::{AnyPool, BoxFuture, DynLease, DynPool};
pub use error::{AddError, BoxError, ConnectError, GetError, SettingsError, TimedOut, TryGetError};
pub use event::{CloseReason, ConnectionInfo, Event};
pub use hooks::HookFuture;
pub use no_pool::{FreshLease, NoPool};
pub use policy::backoff::Backoff;
pub use pool::{Close, Closed, Get, GetOwned, Lease, OwnedLease, Pool};
pub use settings::{ConnectFailures, IdleOrder};
pub use status::{Counters, PoolState, Status};
