//! What a caller is given, or learns after it has waited.

use std::sync::Arc;

use super::active_connection::ActiveConnection;
use crate::connect::Multiplex;
use crate::error::GetError;

/// A permit, counted as taken: to be [admitted](super::state::Core::admit) or [undone](super::state::Core::undo).
#[must_use = "a permit neither admitted nor undone is lost"]
pub(super) struct Grant<C: Multiplex> {
    pub(super) conn: Arc<ActiveConnection<C>>,
    /// Leases the connection had when this permit was given, this one included.
    pub(super) rank: usize,
}

/// How the wait of a caller ended, until it asks.
pub(super) enum WaitOutcome<C: Multiplex> {
    Granted(Grant<C>),
    Refused(GetError),
}

/// A waiter's: its number, by which it comes before all that came later, and since when it waits, by the pool's clock.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) number: u64,
    pub(super) since: u64,
}
