//! When a request is sent once more: never where it may have had an effect twice, and not without end.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use http::{Method, StatusCode, request};

use crate::builder::MAX_CONNECTING;
use crate::wire::{Failure, Gone, Outgoing, Repeat};

/// How often one request may be sent once more.
pub(crate) struct Attempts<'a> {
    /// Where it may have reached the server: once, and only one that does nothing there and has no body.
    repeat: Repeat,
    /// Where a server says that it has done nothing with it, or a connection that carried nothing yet did not take it.
    refusals: usize,
    /// Where a new connection ended without a word: once.
    dial: Repeat,
    /// Where a server says that the connection is for others (421): once.
    misdirected: Repeat,
    spare: &'a Spare,
}

/// So many connections may be on their way when the server restarts, and each of them refuses what it is given. A server that
/// refuses for ever is not asked for ever.
const MAX_REFUSALS: usize = MAX_CONNECTING;

impl<'a> Attempts<'a> {
    pub(crate) fn of(head: &request::Parts, body: &Outgoing, spare: &'a Spare) -> Self {
        let is_safe = matches!(head.method, Method::GET | Method::HEAD);
        spare.note_request();
        Self {
            repeat: match (is_safe, body) {
                (true, Outgoing::Empty) => Repeat::Allowed,
                _ => Repeat::Never,
            },
            refusals: MAX_REFUSALS,
            dial: Repeat::Allowed,
            misdirected: Repeat::Allowed,
            spare,
        }
    }

    /// Whether there is to be another connection after one that ended before anything was sent.
    pub(crate) fn allow_dial(&mut self, gone: Gone) -> bool {
        match gone {
            Gone::Told => self.allow(Failure::LeftBehind, false),
            Gone::Silent => std::mem::replace(&mut self.dial, Repeat::Never) == Repeat::Allowed,
        }
    }

    /// Whether the next may be repeated though it may have reached the server: one whose connection was new is not the
    /// victim of a server that was about to close it.
    pub(crate) fn repeat(&self, is_reused: bool) -> Repeat {
        match is_reused {
            true => self.repeat,
            false => Repeat::Never,
        }
    }

    /// Whether one that failed like this is sent again. Each time costs a connection that was there before, or is counted:
    /// so it ends.
    pub(crate) fn allow(&mut self, failure: Failure, is_reused: bool) -> bool {
        match failure {
            Failure::Unsent | Failure::LeftBehind if is_reused => true,
            Failure::Unsent | Failure::LeftBehind | Failure::Refused => {
                let is_allowed = self.refusals > 0;
                self.refusals = self.refusals.saturating_sub(1);
                is_allowed
            }
            Failure::Unanswered => {
                let repeat = std::mem::replace(&mut self.repeat, Repeat::Never);
                is_reused && repeat == Repeat::Allowed && self.spare.take()
            }
            Failure::Broken => false,
        }
    }

    /// Whether one that was answered like this is sent again.
    pub(crate) fn allow_reply(&mut self, status: StatusCode) -> bool {
        status == StatusCode::MISDIRECTED_REQUEST
            && std::mem::replace(&mut self.misdirected, Repeat::Never) == Repeat::Allowed
    }
}

/// How many requests of a client may be repeated though a server may have seen them: a tenth of all, so that a server which
/// ends each connection under its requests does not have twice as many of them, and a few at any time.
#[derive(Debug)]
pub(crate) struct Spare {
    /// In tenths. Beside other threads a request may be counted once or not: it is a bound by order of magnitude, and full
    /// nearly always, so that it is read and not written.
    tenths: AtomicU32,
}

/// One repeat, in tenths.
const ONE: u32 = 10;

/// So many may be repeated at any time.
const MOST: u32 = 100 * ONE;

impl Spare {
    pub(crate) fn new() -> Self {
        Self {
            tenths: AtomicU32::new(MOST),
        }
    }

    fn note_request(&self) {
        let tenths = self.tenths.load(Relaxed);
        if tenths < MOST {
            self.tenths.store(tenths + 1, Relaxed);
        }
    }

    fn take(&self) -> bool {
        let taken = |tenths: u32| tenths.checked_sub(ONE);
        self.tenths.fetch_update(Relaxed, Relaxed, taken).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_requests_whose_connections_end_a_tenth_is_repeated() {
        let spare = Spare::new();
        let mut repeated = 0;
        for _ in 0..10_000 {
            spare.note_request();
            repeated += u32::from(spare.take());
        }
        assert!((1_000..=1_110).contains(&repeated), "{repeated}");
    }
}
