//! The way of a `get`: the first poll takes a permit and is done, or queues. No timer, no allocation and no
//! task until there is something to wait for.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::grant::{PermitWaiter, Refusal};
use super::lease::SharedLease;
use super::permits::Answer;
use super::roster::Unlisted;
use super::state::Core;
use super::upkeep;
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::lifecycle::ended_get::EndedGet;
use crate::report::{EventKind, GetOutcome};
use crate::rt::{self, nanos};

/// A [`SharedPool::get`](crate::SharedPool::get) under way.
///
/// Dropping it leaves the queue and loses nothing: a share granted in that instant goes to the next in line,
/// and a dial goes on.
#[must_use = "a get does nothing until it is awaited"]
pub struct SharedGet<'a, C: Multiplex> {
    acquire: Acquire<C, &'a Arc<Core<C>>>,
}

/// A [`SharedPool::get_owned`](crate::SharedPool::get_owned) under way; dropping it is as dropping [`SharedGet`].
#[must_use = "a get does nothing until it is awaited"]
pub struct SharedGetOwned<C: Multiplex> {
    acquire: Acquire<C, Arc<Core<C>>>,
}

macro_rules! get {
    ($name:ident<$($lifetime:lifetime,)? C>, $core:ty) => {
        impl<$($lifetime,)? C: Multiplex> $name<$($lifetime,)? C> {
            #[inline]
            pub(super) fn new(core: $core, call_site: &'static Location<'static>) -> Self {
                Self {
                    acquire: Acquire::new(core, call_site),
                }
            }

            /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
            pub fn timeout(mut self, limit: Duration) -> Self {
                self.acquire.limit = Limit::Own(limit);
                self
            }
        }

        impl<$($lifetime,)? C: Multiplex> Future for $name<$($lifetime,)? C> {
            type Output = Result<SharedLease<C>, GetError>;

            #[inline]
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.get_mut().acquire.poll(cx)
            }
        }

        impl<$($lifetime,)? C: Multiplex> fmt::Debug for $name<$($lifetime,)? C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("pool", &self.acquire.core().life.owner.settings.name)
                    .finish_non_exhaustive()
            }
        }
    };
}

get!(SharedGet<'a, C>, &'a Arc<Core<C>>);
get!(SharedGetOwned<C>, Arc<Core<C>>);

/// A get under way, with the pool borrowed or its own.
struct Acquire<C: Multiplex, P: Borrow<Arc<Core<C>>>> {
    pool: P,
    call_site: &'static Location<'static>,
    limit: Limit,
    stage: Stage<C>,
}

/// How long a caller waits.
#[derive(Clone, Copy)]
enum Limit {
    /// `acquire_timeout`, watched by upkeep for all callers together.
    Setting,
    /// Its own, with a timer of its own.
    Own(Duration),
}

enum Stage<C: Multiplex> {
    Start,
    Waiting(Waiting<C>),
    Done,
}

struct Waiting<C: Multiplex> {
    waiter: PermitWaiter<C>,
    timer: Option<Pin<Box<rt::Sleep>>>,
}

impl<C: Multiplex, P: Borrow<Arc<Core<C>>>> Acquire<C, P> {
    #[inline]
    fn new(pool: P, call_site: &'static Location<'static>) -> Self {
        Self {
            pool,
            call_site,
            limit: Limit::Setting,
            stage: Stage::Start,
        }
    }

    #[inline(always)]
    fn core(&self) -> &Arc<Core<C>> {
        self.pool.borrow()
    }

    /// The lease that `answer` leads to; none if the caller has to ask again: the connection was dead or full when it
    /// was looked at.
    fn follow(&self, answer: Answer<C>) -> Option<Result<SharedLease<C>, GetError>> {
        let core = self.core();
        let error = match answer {
            Answer::Granted(grant) => return core.admit(grant).map(Ok),
            Answer::Refused(Refusal::Error(error)) => error,
            Answer::Refused(Refusal::TimedOut) => self.timed_out(),
            Answer::QueueFull => {
                core.life.owner.tell(|| EventKind::Rejected);
                GetError::QueueFull {
                    pool: core.life.owner.settings.name.clone(),
                    max_waiters: core.limits.max_waiters,
                }
            }
            Answer::Closed => core.closed_error(),
        };
        Some(Err(error))
    }

    /// What the caller learns at this poll; pending while it waits.
    #[inline]
    fn ask(&mut self, cx: &mut Context<'_>, unlisted: Unlisted) -> Poll<Answer<C>> {
        let core = self.pool.borrow();
        let watched = match self.limit {
            Limit::Setting => core.limits.acquire_timeout,
            Limit::Own(_) => None,
        };
        match &mut self.stage {
            Stage::Start => match core.ask(cx.waker(), watched, unlisted) {
                Ok(answer) => return Poll::Ready(answer),
                Err(waiter) => {
                    let timer = None;
                    self.stage = Stage::Waiting(Waiting { waiter, timer });
                }
            },
            Stage::Waiting(Waiting { waiter, .. }) => {
                if let Some(answer) = core.ask_again(waiter, cx.waker(), watched) {
                    return Poll::Ready(answer);
                }
            }
            Stage::Done => panic!("a get was polled after it was done"),
        }
        self.watch(cx)
    }

    /// Pending until the time is up; then the end of the waiting.
    fn watch(&mut self, cx: &mut Context<'_>) -> Poll<Answer<C>> {
        let Stage::Waiting(Waiting { waiter, timer }) = &mut self.stage else {
            return Poll::Pending;
        };
        let core = self.pool.borrow();
        let limit = match self.limit {
            Limit::Own(limit) => Some(limit),
            // The runtime that upkeep is on may not be driven while this one is.
            Limit::Setting if timer.is_some() || upkeep::is_elsewhere(core) => {
                core.limits.acquire_timeout
            }
            Limit::Setting => None,
        };
        let Some(limit) = limit else {
            return Poll::Pending;
        };
        let life = &core.life.owner;
        let since = waiter.since();
        let at = life.clock.instant(since.saturating_add(nanos(limit)));
        let set = || Box::pin(life.runtime.within(|| rt::sleep_until(at)));
        ready!(timer.get_or_insert_with(set).as_mut().poll(cx));
        Poll::Ready(match core.leave(waiter) {
            // In that instant.
            Some(Ok(grant)) => Answer::Granted(grant),
            Some(Err(refusal)) => Answer::Refused(refusal),
            None => Answer::Refused(Refusal::TimedOut),
        })
    }

    fn timed_out(&self) -> GetError {
        let Stage::Waiting(Waiting { waiter, .. }) = &self.stage else {
            unreachable!("only a waiter is told that its time is over");
        };
        let waited = self
            .core()
            .life
            .owner
            .clock
            .now()
            .saturating_sub(waiter.since());
        self.core().timed_out(Duration::from_nanos(waited))
    }

    /// Tells how it ended, after waiting since `since`.
    fn ended(&self, since: u64, outcome: GetOutcome) {
        let life = &self.core().life.owner;
        life.get_ended(&EndedGet {
            waited: life.clock.now().saturating_sub(since),
            has_queued: true,
            call_site: self.call_site,
            outcome,
        });
    }

    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<SharedLease<C>, GetError>> {
        let mut unlisted = Unlisted::Undecided;
        if let Stage::Start = self.stage {
            if let Some(conn) = self.core().take_cached() {
                self.stage = Stage::Done;
                return Poll::Ready(Ok(SharedLease::new(conn, None)));
            }
            match self.core().take_listed() {
                Ok(lease) => {
                    self.stage = Stage::Done;
                    return Poll::Ready(Ok(lease));
                }
                Err(why) => unlisted = why,
            }
        }
        loop {
            let answer = ready!(self.ask(cx, unlisted));
            let Some(outcome) = self.follow(answer) else {
                continue;
            };
            if let Stage::Waiting(waiting) = std::mem::replace(&mut self.stage, Stage::Done) {
                let told = match outcome {
                    Ok(_) => GetOutcome::Leased,
                    Err(_) => GetOutcome::Failed,
                };
                self.ended(waiting.waiter.since(), told);
            }
            return Poll::Ready(outcome);
        }
    }
}

impl<C: Multiplex, P: Borrow<Arc<Core<C>>>> Drop for Acquire<C, P> {
    fn drop(&mut self) {
        let Stage::Waiting(Waiting { waiter, .. }) = &mut self.stage else {
            return;
        };
        let core = self.pool.borrow();
        if let Some(Ok(grant)) = core.leave(waiter) {
            core.undo(&grant);
        }
        let since = waiter.since();
        self.ended(since, GetOutcome::Abandoned);
    }
}
