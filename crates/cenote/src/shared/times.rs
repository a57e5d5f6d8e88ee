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
    /// How long all connections must have been busy before one more is opened.
    pub(super) grow_after: u64,
    pub(super) shrink_after: u64,
    /// For how long a connection that is not ready yet counts as being opened.
    pub(super) warm_for: u64,
}

/// No connection that nobody uses is active for longer.
const LONGEST_UNUSED: Duration = Duration::from_millis(250);

/// How long a connection that nobody uses stays active: a quarter of the time after which it is checked, at most.
fn park_after(settings: &Settings) -> Duration {
    let check_after_idle = settings.check_after_idle.unwrap_or(SECOND);
    (check_after_idle / 4).min(LONGEST_UNUSED)
}

/// The part of `check_after_idle` that is for the lifecycle to measure: some passes while the connection is active, up to as
/// much again until upkeep has noticed.
pub(super) fn checked_while_parked(settings: &Settings) -> Option<Duration> {
    let check_after_idle = settings.check_after_idle?;
    Some(check_after_idle - 2 * park_after(settings))
}

impl Times {
    pub(super) fn new(settings: &Settings, grow_after: Duration, shrink_after: Duration) -> Self {
        let park_after = park_after(settings);
        let turn = [Some(park_after / 2), settings.max_lifetime.map(|t| t / 8)]
            .into_iter()
            .flatten()
            .chain([shrink_after / 8])
            .min()
            .map_or(SECOND, |turn| turn.clamp(SHORTEST, SECOND));
        Self {
            turn: nanos(turn),
            park_after: nanos(park_after),
            grow_after: nanos(grow_after),
            shrink_after: nanos(shrink_after),
            warm_for: nanos(settings.connect_timeout),
        }
    }
}
