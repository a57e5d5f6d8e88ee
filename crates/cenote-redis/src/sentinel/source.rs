//! Asking the sentinels again and again, and listening to one of them between.
//!
//! However often `next` is dropped, what was heard is not forgotten; all ends with the source. A question that panics is
//! forgotten, with what it knew, and asked anew.

use std::fmt;
use std::time::Duration;

use cenote::endpoints::{Discover, EndpointSet, Polling};

use super::Sentinels;
use super::answer::View;
use super::error::SentinelError;
use super::inquiry::{Heard, Inquiry, Trust};
use crate::node::RedisNode;

/// From a question to the next that news gives rise to: a failover is some ten events within a second.
const AFTER_NEWS: Duration = Duration::from_millis(50);

/// What sentinels say of a master, or of its replicas: a source of endpoint sets. Made by
/// [`Sentinels::master`] and [`Sentinels::replicas`].
pub struct SentinelSource {
    sentinels: Sentinels,
    view: View,
    trust: Trust,
    /// `None` while a question is under way, which has it.
    resting: Option<Inquiry>,
    polling: Polling<(Inquiry, Answer)>,
}

type Answer = Result<EndpointSet<RedisNode>, SentinelError>;

impl SentinelSource {
    pub(super) fn new(sentinels: &Sentinels, view: View) -> Self {
        Self {
            sentinels: sentinels.clone(),
            view,
            trust: Trust::First,
            resting: None,
            polling: Polling::new(sentinels.intervals.min),
        }
    }

    /// Listens until it is time to ask.
    async fn listen(&mut self) {
        if let (Some(inquiry), Some(due)) = (&mut self.resting, self.polling.due()) {
            match inquiry.listen_until(due).await {
                Heard::Nothing => {}
                Heard::News => self.polling.hasten(AFTER_NEWS),
                Heard::End => self.polling.refresh(),
            }
        }
    }
}

impl Discover for SentinelSource {
    type Key = RedisNode;
    type Error = SentinelError;

    async fn next(&mut self) -> Option<Answer> {
        self.listen().await;
        let Self {
            sentinels,
            view,
            trust,
            resting,
            polling,
        } = self;
        let ask = || {
            let inquiry = resting.take();
            let mut inquiry = inquiry.unwrap_or_else(|| Inquiry::new(sentinels, *view));
            let trust = std::mem::replace(trust, Trust::First);
            async move {
                let answer = inquiry.ask(trust).await;
                (inquiry, answer)
            }
        };
        let (inquiry, answer) = polling.answer(ask).await;
        // Where nobody is heard, they are asked again after the minimum interval, as after a failure.
        if answer.is_ok() && inquiry.is_heard() {
            polling.ask_in(sentinels.intervals.max);
        }
        self.resting = Some(inquiry);
        Some(answer)
    }

    fn name(&self) -> String {
        let master = &self.sentinels.master;
        match self.view {
            View::Master => format!("Sentinel master {master}"),
            View::Replicas => format!("Sentinel replicas of {master}"),
        }
    }

    /// They are asked as soon as the minimum interval is over, unless a question is under way, whose answer is news.
    fn refresh(&mut self) {
        if !self.polling.is_asking() {
            self.trust = Trust::Majority;
            self.polling.refresh();
        }
    }
}

impl fmt::Debug for SentinelSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelSource")
            .field("sentinels", &self.sentinels)
            .field("view", &self.view)
            .finish_non_exhaustive()
    }
}
