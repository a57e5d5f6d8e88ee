//! The times that upkeep goes by, as they follow from the settings.

use std::time::Duration;

use crate::rt::nanos;
use crate::settings::{SECOND, SHORTEST, Settings};

/// Nanoseconds.
pub(super) struct Times {
    /// From one look around to the next.
    pub(super) turn: u64,
    /// A connection nobody has used for this long is parked.
    pub(super) park_after: u64,
    pub(super) shrink_after: u64,
    /// For how long a connection that is not ready yet counts as being opened.
    pub(super) warm_for: u64,
}

/// The rest of `check_after_idle` is for the lifecycle to measure: a quarter passes while the connection is active, up
/// to another quarter until upkeep has noticed.
pub(super) const CHECKED_WHILE_PARKED: u32 = 2;

impl Times {
    pub(super) fn new(settings: &Settings, shrink_after: Duration) -> Self {
        let park_after = settings.check_after_idle.unwrap_or(SECOND) / 4;
        let turn = [Some(park_after / 2), settings.max_lifetime.map(|t| t / 8)]
            .into_iter()
            .flatten()
            .chain([shrink_after / 8])
            .min()
            .map_or(SECOND, |turn| turn.clamp(SHORTEST, SECOND));
        Self {
            turn: nanos(turn),
            park_after: nanos(park_after),
            shrink_after: nanos(shrink_after),
            warm_for: nanos(settings.connect_timeout),
        }
    }
}
