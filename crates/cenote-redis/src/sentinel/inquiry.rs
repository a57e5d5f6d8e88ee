//! A question to the sentinels: whom it is put to, and which answer is believed.
//!
//! Promises: whatever one sentinel says or does not say, the next is asked after `timeout`; an answer that is older than
//! one heard before is believed only if more than half of the sentinels answer, and none with a newer one.

use std::sync::Arc;
use std::time::Duration;

use cenote::Dial;
use cenote::endpoints::EndpointSet;
use cenote::net::Host;
use cenote::time::{Instant, sleep_until, timeout_at};

use super::Sentinels;
use super::answer::{Answer, View};
use super::error::{SentinelError, SentinelFault, TriedSentinel};
use super::session::Session;
use crate::connector::RedisConnector;
use crate::node::RedisNode;

/// How many answers a question needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The first that is not outdated is believed.
    First,
    /// What the last answer said was not found to be so: the newest counts of those of more than half.
    Majority,
}

/// What was heard between two questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    /// Something has happened to the master, or to another server or sentinel of it.
    News,
    /// The sentinel is heard no more.
    End,
}

/// What is asked, with what is remembered from one question to the next.
pub(super) struct Inquiry {
    connector: RedisConnector,
    master: Arc<str>,
    view: View,
    timeout: Duration,
    /// With the sentinel that was believed last, while it lives.
    session: Option<Session>,
    /// The sentinel that was believed last.
    last: Option<Host>,
    /// The sentinels that it named.
    others: Vec<Host>,
    /// The configuration epoch of its answer.
    epoch: u64,
}

impl Inquiry {
    pub(super) fn new(sentinels: &Sentinels, view: View) -> Self {
        Self {
            connector: sentinels.connector.clone(),
            master: Arc::clone(&sentinels.master),
            view,
            timeout: sentinels.timeout,
            session: None,
            last: None,
            others: Vec::new(),
            epoch: 0,
        }
    }

    pub(super) async fn ask(
        &mut self,
        trust: Trust,
    ) -> Result<EndpointSet<RedisNode>, SentinelError> {
        let sentinels = self.in_turn();
        let (mut tried, mut answered) = (Vec::new(), 0);
        let mut newest = None::<(Answer, Session)>;
        for sentinel in &sentinels {
            let fault = match self.ask_one(sentinel).await {
                Ok((answer, session)) => {
                    let (epoch, known) = (answer.epoch, self.epoch);
                    answered += 1;
                    if newest.as_ref().is_none_or(|(told, _)| told.epoch < epoch) {
                        newest = Some((answer, session));
                    }
                    if trust == Trust::First && epoch >= known {
                        break;
                    }
                    if is_majority(answered, sentinels.len()) {
                        break;
                    }
                    SentinelFault::Outdated { epoch, known }
                }
                Err(fault) => fault,
            };
            tried.push(TriedSentinel {
                sentinel: sentinel.to_string(),
                fault,
            });
        }
        let is_believed =
            |answer: &Answer| answer.epoch >= self.epoch || is_majority(answered, sentinels.len());
        match newest.filter(|(answer, _)| is_believed(answer)) {
            Some((answer, session)) => Ok(self.believe(answer, session)),
            None => Err(SentinelError {
                master: Arc::clone(&self.master),
                tried,
            }),
        }
    }

    /// The sentinel that was believed last, those given, and those that it named.
    fn in_turn(&self) -> Vec<Host> {
        let known = self.last.iter().chain(self.connector.hosts());
        let mut sentinels: Vec<Host> = Vec::new();
        for sentinel in known.chain(&self.others) {
            if !sentinels.contains(sentinel) {
                sentinels.push(sentinel.clone());
            }
        }
        sentinels
    }

    /// On the session that there is, if it is with this one and still good, or else on another.
    async fn ask_one(&mut self, sentinel: &Host) -> Result<(Answer, Session), SentinelFault> {
        let deadline = Instant::now() + self.timeout;
        let kept = self
            .session
            .take_if(|session| session.sentinel == *sentinel);
        let (master, view) = (&*self.master, self.view);
        let answered = async {
            if let Some(mut session) = kept
                && let Ok(answer) = session.ask(master, view).await
            {
                return Ok((answer, session));
            }
            let dial = Dial::within(deadline.saturating_duration_since(Instant::now()));
            let session = Session::open(&self.connector, sentinel, &dial).await;
            let mut session = session.map_err(SentinelFault::Failed)?;
            let answer = session.ask(master, view).await?;
            Ok((answer, session))
        };
        let waited = self.timeout;
        match timeout_at(deadline, answered).await {
            Ok(answered) => answered,
            Err(_) => Err(SentinelFault::Silent { waited }),
        }
    }

    fn believe(&mut self, answer: Answer, session: Session) -> EndpointSet<RedisNode> {
        let Answer { epoch, set, others } = answer;
        self.epoch = epoch;
        self.others = others;
        self.last = Some(session.sentinel.clone());
        self.session = Some(session);
        set
    }

    /// Whether the sentinel that was believed last tells news.
    pub(super) fn is_heard(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_heard)
    }

    /// Waits until something is heard, or `until` has come. Dropped, it loses nothing.
    pub(super) async fn listen_until(&mut self, until: Instant) -> Heard {
        let Some(session) = &mut self.session else {
            sleep_until(until).await;
            return Heard::Nothing;
        };
        match timeout_at(until, session.news(&self.master)).await {
            Ok(Ok(())) => Heard::News,
            Ok(Err(_)) => {
                self.session = None;
                Heard::End
            }
            Err(_) => Heard::Nothing,
        }
    }
}

fn is_majority(count: usize, of: usize) -> bool {
    count > of / 2
}
