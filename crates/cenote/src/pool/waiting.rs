//! What a `get` does that could not be served at once: queue, have a connection checked, watch the time.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::timed_out::timed_out;
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::{Arc, EndpointNumber, JoinOutcome, Waiter};
use crate::lifecycle::aim::Aim;
use crate::lifecycle::ended_get::EndedGet;
use crate::lifecycle::pre_lease_check::{PreLeaseCheck, Rejected};
use crate::lifecycle::state::{ConnectionToken, Lifecycle, LifecycleCore, Refusal};
use crate::lifecycle::upkeep::{self, Upkeep};
use crate::lifecycle::{dial, proving};
use crate::report::{EventKind, GetOutcome, count};
use crate::rt::{self, Sleep, nanos};

/// How long a caller waits.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// `acquire_timeout`, watched by upkeep for all callers together.
    Setting,
    /// Its own, with a timer of its own.
    Own(Duration),
    /// Without end: the caller watches the time.
    None,
}

pin_project! {
    /// What a caller needs that could not be served at once.
    pub(super) struct Waiting<'a, C: Connect> {
        pub(super) core: &'a Arc<LifecycleCore<C>>,
        call_site: &'static Location<'static>,
        limit: Limit,
        aim: Aim,
        // The endpoint that it waits at, where it is one.
        at: Option<EndpointNumber>,
        #[pin]
        waiter: Waiter<'a, Lifecycle<C>>,
        stage: Stage<C>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

enum Stage<C: Connect> {
    Start,
    /// It looks for another endpoint.
    SentAway,
    Queued,
    PreLeaseCheck(PreLeaseCheck<C>),
    Done,
}

impl<'a, C: Connect> Waiting<'a, C> {
    pub(super) fn begin(
        core: &'a Arc<LifecycleCore<C>>,
        call_site: &'static Location<'static>,
        limit: Limit,
        aim: Aim,
        stale: Option<ConnectionToken<C>>,
        began: u64,
    ) -> Self {
        let waiter = Waiter::new(core, began);
        let at = match aim {
            Aim::Key(_) | Aim::Endpoint(_) => {
                let stale = stale.as_ref();
                stale.and_then(|token| token.entry().target.number())
            }
            Aim::Any | Aim::Rather(_) => None,
        };
        let stage = match stale {
            Some(token) => {
                waiter.arrive();
                Stage::PreLeaseCheck(PreLeaseCheck::start(token))
            }
            None => Stage::Start,
        };
        Self {
            core,
            call_site,
            limit,
            aim,
            at,
            waiter,
            stage,
            timer: None,
        }
    }

    pub(super) fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ConnectionToken<C>, GetError>> {
        let outcome = loop {
            let this = self.as_mut().project();
            let step = match this.stage {
                Stage::Start | Stage::SentAway => self.as_mut().join(cx),
                Stage::Queued => match this.waiter.as_ref().poll(cx) {
                    // Woken for nothing else, it may have to see to upkeep.
                    Poll::Pending if upkeep::ensure(self.core) == Upkeep::Impossible => {
                        let error = self.core.owner.no_runtime();
                        Poll::Ready(self.as_mut().give_up(|_| error))
                    }
                    Poll::Pending => self.as_mut().keep_waiting(cx),
                    Poll::Ready(Ok(token)) => Poll::Ready(Ok(self.as_mut().accept(token))),
                    // It waits on, at its place in the order of arrival.
                    Poll::Ready(Err(Refusal::SentAway)) => self.as_mut().join(cx),
                    Poll::Ready(Err(why)) => Poll::Ready(Err(self.refused(why))),
                },
                Stage::PreLeaseCheck(pre_lease_check) => match pre_lease_check.poll(cx) {
                    Poll::Pending => self.as_mut().out_of_time(cx).map(|why| Err(why(&self))),
                    Poll::Ready(Ok(token)) => Poll::Ready(Ok(Some(token))),
                    // It was this caller's turn, and it still is.
                    Poll::Ready(Err(Rejected::Closed)) => self.as_mut().join(cx),
                    Poll::Ready(Err(Rejected::Fatal(error))) => Poll::Ready(Err(error)),
                },
                Stage::Done => panic!("a get was polled after it was done"),
            };
            if let Some(outcome) = ready!(step).transpose() {
                break outcome;
            }
        };
        Poll::Ready(self.done(outcome))
    }

    /// Begins the lease, and tells how it went.
    fn done(
        mut self: Pin<&mut Self>,
        outcome: Result<ConnectionToken<C>, GetError>,
    ) -> Result<ConnectionToken<C>, GetError> {
        *self.as_mut().project().stage = Stage::Done;
        let core = self.core;
        let now = core.owner.clock.now();
        let outcome = outcome.and_then(|token| core.expect_aimed_at(self.aim, token));
        let outcome = outcome.inspect(|token| {
            token.meta().leased(now, self.call_site);
            let target = &*token.entry().target;
            proving::prove(core, target, token.meta());
        });
        let kind = match outcome {
            Ok(_) => GetOutcome::Leased,
            Err(_) => GetOutcome::Failed,
        };
        core.owner.get_ended(&self.ended(now, kind));
        outcome
    }

    fn ended(&self, now: u64, outcome: GetOutcome) -> EndedGet {
        EndedGet {
            waited: now.saturating_sub(self.waiter.since()),
            has_queued: self.waiter.has_queued(),
            call_site: self.call_site,
            outcome,
        }
    }

    /// What there is to tell of a get that is dropped.
    pub(super) fn left(&self) -> Option<EndedGet> {
        match self.stage {
            Stage::Done => None,
            _ => Some(self.ended(self.core.owner.clock.now(), GetOutcome::Abandoned)),
        }
    }

    pub(super) fn time_out(mut self: Pin<&mut Self>) -> Result<ConnectionToken<C>, GetError> {
        let outcome = match self.stage {
            Stage::Queued => match self.as_mut().give_up(Self::timed_out) {
                Ok(Some(token)) => Ok(token),
                // Granted, but it would have to be checked first.
                Ok(None) => Err(self.timed_out()),
                Err(error) => Err(error),
            },
            _ => Err(self.timed_out()),
        };
        self.done(outcome)
    }

    /// A connection to lease, or one to prepare first; pending when it queued.
    fn join(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ConnectionToken<C>>, GetError>> {
        let this = self.as_mut().project();
        let life = &this.core.owner;
        // Else it has been busy with a connection that proved dead, or waited elsewhere, perhaps for long.
        let was_new = matches!(this.stage, Stage::Start);
        let deadline = match (&this.limit, life.settings.acquire_timeout) {
            (Limit::Setting, Some(limit)) => this.waiter.since().saturating_add(nanos(limit)),
            _ => u64::MAX,
        };
        let endpoint = match this.core.endpoint_for(*this.aim) {
            Ok(endpoint) => endpoint,
            Err(error) => return Poll::Ready(Err(error)),
        };
        *this.at = endpoint;
        let joined =
            this.waiter
                .as_ref()
                .join_for(endpoint, cx.waker(), deadline, life.max_waiters());
        match joined {
            JoinOutcome::Granted(token) => Poll::Ready(Ok(self.accept(token))),
            JoinOutcome::Queued {
                may_grow,
                arm,
                is_alone,
            } => {
                *this.stage = Stage::Queued;
                // After queueing: an upkeep that ends from now on rouses this waiter.
                let upkeep = match was_new {
                    true => upkeep::ensure_at(this.core, this.waiter.since()),
                    false => upkeep::ensure(this.core),
                };
                if upkeep == Upkeep::Impossible || (may_grow && life.runtime.handle().is_none()) {
                    let error = life.no_runtime();
                    return Poll::Ready(self.give_up(|_| error));
                }
                if arm {
                    upkeep::schedule(this.core, deadline);
                }
                // Where the runtime that upkeep is on may not be driven while this one is, one caller at
                // least had better watch the time: woken by it, it sees to upkeep for all.
                if is_alone && matches!(this.limit, Limit::Setting) {
                    let is_elsewhere = |_: &Duration| upkeep::is_elsewhere(this.core);
                    if let Some(limit) = life.settings.acquire_timeout.filter(is_elsewhere) {
                        *this.limit = Limit::Own(limit);
                    }
                }
                if may_grow {
                    dial::dial_for_waiter(this.core);
                }
                // If it was served by now, it was woken as well.
                self.keep_waiting(cx)
            }
            JoinOutcome::Full => {
                count(&life.metrics.rare().rejected);
                life.tell(|| EventKind::Rejected);
                let max_waiters = life.max_waiters();
                Poll::Ready(Err(GetError::QueueFull {
                    pool: life.settings.name.clone(),
                    max_waiters,
                }))
            }
            JoinOutcome::Closed => Poll::Ready(Err(life.closed_error())),
            // The endpoint ceased to serve since it was chosen: another is.
            JoinOutcome::SentAway => {
                *this.stage = Stage::SentAway;
                Poll::Ready(Ok(None))
            }
        }
    }

    /// In the queue: on with it, unless the time is up.
    fn keep_waiting(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<ConnectionToken<C>>, GetError>> {
        let out_of_time = self.as_mut().out_of_time(cx);
        out_of_time.map(|why| self.give_up(why))
    }

    /// `token` if it can be leased as it is; else it is checked first.
    fn accept(self: Pin<&mut Self>, token: ConnectionToken<C>) -> Option<ConnectionToken<C>> {
        if self.core.owner.fresh_at(&token).is_some() {
            return Some(token);
        }
        *self.project().stage = Stage::PreLeaseCheck(PreLeaseCheck::start(token));
        None
    }

    /// Pending until the time is up; then the error that says so. Sets the timer when first asked, if this
    /// caller needs one of its own.
    fn out_of_time(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<fn(&Self) -> GetError> {
        let this = self.project();
        let life = &this.core.owner;
        let limit = match (*this.limit, &this.stage) {
            (Limit::Own(limit), _) => limit,
            // In the queue upkeep watches.
            (Limit::Setting, Stage::PreLeaseCheck(_)) => match life.settings.acquire_timeout {
                Some(limit) => limit,
                None => return Poll::Pending,
            },
            _ => return Poll::Pending,
        };
        let at = life
            .clock
            .instant(this.waiter.since().saturating_add(nanos(limit)));
        let set = || Box::pin(life.runtime.within(|| rt::sleep_until(at)));
        let timer = this.timer.get_or_insert_with(set);
        let is_up = timer.as_mut().poll(cx);
        is_up.map(|()| Self::timed_out as fn(&Self) -> GetError)
    }

    /// Leaves the queue; a connection granted in that instant is taken all the same.
    fn give_up(
        mut self: Pin<&mut Self>,
        why: impl FnOnce(&Self) -> GetError,
    ) -> Result<Option<ConnectionToken<C>>, GetError> {
        match self.as_mut().project().waiter.as_ref().leave() {
            Some(Ok(token)) => Ok(self.accept(token)),
            Some(Err(refusal)) => Err(self.refused(refusal)),
            None => Err(why(&self)),
        }
    }

    fn waited(&self) -> Duration {
        Duration::from_nanos(
            self.core
                .owner
                .clock
                .now()
                .saturating_sub(self.waiter.since()),
        )
    }

    fn timed_out(&self) -> GetError {
        timed_out(self.core, self.waited(), self.at)
    }

    fn refused(&self, why: Refusal) -> GetError {
        let life = &self.core.owner;
        match why {
            Refusal::Connect { failures, error } => GetError::Connect {
                pool: life.settings.name.clone(),
                failures,
                error,
            },
            Refusal::Closed => life.closed_error(),
            Refusal::TimedOut => self.timed_out(),
            // Where it waited another may be by now.
            Refusal::SentAway => timed_out(self.core, self.waited(), None),
        }
    }
}
