//! Within which time service must be as before, counted from where.

use std::fmt;
use std::time::Duration;

/// What a machine's own scheduling may add to any measurement here.
pub const ALLOWANCE: Duration = Duration::from_millis(500);

/// After so long a cell is given up, for its measurement and in the tests.
pub const OUTER_LIMIT: Duration = Duration::from_secs(45);

/// A bound, and where its time begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// So long after the situation began.
    OfBegin(Duration),
    /// So long after it was over.
    OfEnd(Duration),
    /// So long is the longest that any other user's call takes.
    Interruption(Duration),
}

impl Bound {
    /// The time itself.
    #[must_use]
    pub fn limit(self) -> Duration {
        match self {
            Self::OfBegin(limit) | Self::OfEnd(limit) | Self::Interruption(limit) => limit,
        }
    }

    /// Whether a measurement is within it.
    #[must_use]
    pub fn holds(self, measured: Duration) -> bool {
        measured <= self.limit() + ALLOWANCE
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.limit().as_secs_f64();
        match self {
            Self::OfBegin(_) => write!(f, "{seconds} s from its beginning"),
            Self::OfEnd(_) => write!(f, "{seconds} s from its end"),
            Self::Interruption(_) => write!(f, "{seconds} s for any call of others"),
        }
    }
}
