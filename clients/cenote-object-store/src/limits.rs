//! How long a request may take: as a whole, and without anything coming.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::TimedOut;

/// The times of one request that is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    whole: Option<(Instant, Duration)>,
    read: Option<Duration>,
}

impl Limits {
    /// From now on. What is beyond the end of time has no end.
    pub(crate) fn begin(timeout: Option<Duration>, read_timeout: Option<Duration>) -> Self {
        let now = Instant::now();
        let whole = timeout.and_then(|limit| Some((now.checked_add(limit)?, limit)));
        Self {
            whole,
            read: read_timeout,
        }
    }

    /// When it has failed unless something comes, and of what.
    pub(crate) fn next(&self) -> Option<(Instant, TimedOut)> {
        let whole = self.whole.map(|(at, limit)| (at, TimedOut::Request(limit)));
        let read = self.read.and_then(|limit| {
            let at = Instant::now().checked_add(limit)?;
            Some((at, TimedOut::Read(limit)))
        });
        match (whole, read) {
            (Some(whole), Some(read)) if read.0 < whole.0 => Some(read),
            (whole, read) => whole.or(read),
        }
    }
}
