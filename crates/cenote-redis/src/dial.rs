//! The time of one dial, so that a peer that says nothing is named, and how far the dial got.

use std::sync::Arc;
use std::time::Duration;

use cenote::Dial;
use cenote::time::{Instant, timeout_at};

use crate::error::{DialStep, RedisError};

/// When a dial gives up; without a deadline, never.
pub(crate) struct DialTime(Option<Limit>);

struct Limit {
    end: Instant,
    /// From the beginning to the end.
    after: Duration,
}

impl DialTime {
    /// A little earlier than the pool's own time-out: else nobody would hear why.
    pub(crate) fn of(dial: &Dial) -> Self {
        let limit = dial.remaining().and_then(|left| {
            let after = left - (left / 10).min(Duration::from_millis(100));
            let end = Instant::now().checked_add(after)?;
            // To be read by people.
            let after = Duration::from_millis(u64::try_from(after.as_millis()).ok()?);
            Some(Limit { end, after })
        });
        Self(limit)
    }

    /// What is left of it, for a step that keeps time by itself.
    pub(crate) fn rest(&self) -> Dial {
        match &self.0 {
            Some(limit) => Dial::within(limit.end.saturating_duration_since(Instant::now())),
            None => Dial::new(),
        }
    }

    /// Does one step of the dial while there is time.
    pub(crate) async fn within<T>(
        &self,
        step: DialStep,
        endpoint: &Arc<str>,
        work: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisError> {
        let Some(Limit { end, after }) = self.0 else {
            return work.await;
        };
        match timeout_at(end, work).await {
            Ok(done) => done,
            Err(_) => Err(RedisError::NoAnswer {
                endpoint: endpoint.clone(),
                step,
                waited: after,
            }),
        }
    }
}
