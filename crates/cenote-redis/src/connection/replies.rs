//! Replies as they are read: paid once read to the end, those to cancelled commands dropped.

use super::{RedisConnection, refused};
use crate::error::{RedisError, Refusal};
use crate::silence::Blocked;
use crate::value::Value;

impl RedisConnection {
    /// How many replies are still to come for commands that were cancelled.
    pub fn owed_replies(&self) -> usize {
        self.owed
    }

    /// Reads and drops the replies to cancelled commands. The next command does this by itself; call
    /// it to wait until cancelled commands are over.
    ///
    /// # Errors
    ///
    /// [`RedisError::Refused`] when a command was cut short while it was written. Errors of reading
    /// end the connection.
    ///
    /// # Cancelling
    ///
    /// Replies that were read are dropped; the others stay owed.
    pub async fn drain(&mut self) -> Result<(), RedisError> {
        let refusal = if self.is_broken() {
            Some(Refusal::Broken)
        } else if self.is_cut_short() {
            Some(Refusal::CutShort)
        } else {
            None
        };
        if let Some(reason) = refusal {
            return Err(refused("drain", reason));
        }
        self.skip(self.owed).await
    }

    /// Reads and drops `count` replies.
    pub(super) async fn skip(&mut self, count: usize) -> Result<(), RedisError> {
        for _ in 0..count {
            self.next_reply().await?;
        }
        Ok(())
    }

    /// The reply that comes next, to whichever command it is.
    pub(super) async fn next_reply(&mut self) -> Result<Value, RedisError> {
        loop {
            let frame = self.next_frame().await?;
            if matches!(frame, Value::Push(_)) {
                self.listening.keep(frame);
                continue;
            }
            // No await since the frame was complete: read to the end and paid are one step.
            self.owed -= 1;
            self.blocked_for = self.blocked_for.saturating_sub(1);
            if self.blocked_for == 0 {
                self.blocked = Blocked::No;
            }
            self.vigil.answered();
            if matches!(&frame, Value::Error(error) if error.is_read_only()) {
                self.demoted = true;
                if let Some(term) = &self.term {
                    term.end();
                }
            }
            return Ok(frame);
        }
    }
}
