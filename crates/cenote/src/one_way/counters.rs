//! What became of messages.

use std::fmt;

use crate::plural::plural;

/// What became of the messages of a [`OneWayPool`](super::OneWayPool) since it began: those that were `taken` are all in
/// one of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OneWayCounters {
    /// Messages that the queue took: sends that ended well.
    pub taken: u64,
    /// Of those, handed over to a connection.
    pub handed_over: u64,
    /// Of those, refused by the connector, as by a codec that cannot encode them; each is
    /// [told](crate::report::EventKind::MessageRefused).
    pub refused: u64,
    /// Of those, given back by [`close`](super::OneWayPool::close).
    pub returned: u64,
    /// Of those, queued or being handed over now.
    pub queued: usize,
}

impl fmt::Display for OneWayCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} taken: {} handed over, {} refused, {} returned, {} queued",
            plural(self.taken, "message"),
            self.handed_over,
            self.refused,
            self.returned,
            self.queued
        )
    }
}
