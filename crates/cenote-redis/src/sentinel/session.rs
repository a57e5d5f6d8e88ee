//! One sentinel that is asked and listened to.

use std::future::pending;

use cenote::net::Host;
use cenote::{Connect, Dial};

use super::answer::{Answer, View, question, understand};
use super::error::SentinelFault;
use crate::connection::RedisConnection;
use crate::connector::RedisConnector;
use crate::error::RedisError;
use crate::message::Message;

/// Its connections; a connection that listens cannot ask.
pub(super) struct Session {
    pub(super) sentinel: Host,
    asking: RedisConnection,
    /// `None`: the user may not subscribe.
    listening: Option<RedisConnection>,
}

impl Session {
    /// It listens before it can be asked, so that nothing is missed after an answer.
    pub(super) async fn open(
        connector: &RedisConnector,
        sentinel: &Host,
        dial: &Dial,
    ) -> Result<Self, RedisError> {
        let sentinel = sentinel.clone();
        let connector = connector.at(sentinel.clone());
        let mut first = connector.connect(dial).await?;
        // All of its events: which there are differs from version to version.
        let (asking, listening) = match first.psubscribe(["*"]).await {
            Ok(()) => (connector.connect(dial).await?, Some(first)),
            Err(RedisError::Server(_)) => (first, None),
            Err(error) => return Err(error),
        };
        Ok(Self {
            sentinel,
            asking,
            listening,
        })
    }

    pub(super) async fn ask(&mut self, master: &str, view: View) -> Result<Answer, SentinelFault> {
        let replies = self.asking.pipeline(&question(master, view)).await;
        understand(replies.map_err(SentinelFault::Failed)?)
    }

    /// Whether it tells news.
    pub(super) fn is_heard(&self) -> bool {
        self.listening.is_some()
    }

    /// Ends when something has happened to the master of this name, or to another server or sentinel of it. Dropped, it
    /// loses nothing.
    pub(super) async fn news(&mut self, master: &str) -> Result<(), RedisError> {
        let Some(listening) = &mut self.listening else {
            return pending().await;
        };
        loop {
            let message = listening.next_message().await?;
            if matches!(message, Message::Published { payload, .. } if is_about(&payload, master)) {
                return Ok(());
            }
        }
    }
}

/// Whether an event's text names this master: `master orders 10.0.0.1 6379`, `slave ... @ orders 10.0.0.1 6379`, or
/// `orders` and two addresses.
fn is_about(event: &[u8], master: &str) -> bool {
    let mut words = event.split(|byte| *byte == b' ');
    words.any(|word| word == master.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_told_apart_by_the_master_that_they_name() {
        for event in [
            "master orders 10.0.0.1 6379",
            "orders 10.0.0.1 6379 10.0.0.2 6379",
            "slave 10.0.0.2:6379 10.0.0.2 6379 @ orders 10.0.0.1 6379",
        ] {
            assert!(is_about(event.as_bytes(), "orders"), "{event}");
            assert!(!is_about(event.as_bytes(), "order"), "{event}");
        }
    }
}
