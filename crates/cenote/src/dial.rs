//! One attempt to open a connection, as its connector sees it: how long it may take, and how what comes of it reaches
//! the pool.

use std::time::Duration;

use tokio::time::Instant;

use crate::signals::Signals;

/// One attempt to open a connection, handed to [`Connect::connect`](crate::Connect::connect).
///
/// The pool ends an attempt at its deadline whatever the connector does. A connector that has several addresses
/// or hosts to try reads the deadline to give each of them its share of what is left.
///
/// ```
/// use cenote::Dial;
/// use std::time::Duration;
///
/// // What a pool hands over; by hand it serves tests and connectors that wrap another one.
/// let dial = Dial::within(Duration::from_secs(5));
/// assert!(dial.remaining().is_some_and(|left| left <= Duration::from_secs(5)));
/// assert_eq!(Dial::new().remaining(), None);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dial {
    deadline: Option<Instant>,
    signals: Signals,
}

impl Dial {
    /// An attempt without a deadline.
    pub fn new() -> Self {
        Self::default()
    }

    /// An attempt that ends `limit` from now; without a deadline where the clock does not reach so far.
    pub fn within(limit: Duration) -> Self {
        Self {
            deadline: Instant::now().checked_add(limit),
            signals: Signals::default(),
        }
    }

    /// The same attempt, which ends `limit` from now: for one of several hosts that share its time.
    #[must_use]
    pub fn shortened(&self, limit: Duration) -> Self {
        Self::within(limit).signalling(self.signals())
    }

    pub(crate) fn signalling(mut self, signals: Signals) -> Self {
        self.signals = signals;
        self
    }

    /// By which the connection that this attempt opens can tell its pool that it is closed, or has changed, as soon as
    /// it knows. Nothing is lost where a connection keeps none: the pool asks.
    pub fn signals(&self) -> Signals {
        self.signals.clone()
    }

    /// When the attempt ends, by tokio's clock; `None`: nobody ends it.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is left of the attempt, zero once its deadline has passed; `None`: it has no deadline.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}
