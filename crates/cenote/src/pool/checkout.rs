//! The way of a `get`: the first poll takes an idle connection and is done, or queues. No timer and no
//! allocation until there is something to wait for.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::dial;
use super::give_back::settle;
use super::preparing::{Preparing, Unfit};
use super::shared::{PoolCore, PoolHeld, Refusal, Shared, count};
use super::upkeep::{self, Upkeep};
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::{Arc, Idling, Joined, Ticket};
use crate::rt::{self, Sleep, nanos};

/// How long a getter waits.
#[derive(Clone, Copy)]
pub(crate) enum Limit {
    /// `acquire_timeout`, watched by upkeep for all getters together.
    Setting,
    /// Its own, with a timer of its own.
    Own(Duration),
    /// Without end: whoever polls watches the time.
    None,
}

/// A get under way. Until there is something to wait for it is a few words; then it allocates, once.
pub(crate) struct Checkout<'a, C: Connect> {
    core: &'a Arc<PoolCore<C>>,
    place: &'static Location<'static>,
    limit: Limit,
    slow: Begun<'a, C>,
}

/// The slow way, once begun. Most gets never do, and for them its drop is to be a look, not a call.
struct Begun<'a, C: Connect>(ManuallyDrop<Option<Pin<Box<Slow<'a, C>>>>>);

impl<C: Connect> Drop for Begun<'_, C> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end();
        }
    }
}

impl<C: Connect> Begun<'_, C> {
    #[cold]
    #[inline(never)]
    fn end(&mut self) {
        self.0.take();
    }
}

pin_project! {
    /// What a getter needs that could not be served at once.
    struct Slow<'a, C: Connect> {
        core: &'a Arc<PoolCore<C>>,
        limit: Limit,
        began: u64,
        #[pin]
        ticket: Ticket<'a, Shared<C>>,
        stage: Stage<C>,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

enum Stage<C: Connect> {
    Start,
    Queued,
    Preparing(Preparing<C>),
    Done,
}

/// What a getter finds at once.
pub(crate) enum FirstLook<C: Connect> {
    Leased(PoolHeld<C>),
    /// An idle connection to be checked first.
    Stale(PoolHeld<C>),
    Nothing,
}

impl<'a, C: Connect> Checkout<'a, C> {
    #[inline(always)]
    pub(crate) fn new(core: &'a Arc<PoolCore<C>>, place: &'static Location<'static>) -> Self {
        Self {
            core,
            place,
            limit: Limit::Setting,
            slow: Begun(ManuallyDrop::new(None)),
        }
    }

    pub(crate) fn limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    #[inline(always)]
    pub(crate) fn core(&self) -> &'a Arc<PoolCore<C>> {
        self.core
    }

    /// What there is at once: a lease, most often.
    #[inline(always)]
    pub(crate) fn first_look(&self) -> FirstLook<C> {
        if self.slow.0.is_some() {
            return FirstLook::Nothing;
        }
        match self.core.claim() {
            Some(held) if is_fresh(self.core, &held) => {
                FirstLook::Leased(leased(self.core, held, self.place))
            }
            Some(held) => FirstLook::Stale(held),
            None => FirstLook::Nothing,
        }
    }

    /// The rest of the way, after a [first look](Self::first_look) that found no more than `stale`.
    #[cold]
    #[inline(never)]
    pub(crate) fn poll_slowly(
        &mut self,
        stale: Option<PoolHeld<C>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<PoolHeld<C>, GetError>> {
        let Self {
            core,
            place,
            limit,
            slow,
        } = self;
        let slow = match &mut *slow.0 {
            Some(slow) => slow,
            none => {
                let now = core.owner.clock.now();
                if upkeep::ensure_at(core, now) == Upkeep::Impossible {
                    // Without time-outs nothing can be checked, opened or waited for.
                    if let Some(stale) = stale {
                        settle(stale, Idling::Continues);
                    }
                    return Poll::Ready(Err(core.owner.no_runtime()));
                }
                none.insert(Box::pin(Slow::begin(core, *limit, stale, now)))
            }
        };
        let held = match ready!(slow.as_mut().poll(cx)) {
            Ok(held) => held,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let held = leased(core, held, place);
        if dial::is_proof(core.owner.suspect_since.load(Relaxed), held.notes()) {
            dial::proved(core);
        }
        Poll::Ready(Ok(held))
    }
}

impl<'a, C: Connect> Slow<'a, C> {
    fn begin(
        core: &'a Arc<PoolCore<C>>,
        limit: Limit,
        stale: Option<PoolHeld<C>>,
        began: u64,
    ) -> Self {
        let ticket = Ticket::new(core);
        let stage = match stale {
            Some(held) => {
                ticket.arrive();
                Stage::Preparing(Preparing::start(held))
            }
            None => Stage::Start,
        };
        Self {
            core,
            limit,
            began,
            ticket,
            stage,
            timer: None,
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<PoolHeld<C>, GetError>> {
        let outcome = loop {
            let this = self.as_mut().project();
            let step = match this.stage {
                Stage::Start => self.as_mut().join(cx),
                Stage::Queued => match this.ticket.as_ref().poll(cx) {
                    // Woken for nothing else, it may have to see to upkeep.
                    Poll::Pending if upkeep::ensure(self.core) == Upkeep::Impossible => {
                        let error = self.core.owner.no_runtime();
                        Poll::Ready(self.as_mut().give_up(|_| error))
                    }
                    Poll::Pending => self.as_mut().keep_waiting(cx),
                    Poll::Ready(Ok(held)) => Poll::Ready(Ok(self.as_mut().accept(held))),
                    Poll::Ready(Err(why)) => Poll::Ready(Err(self.refused(why))),
                },
                Stage::Preparing(preparing) => match preparing.poll(cx) {
                    Poll::Pending => self.as_mut().out_of_time(cx).map(|why| Err(why(&self))),
                    Poll::Ready(Ok(held)) => Poll::Ready(Ok(Some(held))),
                    // It was this getter's turn, and it still is.
                    Poll::Ready(Err(Unfit::Closed)) => self.as_mut().join(cx),
                    Poll::Ready(Err(Unfit::Fatal(error))) => Poll::Ready(Err(error)),
                },
                Stage::Done => panic!("a get was polled after it was done"),
            };
            if let Some(outcome) = ready!(step).transpose() {
                break outcome;
            }
        };
        *self.project().stage = Stage::Done;
        Poll::Ready(outcome)
    }

    /// A connection to lease, or one to prepare first; pending when it queued.
    fn join(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<PoolHeld<C>>, GetError>> {
        let this = self.as_mut().project();
        let shared = &this.core.owner;
        // Else it has been busy with a connection that proved dead, perhaps for long.
        let was_new = matches!(this.stage, Stage::Start);
        let deadline = match (&this.limit, shared.settings.acquire_timeout) {
            (Limit::Setting, Some(limit)) => this.began.saturating_add(nanos(limit)),
            _ => u64::MAX,
        };
        match this
            .ticket
            .as_ref()
            .join(cx.waker(), deadline, shared.max_waiters())
        {
            Joined::Granted(held) => Poll::Ready(Ok(self.accept(held))),
            Joined::Queued {
                may_grow,
                arm,
                is_alone,
            } => {
                *this.stage = Stage::Queued;
                // After queueing: an upkeep that ends from now on rouses this waiter.
                let upkeep = match was_new {
                    true => upkeep::ensure_at(this.core, *this.began),
                    false => upkeep::ensure(this.core),
                };
                if upkeep == Upkeep::Impossible || (may_grow && shared.runtime.handle().is_none()) {
                    let error = shared.no_runtime();
                    return Poll::Ready(self.give_up(|_| error));
                }
                if arm {
                    shared.poke.notify_one();
                }
                // Where the runtime that upkeep is on may not be driven while this one is, one getter at
                // least had better watch the time: woken by it, it sees to upkeep for all.
                if is_alone
                    && let (Limit::Setting, Some(limit)) =
                        (&this.limit, shared.settings.acquire_timeout)
                    && upkeep::is_elsewhere(this.core)
                {
                    *this.limit = Limit::Own(limit);
                }
                if may_grow {
                    dial::drive(this.core);
                }
                // Whoever has served it by now has woken it.
                self.keep_waiting(cx)
            }
            Joined::Full => {
                count(&shared.tally.rejected);
                let max_waiters = shared.max_waiters();
                Poll::Ready(Err(GetError::QueueFull {
                    pool: shared.name.clone(),
                    max_waiters,
                }))
            }
            Joined::Closed => Poll::Ready(Err(shared.closed_error())),
        }
    }

    /// In the queue: on with it, unless the time is up.
    fn keep_waiting(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<PoolHeld<C>>, GetError>> {
        let out_of_time = self.as_mut().out_of_time(cx);
        out_of_time.map(|why| self.give_up(why))
    }

    /// `held` if it can be leased as it is; else it is checked first.
    fn accept(self: Pin<&mut Self>, held: PoolHeld<C>) -> Option<PoolHeld<C>> {
        if is_fresh(self.core, &held) {
            return Some(held);
        }
        *self.project().stage = Stage::Preparing(Preparing::start(held));
        None
    }

    /// Pending until the time is up; then the error that says so. Sets the timer when first asked, if this
    /// getter needs one of its own.
    fn out_of_time(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<fn(&Self) -> GetError> {
        let this = self.project();
        let shared = &this.core.owner;
        let limit = match (*this.limit, &this.stage) {
            (Limit::Own(limit), _) => limit,
            // In the queue upkeep watches.
            (Limit::Setting, Stage::Preparing(_)) => match shared.settings.acquire_timeout {
                Some(limit) => limit,
                None => return Poll::Pending,
            },
            _ => return Poll::Pending,
        };
        let at = shared
            .clock
            .instant(this.began.saturating_add(nanos(limit)));
        let set = || Box::pin(shared.runtime.within(|| rt::sleep_until(at)));
        let timer = this.timer.get_or_insert_with(set);
        let is_up = timer.as_mut().poll(cx);
        is_up.map(|()| Self::timed_out as fn(&Self) -> GetError)
    }

    /// Leaves the queue; a connection granted in that instant is taken all the same.
    fn give_up(
        mut self: Pin<&mut Self>,
        why: impl FnOnce(&Self) -> GetError,
    ) -> Result<Option<PoolHeld<C>>, GetError> {
        match self.as_mut().project().ticket.as_ref().leave() {
            Some(Ok(held)) => Ok(self.accept(held)),
            Some(Err(refusal)) => Err(self.refused(refusal)),
            None => Err(why(&self)),
        }
    }

    fn waited(&self) -> Duration {
        Duration::from_nanos(self.core.owner.clock.now().saturating_sub(self.began))
    }

    fn timed_out(&self) -> GetError {
        self.core.timed_out(self.waited())
    }

    fn refused(&self, why: Refusal) -> GetError {
        let shared = &self.core.owner;
        match why {
            Refusal::Connect { failures, error } => GetError::Connect {
                pool: shared.name.clone(),
                failures,
                error,
            },
            Refusal::Closed => shared.closed_error(),
            Refusal::TimedOut => self.timed_out(),
        }
    }
}

/// Whether the connection can be leased without an asynchronous step.
#[inline(always)]
pub(crate) fn is_fresh<C: Connect>(core: &PoolCore<C>, held: &PoolHeld<C>) -> bool {
    let shared = &core.owner;
    let idle = shared
        .clock
        .coarse()
        .saturating_sub(held.notes().idle_since.load(Relaxed));
    idle < shared.fresh_below
        && matches!(
            rt::calling(|| shared.connector.is_open(&held.entry().conn)),
            Ok(true)
        )
}

/// Begins the lease.
#[inline(always)]
pub(crate) fn leased<C: Connect>(
    core: &PoolCore<C>,
    held: PoolHeld<C>,
    place: &'static Location<'static>,
) -> PoolHeld<C> {
    held.notes().leased(core.owner.clock.coarse(), place);
    held
}
