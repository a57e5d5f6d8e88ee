//! The way of a `get`: the first poll takes a permit and is done, or queues. No timer, no allocation and no
//! task until there is something to wait for.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::grant::{Turn, WaitOutcome};
use super::lease::SharedLease;
use super::permits::Answer;
use super::state::Core;
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

            /// Waits this long at most, instead of `acquire_timeout`.
            pub fn timeout(mut self, limit: Duration) -> Self {
                self.acquire.limit = Some(limit);
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
    limit: Option<Duration>,
    stage: Stage,
    connector: PhantomData<fn() -> C>,
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

impl<C: Multiplex, P: Borrow<Arc<Core<C>>>> Acquire<C, P> {
    #[inline]
    fn new(pool: P, call_site: &'static Location<'static>) -> Self {
        let limit = pool.borrow().limits.acquire_timeout;
        Self {
            pool,
            call_site,
            limit,
            stage: Stage::Start,
            connector: PhantomData,
        }
    }

    #[inline(always)]
    fn core(&self) -> &Arc<Core<C>> {
        self.pool.borrow()
    }

    /// The lease that `answer` leads to; none if the caller has to ask again or to wait.
    fn follow(&mut self, answer: Answer<C>) -> Step<C> {
        let refused = |error| Step::Done(Err(error));
        match answer {
            Answer::Granted(grant) => match self.core().admit(grant) {
                Some(conn) => Step::Done(Ok(SharedLease::new(conn))),
                None => Step::AskAgain,
            },
            Answer::Refused(error) => refused(error),
            Answer::QueueFull => {
                self.core().life.owner.tell(|| EventKind::Rejected);
                refused(GetError::QueueFull {
                    pool: self.core().life.owner.settings.name.clone(),
                    max_waiters: self.core().limits.max_waiters,
                })
            }
            Answer::Closed => refused(self.core().closed_error()),
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
        let life = &self.pool.borrow().life.owner;
        let at = life.clock.instant(since.saturating_add(nanos(limit)));
        let set = || Box::pin(life.runtime.within(|| rt::sleep_until(at)));
        ready!(timer.get_or_insert_with(set).as_mut().poll(cx));
        Poll::Ready(match self.core().leave(number) {
            // In that instant.
            Some(WaitOutcome::Granted(grant)) => self.follow(Answer::Granted(grant)),
            Some(WaitOutcome::Refused(error)) => Step::Done(Err(error)),
            None => {
                let waited = life.clock.now().saturating_sub(since);
                let error = self.core().timed_out(Duration::from_nanos(waited));
                Step::Done(Err(error))
            }
        })
    }

    /// Tells how it ended, after waiting.
    fn ended(&self, turn: Turn, outcome: GetOutcome) {
        let life = &self.core().life.owner;
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

impl<C: Multiplex, P: Borrow<Arc<Core<C>>>> Acquire<C, P> {
    #[inline]
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<SharedLease<C>, GetError>> {
        loop {
            let turn = match &self.stage {
                Stage::Start => {
                    if let Some(conn) = self.core().take_cached() {
                        self.stage = Stage::Done;
                        return Poll::Ready(Ok(SharedLease::new(conn)));
                    }
                    None
                }
                Stage::Waiting(waiting) => Some(waiting.turn),
                Stage::Done => panic!("a get was polled deferred it was done"),
            };
            let answer = self.core().ask(turn, cx.waker());
            let mut step = self.follow(answer);
            if let Step::Wait = step {
                match self.watch(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(next) => step = next,
                }
            }
            if let Step::Done(outcome) = step {
                let waiting = std::mem::replace(&mut self.stage, Stage::Done);
                if let Stage::Waiting(waiting) = waiting {
                    self.ended(
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

impl<C: Multiplex, P: Borrow<Arc<Core<C>>>> Drop for Acquire<C, P> {
    fn drop(&mut self) {
        let Stage::Waiting(Waiting { turn, .. }) = self.stage else {
            return;
        };
        if let Some(WaitOutcome::Granted(grant)) = self.core().leave(turn.number) {
            self.core().undo(&grant);
        }
        self.ended(turn, GetOutcome::Abandoned);
    }
}
