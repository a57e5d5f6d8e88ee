//! The end of a get that could not be served at once: timed, counted and told, for every face.

use std::panic::Location;
use std::time::Duration;

use super::state::Lifecycle;
use crate::connect::Connect;
use crate::report::{EventKind, GetOutcome, count};

/// A get that could not be served at once, at its end.
pub(crate) struct EndedGet {
    /// In nanoseconds.
    pub(crate) waited: u64,
    /// Else its connection was only checked first.
    pub(crate) has_queued: bool,
    pub(crate) call_site: &'static Location<'static>,
    pub(crate) outcome: GetOutcome,
}

impl<C: Connect> Lifecycle<C> {
    /// Counts and tells how a get ended; to be called under no lock.
    pub(crate) fn get_ended(&self, get: &EndedGet) {
        let &EndedGet {
            has_queued,
            call_site,
            outcome,
            ..
        } = get;
        let waited = Duration::from_nanos(get.waited);
        match outcome {
            GetOutcome::Leased => {
                self.metrics.times.waited(get.waited);
                if has_queued {
                    self.tell(|| EventKind::Waited { waited });
                }
            }
            GetOutcome::Abandoned => count(&self.metrics.rare().abandoned),
            GetOutcome::Failed => {}
        }
        if self.settings.slow_get.is_some_and(|slow| waited >= slow) {
            self.tell(|| EventKind::SlowGet {
                waited,
                call_site,
                outcome,
            });
        }
    }
}
