//! The task that hands messages over: begun when one is queued, and gone when none is.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::queue::Done;
use crate::connect::{NotTaken, OneWay};
use crate::error::GetError;
use crate::report::EventKind;
use crate::rt::{self, calling};
use crate::shared::SharedLease;

/// After a get that gave no lease: that which is refused at once, as by `max_waiters` that others fill, must not spin.
const PAUSE: Duration = Duration::from_millis(10);

/// So many messages are handed over before other tasks of the thread have their turn.
const TURN: usize = 64;

/// Dropped before its end (its runtime was shut down), it leaves its message to the next.
pub(super) struct Forwarder<C: OneWay> {
    /// `None` once it has ended.
    shared: Option<Arc<Shared<C>>>,
    in_hand: Option<C::Message>,
}

impl<C: OneWay> Forwarder<C> {
    /// Of a queue that counts it as at work.
    pub(super) fn new(shared: Arc<Shared<C>>) -> Self {
        Self {
            shared: Some(shared),
            in_hand: None,
        }
    }

    pub(super) async fn run(mut self) {
        let mut done = Done::Nothing;
        let mut in_turn = 0;
        while let Some(shared) = self.shared.clone() {
            self.in_hand = shared.queue.next(done);
            if self.in_hand.is_none() {
                self.shared = None;
                return;
            }
            drop(shared);
            // With a message in hand: what became of the one before is counted, should this task end here.
            in_turn = (in_turn + 1) % TURN;
            if in_turn == 0 {
                tokio::task::yield_now().await;
            }
            match self.hand_over().await {
                Some(outcome) => done = outcome,
                None => return,
            }
        }
    }

    /// What becomes of the message in hand; none if it is to be kept.
    async fn hand_over(&mut self) -> Option<Done> {
        let shared = self.shared.as_ref()?;
        loop {
            let lease = match shared.pool.get().await {
                Ok(lease) => lease,
                Err(GetError::Closed { .. }) => {
                    shared.queue.close();
                    return None;
                }
                // It cannot be forwarded now, and nobody waits for a later time.
                Err(_) if !shared.queue.is_open() || Arc::strong_count(shared) == 1 => return None,
                Err(_) => {
                    rt::sleep(PAUSE).await;
                    continue;
                }
            };
            let message = self.in_hand.take()?;
            let connector = SharedLease::connector(&lease);
            let refused = |error: &str| {
                SharedLease::tell(&lease, || EventKind::MessageRefused { error });
            };
            match calling(|| connector.hand_over(&lease, message)) {
                Ok(Ok(())) => return Some(Done::HandedOver),
                Ok(Err(NotTaken::Back(message))) => self.in_hand = Some(message),
                Ok(Err(NotTaken::Refused(error))) => {
                    refused(&error.to_string());
                    return Some(Done::Refused);
                }
                Err(panic) => {
                    refused(&panic);
                    SharedLease::discard(lease);
                    return Some(Done::Refused);
                }
            }
            drop(lease);
            // A connection that has no room and does not say so must not keep other tasks from their turn.
            tokio::task::yield_now().await;
        }
    }
}

impl<C: OneWay> Drop for Forwarder<C> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.queue.stop(self.in_hand.take());
        }
    }
}
