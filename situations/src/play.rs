//! Plays one cell: a pool in front of servers of its own making, a connection in the state, the situation, and what
//! its users saw.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::bound::{Bound, OUTER_LIMIT};
use crate::cell::{Applies, Cell, Database, Kind};
use crate::field::{self, Failure, Field, PostgresField, RedisField, Servers, Site};
use crate::journal::Journal;
use crate::other_runtime::OtherRuntime;
use crate::outcome::Outcome;
use crate::situation::Situation;
use crate::state::State;
use crate::subject::{Subject, bring_into_state};
use crate::target::{
    Home, Phase, PostgresExclusive, PostgresShared, RedisExclusive, RedisShared, Target,
};
use crate::trouble::Trouble;
use crate::users::{self, Crowd};

/// How often one looks whether a condition holds.
const LOOK: Duration = Duration::from_millis(10);
/// How often those who listen are told something.
const ANNOUNCED: Duration = Duration::from_millis(100);

/// Plays a cell; one that does not apply is tried out.
///
/// # Errors
///
/// What keeps it from being played, which says nothing of the pool: a server that does not start.
pub async fn play(cell: Cell, repetition: u32, servers: &Servers) -> Result<Outcome, Failure> {
    let stage = Stage::new(cell)?;
    match cell.database {
        Database::Postgres => {
            let field = PostgresField::new(cell, repetition, servers).await?;
            let site = field.site().clone();
            match cell.kind {
                Kind::Exclusive => {
                    stage
                        .play(field, |home| PostgresExclusive::new(&site, home))
                        .await
                }
                Kind::Shared => {
                    stage
                        .play(field, |home| PostgresShared::new(&site, home))
                        .await
                }
            }
        }
        Database::Redis => {
            let field = RedisField::new(cell, repetition, servers).await?;
            let site = field.site().clone();
            match cell.kind {
                Kind::Exclusive => {
                    stage
                        .play(field, |home| RedisExclusive::new(&site, home))
                        .await
                }
                Kind::Shared => {
                    stage
                        .play(field, |home| RedisShared::new(&site, home))
                        .await
                }
            }
        }
    }
}

struct Stage {
    cell: Cell,
    other_runtime: Option<OtherRuntime>,
    phase: watch::Sender<Phase>,
}

impl Stage {
    fn new(cell: Cell) -> Result<Self, Failure> {
        let other_runtime = match cell.situation {
            Situation::BlockedRuntime => Some(OtherRuntime::start()?),
            _ => None,
        };
        Ok(Self {
            cell,
            other_runtime,
            phase: watch::Sender::default(),
        })
    }

    async fn play<F: Field, T: Target>(
        &self,
        field: F,
        build: impl FnOnce(Home) -> Result<T, Trouble>,
    ) -> Result<Outcome, Failure> {
        let home = match &self.other_runtime {
            Some(other) => Home::Own(other.handle()),
            None => Home::Users,
        };
        let target = Arc::new(build(home).map_err(|trouble| trouble.to_string())?);
        let Site { name, .. } = field.site();
        let played = match self.cell.applies() {
            Applies::Not(why) => {
                let refused = target.try_refused(self.cell.state, name).await;
                Ok(Outcome::not_applicable(self.cell, why, refused.err()))
            }
            Applies::Within(bound) => self.measure(Arc::new(field), &target, bound).await,
        };
        played.map_err(|failure| format!("{}: {failure}", self.cell).into())
    }

    async fn measure<F: Field, T: Target>(
        &self,
        field: Arc<F>,
        target: &Arc<T>,
        bound: Bound,
    ) -> Result<Outcome, Failure> {
        let Cell {
            situation, state, ..
        } = self.cell;
        let journal = Arc::new(Journal::new(users::USERS));
        let subject = bring_into_state(self.cell, target, &*field, self.phase.subscribe()).await?;

        // Users are there before it begins where the connection is in service or waited for; else they come with it.
        let mut crowd = None;
        let last = situation.lasts().unwrap_or_default();
        let until = Instant::now() + last;
        let mut disturbance = None;
        if state == State::BeingDialled {
            field::slow_down(&*field)?;
            if situation.is_of_users() {
                let until = until + Duration::from_millis(100);
                disturbance = Some(tokio::spawn(users::disturb(
                    situation,
                    target.clone(),
                    until,
                )));
            }
            crowd = Some(Crowd::start(target, &journal));
            self.until("a dial has begun", || field::is_being_dialled(&*field))
                .await?;
        } else if state == State::InService {
            crowd = Some(Crowd::start(target, &journal));
            self.until("each user was served", || journal.all_were_answered())
                .await?;
        }

        let begin = Instant::now();
        field::begin(&*field, situation).await?;
        self.phase.send_replace(Phase::Begun);
        if let Some(other) = &self.other_runtime {
            other.block(last);
        }
        let until = begin + last;
        if situation.is_of_users() && disturbance.is_none() {
            disturbance = Some(tokio::spawn(users::disturb(
                situation,
                target.clone(),
                until,
            )));
        }
        let crowd = crowd.unwrap_or_else(|| Crowd::start(target, &journal));
        let mut announcer = None;
        if state == State::Listening && situation.is_of_users() {
            announcer = Some(announce(&field));
        }
        sleep_until(until).await;
        field::end(&*field, situation).await?;
        let end = if situation.lasts().is_some() || situation == Situation::Restarted {
            Instant::now()
        } else {
            begin
        };
        if state == State::Listening && announcer.is_none() {
            announcer = Some(announce(&field));
        }

        let mut outcome = Outcome::new(self.cell, bound);
        self.judge(&mut outcome, &journal, target, subject, begin, end)
            .await;
        if let Some(disturbance) = disturbance {
            match timeout(OUTER_LIMIT, disturbance).await {
                Err(_) => outcome.fails("those who disturb others never had an answer".into()),
                Ok(Err(panicked)) => outcome.fails(panicked.to_string()),
                Ok(Ok(Err(trouble))) => {
                    outcome.fails(format!("one who disturbs others: {trouble}"))
                }
                Ok(Ok(Ok(()))) => {}
            }
        }
        if let Some(announcer) = announcer {
            announcer.abort();
        }
        if outcome.measured.is_some() {
            crowd.end().await?;
        }
        outcome.leaks(journal.leaks());
        outcome.answered = journal.answered();
        Ok(outcome)
    }

    /// Waits until service is as before, and says how long that took.
    async fn judge<T: Target>(
        &self,
        outcome: &mut Outcome,
        journal: &Journal,
        target: &Arc<T>,
        subject: Option<Subject>,
        begin: Instant,
        end: Instant,
    ) {
        let is_of_users = self.cell.situation.is_of_users();
        let limit = Instant::now() + OUTER_LIMIT;
        let since = loop {
            match journal.as_before(end) {
                Some(since) => break Some(since),
                None if Instant::now() > limit => break None,
                None => sleep(LOOK).await,
            }
        };
        let (failed, text) = journal.failures_after(begin);
        outcome.failed = failed;
        outcome.failure = text.clone();
        let subject = match subject {
            None => None,
            Some(subject) => match tokio::time::timeout_at(limit, subject).await {
                Err(_) => {
                    outcome.fails(format!(
                        "the user whose connection was {} never had an answer",
                        self.cell.state.name()
                    ));
                    return;
                }
                Ok(Err(panicked)) => {
                    outcome.fails(panicked.to_string());
                    return;
                }
                Ok(Ok((done, answer))) => {
                    if done < begin {
                        outcome.fails(format!("it ended before anything happened: {answer:?}"));
                    }
                    match &answer {
                        Err(Trouble::Leak(text)) => outcome.leaks(vec![text.clone()]),
                        Err(trouble) if is_of_users => outcome.fails(format!(
                            "the user whose connection was {}: {trouble}",
                            self.cell.state.name()
                        )),
                        _ => {}
                    }
                    outcome.told = answer.err().map(|trouble| trouble.to_string());
                    Some(done)
                }
            },
        };
        let Some(since) = since else {
            outcome.fails(format!(
                "service never was as before: {}; {failed} calls failed, the most with: {}",
                target.status(),
                text.unwrap_or_default()
            ));
            return;
        };
        if is_of_users && failed > 0 {
            outcome.fails(format!(
                "{failed} calls of others failed, the most with: {}",
                text.unwrap_or_default()
            ));
        }
        let from_begin = |at: Instant| at.saturating_duration_since(begin);
        let told = |from: Instant| subject.map(|at| at.saturating_duration_since(from));
        outcome.measures(match outcome.bound() {
            Bound::OfBegin(_) => from_begin(since).max(told(begin).unwrap_or_default()),
            Bound::OfEnd(_) => (since - end).max(told(end).unwrap_or_default()),
            Bound::Interruption(_) => {
                let longest = journal.longest(begin, end);
                longest.max(told(begin).unwrap_or_default())
            }
        });
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) -> Result<(), Failure> {
        let limit = Instant::now() + OUTER_LIMIT;
        while !condition() {
            if Instant::now() > limit {
                return Err(format!("it never happened that {what}").into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }
}

/// Tells those who listen something, again and again.
fn announce<F: Field>(field: &Arc<F>) -> JoinHandle<()> {
    let field = field.clone();
    tokio::spawn(async move {
        let channel = field.site().name.clone();
        loop {
            // A server that does not take it now takes the next.
            let _ = timeout(Duration::from_secs(1), field.announce(&channel)).await;
            sleep(ANNOUNCED).await;
        }
    })
}
