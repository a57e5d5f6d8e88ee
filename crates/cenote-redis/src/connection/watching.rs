//! Reading a frame while the server is watched: what must come in time, by `silence`, and the PINGs that find out.

use std::future::poll_fn;

use cenote::time::timeout_at;
use tokio::task::yield_now;

use super::RedisConnection;
use crate::cmd::Cmd;
use crate::error::RedisError;
use crate::silence::{Blocked, Watch};
use crate::value::Value;

impl RedisConnection {
    /// The next frame that the server sends, but for answers to PINGs of the connection's own.
    pub(super) async fn next_frame(&mut self) -> Result<Value, RedisError> {
        let mut watch = self.watch();
        let mut had_a_turn = false;
        loop {
            let arrived = match watch {
                None => Some(self.read_frame().await),
                Some(Watch { deadline, .. }) => timeout_at(deadline, self.read_frame()).await.ok(),
            };
            if let Some(frame) = arrived {
                let frame = frame?;
                if !self.vigil.takes(&frame) {
                    return Ok(frame);
                }
                watch = self.watch();
            } else if self.listens() {
                // Part of a frame came.
                watch = watch.and_then(|watch| self.vigil.renewed(watch));
                had_a_turn = false;
            } else if !had_a_turn {
                // A runtime that was blocked sees that time has passed before it sees what has arrived.
                had_a_turn = true;
                yield_now().await;
            } else if let Some(silence) = watch.and_then(|watch| watch.end) {
                self.break_off();
                return Err(self.wire.silent(silence));
            } else {
                self.vigil.pinged(self.owed + self.listening.awaited());
                self.wire.queue(&Cmd::new("PING"));
                watch = self.watch();
                had_a_turn = false;
            }
        }
    }

    async fn read_frame(&mut self) -> Result<Value, RedisError> {
        let frame = poll_fn(|cx| self.wire.poll_reply(cx)).await;
        if frame.is_err() {
            self.break_off();
        }
        frame
    }

    /// What the server must do now, and by when; none while it may be silent for ever.
    fn watch(&mut self) -> Option<Watch> {
        match self.blocked {
            Blocked::Endlessly => None,
            Blocked::Until(end) => {
                self.listens();
                self.vigil.beyond(end)
            }
            Blocked::No if self.waits_for_messages() => {
                self.listens();
                self.vigil.while_listening()
            }
            Blocked::No => self.vigil.while_draining(),
        }
    }

    /// Whether nothing is due but messages and confirmations, and a PING would be answered at once: a transaction would
    /// take it for one of its commands.
    fn waits_for_messages(&self) -> bool {
        let is_asked_nothing = self.owed == 0 && !self.session.transaction;
        self.session.listening || (is_asked_nothing && self.listening.tracks())
    }

    /// Whether bytes came since this was last asked, which the vigil is told.
    fn listens(&mut self) -> bool {
        let heard = self.wire.has_heard();
        if heard {
            self.vigil.heard();
        }
        heard
    }

    /// Commands were sent behind others that were given up.
    pub(super) fn note_unanswered(&mut self) {
        self.listens();
        self.vigil.sent_in_vain();
    }
}
