//! What pools tell: as it happens, as they are now, and since they began. Plain values and counts; what they are made
//! of is each pool's own business.

mod budget_status;
mod close_reason;
mod connection_info;
mod counters;
mod event;
mod histogram;
mod holder;
mod pool_settings;
mod set_status;
mod snapshot;
mod status;
mod timings;

pub use crate::policy::accrual::Cause as EjectionCause;
pub use budget_status::BudgetStatus;
pub use close_reason::CloseReason;
pub use connection_info::ConnectionInfo;
pub use counters::Counters;
pub(crate) use counters::{Metrics, count};
pub use event::{Event, EventKind, GetOutcome};
pub use histogram::Histogram;
pub use holder::Holder;
pub(crate) use holder::holders;
pub use pool_settings::{PoolSettings, SetSettings, SharingSettings};
pub use set_status::{EndpointCondition, EndpointStatus, SetStatus};
pub use snapshot::{ConnectionSnapshot, ConnectionState, Snapshot};
pub use status::{PoolState, Sharing, Status};
pub use timings::Timings;
