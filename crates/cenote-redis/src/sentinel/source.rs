//! Asking the sentinels again and again, and listening to one of them between; one question at a time.
//!
//! However often `next` is dropped, a question that is under way goes on with the next call, and what was heard is not
//! forgotten; all ends with the source. A question that panics is forgotten, with what it knew, and asked anew.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use cenote::endpoints::{Discover, EndpointSet};
use cenote::time::{Instant, sleep_until};

use super::Sentinels;
use super::answer::View;
use super::error::SentinelError;
use super::inquiry::{Heard, Inquiry, Trust};
use super::schedule::Schedule;
use crate::node::RedisNode;

/// What sentinels say of a master, or of its replicas: a source of endpoint sets. Made by
/// [`Sentinels::master`] and [`Sentinels::replicas`].
pub struct SentinelSource {
    sentinels: Sentinels,
    view: View,
    trust: Trust,
    schedule: Schedule,
    resting: Option<Inquiry>,
    under_way: Option<UnderWay>,
}

type Answer = Result<EndpointSet<RedisNode>, SentinelError>;
type UnderWay = Pin<Box<dyn Future<Output = (Inquiry, Answer)> + Send>>;

impl SentinelSource {
    pub(super) fn new(sentinels: &Sentinels, view: View) -> Self {
        Self {
            sentinels: sentinels.clone(),
            view,
            trust: Trust::First,
            schedule: Schedule::new(sentinels.intervals),
            resting: None,
            under_way: None,
        }
    }

    /// Waits until it is time to ask.
    async fn wait(&mut self) {
        if let (Some(inquiry), Some(due)) = (&mut self.resting, self.schedule.due()) {
            match inquiry.listen_until(due).await {
                Heard::Nothing => {}
                Heard::News => self.schedule.heard_news(),
                Heard::End => self.schedule.is_in_doubt(),
            }
        }
        if let Some(due) = self.schedule.due() {
            sleep_until(due).await;
        }
    }

    fn begin(&mut self) {
        self.schedule.begins(Instant::now());
        let inquiry = self.resting.take();
        let mut inquiry = inquiry.unwrap_or_else(|| Inquiry::new(&self.sentinels, self.view));
        let trust = std::mem::replace(&mut self.trust, Trust::First);
        self.under_way = Some(Box::pin(async move {
            let answer = inquiry.ask(trust).await;
            (inquiry, answer)
        }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Inquiry, Answer)> {
        // One that panics is not put back.
        let under_way = self.under_way.take();
        let mut under_way = under_way.expect("it was begun, and is polled to its end only");
        let polled = under_way.as_mut().poll(cx);
        if polled.is_pending() {
            self.under_way = Some(under_way);
        }
        polled
    }
}

impl Discover for SentinelSource {
    type Key = RedisNode;
    type Error = SentinelError;

    async fn next(&mut self) -> Option<Answer> {
        if self.under_way.is_none() {
            self.wait().await;
            self.begin();
        }
        let (inquiry, answer) = poll_fn(|cx| self.poll(cx)).await;
        if answer.is_ok() && inquiry.is_heard() {
            self.schedule.answered_by_one_that_is_heard();
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
        if self.under_way.is_some() {
            return;
        }
        self.trust = Trust::Majority;
        self.schedule.is_in_doubt();
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
