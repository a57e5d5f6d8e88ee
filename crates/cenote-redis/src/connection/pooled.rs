//! What a pool asks of a connection: whether it is open, whether it is clean, and that it end.

use cenote::Verdict;

use super::RedisConnection;
use crate::error::{FrameError, RedisError};
use crate::listening::Listening;
use crate::mastership::Term;
use crate::session::Session;
use crate::silence::Blocked;

impl RedisConnection {
    pub(crate) fn session(&self) -> Session {
        self.session
    }

    /// After a reset: no subscription, no tracking, and no message of the last holder's.
    pub(crate) fn forget(&mut self) {
        self.session = Session::default();
        self.listening = Listening::default();
    }

    /// What the pool should do with the connection at return.
    pub(crate) fn verdict(&mut self) -> Verdict {
        let lost = self.is_broken()
            || self.wire.has_unsent()
            || self.blocked != Blocked::No
            || self.session.listening
            || self.session.beyond_reset
            || self.vigil.has_pinged()
            || self.demoted
            || self.has_outlived_its_term();
        if lost {
            Verdict::Close
        } else if self.owed > 0 || !self.session.is_default() {
            Verdict::Reset
        } else if self.wire.has_unread() {
            Verdict::Close
        } else {
            // Messages that the last holder did not take.
            self.listening = Listening::default();
            Verdict::Reuse
        }
    }

    /// Whether the connection is alive as far as can be told without waiting.
    pub(crate) fn is_open(&self) -> bool {
        if self.is_broken() || self.has_outlived_its_term() {
            return false;
        }
        // Bytes are legitimate while something is owed; the verdict deals with that.
        if self.owed > 0 || self.may_be_sent_to() {
            return true;
        }
        let silent = self.wire.is_silent();
        if !silent {
            self.break_off();
        }
        silent
    }

    /// Its server is a master, and is to be one for as long as the connection serves.
    pub(crate) fn serve_during(&mut self, term: Term) {
        self.term = Some(term);
    }

    pub(crate) fn term(&self) -> Option<Term> {
        self.term.clone()
    }

    /// Whether its server was found to be a replica, by this connection or another.
    fn has_outlived_its_term(&self) -> bool {
        self.term.as_ref().is_some_and(Term::is_over)
    }

    /// After a reset: nothing more may be waiting.
    pub(crate) fn expect_clean(&self) -> Result<(), RedisError> {
        if self.wire.has_unread() {
            self.break_off();
            return Err(self.wire.protocol_error(FrameError::Unsolicited));
        }
        Ok(())
    }

    pub(crate) async fn shutdown(self) {
        self.wire.shutdown().await;
    }
}
