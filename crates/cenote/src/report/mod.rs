//! What pools tell: as it happens, as they are now, and since they began. Plain values and counts; what they are made
//! of is each pool's own business.

mod close_reason;
mod connection_info;
mod counters;
mod event;
mod holder;
mod status;

pub use close_reason::CloseReason;
pub use connection_info::ConnectionInfo;
pub use counters::Counters;
pub(crate) use counters::{Metrics, count};
pub use event::{Event, EventKind};
pub use holder::Holder;
pub use status::{PoolState, Sharing, Status};
