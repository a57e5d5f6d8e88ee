//! The way of a `get`: the first poll takes a place and is done, or queues. No timer, no allocation and no
//! task until there is something to wait for.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::lease::SharedLease;
use super::places::{Answer, Told, Turn};
use super::state::Core;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::lifecycle::ended_get::EndedGet;
use crate::report::{EventKind, GetOutcome};
use crate::rt::{self, nanos};

/// A [`SharedPool::get`](crate::SharedPool::get) under way.
///
/// Dropping it leaves the queue and loses nothing: a place granted in that instant goes to the next in line,
/// and a dial goes on.
#[must_use = "a get does nothing until it is awaited"]
pub struct SharedGet<'a, C: Multiplex> {
    core: &'a Arc<Core<C>>,
    call_site: &'static Location<'static>,
    limit: Option<Duration>,
    stage: Stage,
}

enum Stage {
    Start,
    Waiting(Waiting),
    Done,
}

struct Waiting {
    turn: Turn,
    timer: Option<Pin<Box<rt::Sleep>>>,
}

impl<'a, C: Multiplex> SharedGet<'a, C> {
    #[inline]
    pub(super) fn new(core: &'a Arc<Core<C>>, call_site: &'static Location<'static>) -> Self {
        Self {
            core,
            call_site,
            limit: core.limits.acquire_timeout,
            stage: Stage::Start,
        }
    }

    /// Waits this long at most, instead of `acquire_timeout`.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The lease that `answer` leads to; none if the caller has to ask again or to wait.
    fn follow(&mut self, answer: Answer<C>) -> Step<C> {
        let refused = |error| Step::Done(Err(error));
        match answer {
            Answer::Granted(grant) => match self.core.admit(grant) {
                Some(carrier) => Step::Done(Ok(SharedLease::new(carrier))),
                None => Step::AskAgain,
            },
            Answer::Refused(error) => refused(error),
            Answer::QueueFull => {
                self.core.life.owner.tell(|| EventKind::Rejected);
                refused(GetError::QueueFull {
                    pool: self.core.life.owner.settings.name.clone(),
                    max_waiters: self.core.limits.max_waiters,
                })
            }
            Answer::Closed => refused(self.core.closed_error()),
            Answer::Queued(turn) => {
                if let Stage::Start = self.stage {
                    self.stage = Stage::Waiting(Waiting { turn, timer: None });
                }
                Step::Wait
            }
        }
    }

    /// Pending until the time is up; then the end of the waiting.
    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<Step<C>> {
        let (Stage::Waiting(waiting), Some(limit)) = (&mut self.stage, self.limit) else {
            return Poll::Pending;
        };
        let Waiting { turn, timer } = waiting;
        let Turn { number, since } = *turn;
        let life = &self.core.life.owner;
        let at = life.clock.instant(since.saturating_add(nanos(limit)));
        let set = || Box::pin(life.runtime.within(|| rt::sleep_until(at)));
        ready!(timer.get_or_insert_with(set).as_mut().poll(cx));
        Poll::Ready(match self.core.leave(number) {
            // In that instant.
            Some(Told::Granted(grant)) => self.follow(Answer::Granted(grant)),
            Some(Told::Refused(error)) => Step::Done(Err(error)),
            None => {
                let waited = life.clock.now().saturating_sub(since);
                let error = self.core.timed_out(Duration::from_nanos(waited));
                Step::Done(Err(error))
            }
        })
    }
}

impl<C: Multiplex> SharedGet<'_, C> {
    /// Tells how it ended, after waiting.
    fn ended(&self, turn: Turn, outcome: GetOutcome) {
        let life = &self.core.life.owner;
        life.get_ended(&EndedGet {
            waited: life.clock.now().saturating_sub(turn.since),
            has_queued: true,
            call_site: self.call_site,
            outcome,
        });
    }
}

enum Step<C: Multiplex> {
    Done(Result<SharedLease<C>, GetError>),
    /// The connection was dead or full when it was looked at.
    AskAgain,
    Wait,
}

impl<C: Multiplex> Future for SharedGet<'_, C> {
    type Output = Result<SharedLease<C>, GetError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            let turn = match &this.stage {
                Stage::Start => {
                    if let Some(carrier) = this.core.take_spare() {
                        this.stage = Stage::Done;
                        return Poll::Ready(Ok(SharedLease::new(carrier)));
                    }
                    None
                }
                Stage::Waiting(waiting) => Some(waiting.turn),
                Stage::Done => panic!("a get was polled after it was done"),
            };
            let answer = this.core.ask(turn, cx.waker());
            let mut step = this.follow(answer);
            if let Step::Wait = step {
                match this.watch(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(next) => step = next,
                }
            }
            if let Step::Done(outcome) = step {
                let waiting = std::mem::replace(&mut this.stage, Stage::Done);
                if let Stage::Waiting(waiting) = waiting {
                    this.ended(
                        waiting.turn,
                        match outcome {
                            Ok(_) => GetOutcome::Leased,
                            Err(_) => GetOutcome::Failed,
                        },
                    );
                }
                return Poll::Ready(outcome);
            }
        }
    }
}

impl<C: Multiplex> Drop for SharedGet<'_, C> {
    fn drop(&mut self) {
        let Stage::Waiting(Waiting { turn, .. }) = self.stage else {
            return;
        };
        if let Some(Told::Granted(grant)) = self.core.leave(turn.number) {
            self.core.undo(&grant);
        }
        self.ended(turn, GetOutcome::Abandoned);
    }
}

impl<C: Multiplex> fmt::Debug for SharedGet<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedGet")
            .field("pool", &self.core.life.owner.settings.name)
            .finish_non_exhaustive()
    }
}
