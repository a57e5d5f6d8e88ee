//! How many streams are opened at once on each connection to a server that refused some: few at first, and more as replies
//! come.
//!
//! A server that takes only so many requests on each connection (nginx `keepalive_requests`) refuses those behind the last as it
//! goes away. Were each of its connections given all that wait, most requests would be refused each time, and a request is not
//! sent for ever. So what one took is what each is given. Once one has had more replies than that, it is twice as many, as TCP
//! does after a loss (RFC 5681, 3.1): a server that was restarted is soon given all again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::connection::MAX_STREAMS;

/// What each connection to one server is given.
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
            of_all: self.clone(),
            replies: AtomicUsize::new(0),
        }
    }
}

/// What one connection is given, and what it has shown. Each word counts by itself: a stream too many may be refused, and no
/// more.
pub(super) struct Window {
    of_all: SlowStart,
    /// Since there is a bound.
    replies: AtomicUsize,
}

impl Window {
    pub(super) fn streams(&self) -> usize {
        self.of_all.0.load(Relaxed)
    }

    /// The server went away and had not begun its `nth` stream, from 1.
    pub(super) fn refused(&self, nth: usize) {
        let taken = nth.saturating_sub(1).max(1);
        self.of_all.0.fetch_min(taken, Relaxed);
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
        let of_all = &self.of_all.0;
        let swapped = of_all.compare_exchange(streams, more, Relaxed, Relaxed);
        swapped.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_is_given_what_one_took() {
        let start = SlowStart::new();
        let (first, second) = (start.window(), start.window());
        assert_eq!(first.streams(), ALL);
        for nth in [9, 4, 6] {
            first.refused(nth);
        }
        assert_eq!(second.streams(), 3);
    }

    #[test]
    fn a_server_that_took_nothing_is_given_one() {
        let start = SlowStart::new();
        start.window().refused(1);
        assert_eq!(start.window().streams(), 1);
    }

    #[test]
    fn once_a_connection_outlives_that_each_is_soon_given_all() {
        let start = SlowStart::new();
        start.window().refused(4);
        let (window, other) = (start.window(), start.window());
        let grown: Vec<_> = (1..=100).filter(|_| window.replied()).collect();
        assert_eq!(grown, [4, 7, 13, 25, 49, 97]);
        assert_eq!((window.streams(), other.streams()), (ALL, ALL));
    }
}
