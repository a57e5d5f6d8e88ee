//! How many streams are opened at once on a new connection to a server that refused some: few at first, and more as replies
//! come.
//!
//! A server that takes only so many requests on each connection (nginx `keepalive_requests`) refuses those behind the last as it
//! goes away. Were each of its connections given all that wait, most requests would be refused each time, and a request is not
//! sent for ever. So what the last one took is what the next begins with. With more replies than that it is given twice as many,
//! as TCP does after a loss (RFC 5681, 3.1): a server that was restarted is soon given all again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::connection::MAX_STREAMS;

/// What connections to one server begin with.
#[derive(Clone, Debug)]
pub(crate) struct SlowStart(Arc<AtomicUsize>);

/// No bound of its own.
const ALL: usize = usize::MAX;

impl SlowStart {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicUsize::new(ALL)))
    }

    pub(super) fn window(&self) -> Window {
        Window {
            streams: AtomicUsize::new(self.0.load(Relaxed)),
            replies: AtomicUsize::new(0),
            start: self.clone(),
        }
    }
}

/// What one connection is given. Each word counts by itself: a stream too many may be refused, and no more.
pub(super) struct Window {
    streams: AtomicUsize,
    replies: AtomicUsize,
    start: SlowStart,
}

impl Window {
    pub(super) fn streams(&self) -> usize {
        self.streams.load(Relaxed)
    }

    /// The server went away and had not begun its `nth` stream, from 1.
    pub(super) fn refused(&self, nth: usize) {
        let taken = nth.saturating_sub(1).max(1);
        self.start.0.fetch_min(taken, Relaxed);
    }

    /// A reply came; true if it may have more streams now.
    pub(super) fn replied(&self) -> bool {
        let streams = self.streams();
        if streams == ALL {
            return false;
        }
        let replies = self.replies.fetch_add(1, Relaxed) + 1;
        if replies <= streams {
            return false;
        }
        let more = match streams.saturating_mul(2) {
            more if more < MAX_STREAMS => more,
            _ => ALL,
        };
        let swapped = self
            .streams
            .compare_exchange(streams, more, Relaxed, Relaxed);
        self.start.0.fetch_max(more, Relaxed);
        swapped.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_begins_with_what_the_last_one_took() {
        let start = SlowStart::new();
        let first = start.window();
        assert_eq!(first.streams(), ALL);
        for nth in [9, 4, 6] {
            first.refused(nth);
        }
        assert_eq!(start.window().streams(), 3);
    }

    #[test]
    fn a_server_that_took_nothing_is_given_one() {
        let start = SlowStart::new();
        start.window().refused(1);
        assert_eq!(start.window().streams(), 1);
    }

    #[test]
    fn a_connection_that_outlives_what_the_last_one_took_is_soon_given_all() {
        let start = SlowStart::new();
        start.window().refused(4);
        let window = start.window();
        let grown: Vec<_> = (1..=100).filter(|_| window.replied()).collect();
        assert_eq!(grown, [4, 7, 13, 25, 49, 97]);
        assert_eq!((window.streams(), start.window().streams()), (ALL, ALL));
    }
}
