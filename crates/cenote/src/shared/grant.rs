//! What a caller is given, at once or after it has waited.

use std::sync::Arc;

use super::active_connection::ActiveConnection;
use super::set::Trial;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::kernel::BoxedWaiter;

/// A permit, counted as taken: to be [admitted](super::state::Core::admit) or [undone](super::state::Core::undo).
#[must_use = "a permit neither admitted nor undone is lost"]
pub(super) struct Grant<C: Multiplex> {
    pub(super) conn: Arc<ActiveConnection<C>>,
    /// Leases the connection had when this permit was given, this one included.
    pub(super) rank: usize,
    /// It is the one lease of this trial of its endpoint.
    pub(super) trial: Option<Trial>,
}

/// A caller that waits for a permit. It [leaves](super::state::Core::leave) before it is dropped.
pub(super) type PermitWaiter<C> = BoxedWaiter<Grant<C>, Refusal>;

/// Why a waiter gets no permit.
pub(super) enum Refusal {
    Error(GetError),
    /// Its time is over, as upkeep saw.
    TimedOut,
}
