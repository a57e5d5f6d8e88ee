//! The futures that `get` and `get_owned` return. Their first poll takes an idle connection and is done: no timer and no
//! allocation until there is something to wait for, which is for [`Waiting`].

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::mem::{self, ManuallyDrop};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::lease::{Lease, OwnedLease};
use super::timed_out::timed_out;
use super::waiting::{Limit, Waiting};
use crate::connect::Connect;
use crate::endpoints::EndpointId;
use crate::error::GetError;
use crate::kernel::{Arc, IdleSince};
use crate::lifecycle::aim::Aim;
use crate::lifecycle::recycle::release;
use crate::lifecycle::state::{ConnectionToken, LifecycleCore};
use crate::lifecycle::upkeep::{self, Upkeep};

/// A [`Pool::get`](crate::Pool::get) under way.
///
/// Dropping it leaves the queue and loses nothing: a connection granted in that instant goes to the
/// next in line, a dial goes on, and a check ends before its connection is handed on.
#[must_use = "a get does nothing until it is awaited"]
pub struct Get<'a, C: Connect> {
    acquire: Acquire<'a, C>,
}

/// A [`Pool::get_owned`](crate::Pool::get_owned) under way; dropping it is as dropping [`Get`].
#[must_use = "a get does nothing until it is awaited"]
pub struct GetOwned<'a, C: Connect> {
    acquire: Acquire<'a, C>,
}

impl<'a, C: Connect> Get<'a, C> {
    #[inline]
    pub(super) fn new(acquire: Acquire<'a, C>) -> Self {
        Self { acquire }
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.acquire.limit(Limit::Own(limit));
        self
    }

    /// Over a [set](crate::Pool::balanced): a connection of the endpoint that `key` belongs to, so that what a server keeps
    /// for a user, a shard or a session is used again (consistent hashing). As `get` where there is one endpoint.
    ///
    /// Each key has an order of its own of all endpoints. It goes to the first that can be reached, is not ejected, has a
    /// priority that serves now, and carries no more than a quarter above its share by weight, leases out and callers that
    /// wait for it together, or less than four (Mirrokni et al., *Consistent Hashing with Bounded Loads*): so a key in great
    /// demand is spread over as many endpoints as it needs, and comes back to the first as soon as that has room. An endpoint
    /// that joins or leaves moves its own keys and no others. The order depends on the keys, of endpoints and of callers,
    /// and on the weights: it is the same in all processes of one version of this crate.
    ///
    /// The caller waits for that endpoint, in order of arrival, though others have idle connections; for another one if
    /// that ceases to serve, or a dial there fails or takes longer than 250 ms while it has no connection. Only while no
    /// endpoint can be reached it waits for whichever is the first.
    ///
    /// The first call makes a table of the endpoints, and the pool's own task another whenever the set changes: 576 bytes
    /// for each endpoint, up to twice that for the heaviest.
    ///
    /// ```
    /// # use cenote::{Connect, GetError, Pool};
    /// # async fn f<C: Connect>(pool: Pool<C>, tenant: &str) -> Result<(), GetError> {
    /// let conn = pool.get().by_key(tenant).await?;
    /// # drop(conn); Ok(()) }
    /// ```
    ///
    /// # Panics
    /// Where the key's `Hash` does.
    pub fn by_key(mut self, key: &(impl Hash + ?Sized)) -> Self {
        self.acquire.aim(Aim::key(key));
        self
    }

    /// Over a [set](crate::Pool::balanced): a connection of this endpoint, and of no other. In order of arrival among all
    /// who wait for it; others may have idle connections meanwhile. It serves whatever it weighs or carries, unless its
    /// weight is 0, and whatever its priority, needed or not.
    ///
    /// ```
    /// # use cenote::{Connect, GetError, Lease, Pool};
    /// # async fn f<C: Connect>(pool: Pool<C>) -> Result<(), GetError> {
    /// let conn = pool.get().await?;
    /// let server = Lease::endpoint_id(&conn).expect("a pool over a set");
    /// drop(conn);
    /// let same_server = pool.get().at(server).await?;
    /// # drop(same_server); Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Beside those of [`get`](crate::Pool::get), [`NotServing`](GetError::NotServing), at once or while it waits: the
    /// endpoint has left the set, has weight 0 while others weigh more, is ejected, or has no connection and the last
    /// attempt to connect to it failed; or it is of another pool, or the pool of one endpoint.
    pub fn at(mut self, endpoint: EndpointId) -> Self {
        self.acquire.aim(Aim::Endpoint(endpoint));
        self
    }

    /// Over a [set](crate::Pool::balanced): of this endpoint, if it has an idle connection; else of any, as `get` without
    /// this. What the pool's own rule of choosing does with its choice, for [rules of one's
    /// own](crate::endpoints::Candidates): nobody waits beside an idle connection, and an endpoint that is preferred and lacks
    /// a connection is dialled for those who come next. It costs nobody an error if the endpoint has left.
    pub fn prefer(mut self, endpoint: EndpointId) -> Self {
        self.acquire.aim(Aim::Rather(endpoint));
        self
    }

    /// Waits without end: the caller watches the time, and says when it is [over](Self::time_out).
    pub(crate) fn untimed(mut self) -> Self {
        self.acquire.limit(Limit::None);
        self
    }

    /// Ends it, for its time is up: most often with the error that says so.
    pub(crate) fn time_out(&mut self) -> Result<Lease<'a, C>, GetError> {
        let core = self.acquire.core();
        self.acquire.time_out().map(|token| Lease::new(token, core))
    }
}

impl<'a, C: Connect> GetOwned<'a, C> {
    #[inline]
    pub(super) fn new(acquire: Acquire<'a, C>) -> Self {
        Self { acquire }
    }

    /// A connection of the endpoint that `key` belongs to: as [`Get::by_key`].
    pub fn by_key(mut self, key: &(impl Hash + ?Sized)) -> Self {
        self.acquire.aim(Aim::key(key));
        self
    }

    /// A connection of this endpoint, and of no other: as [`Get::at`].
    pub fn at(mut self, endpoint: EndpointId) -> Self {
        self.acquire.aim(Aim::Endpoint(endpoint));
        self
    }

    /// A connection of this endpoint if it has an idle one, else of any: as [`Get::prefer`].
    pub fn prefer(mut self, endpoint: EndpointId) -> Self {
        self.acquire.aim(Aim::Rather(endpoint));
        self
    }

    /// Waits this long at most, instead of `acquire_timeout`. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.acquire.limit(Limit::Own(limit));
        self
    }
}

// The two polls are spelt out, return early and are inlined: a lease that passes through memory on its way
// costs the fast way a third.

impl<'a, C: Connect> Future for Get<'a, C> {
    type Output = Result<Lease<'a, C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let acquire = &mut self.get_mut().acquire;
        let core = acquire.core();
        let stale = match acquire.fast_path() {
            FastPath::Leased(token) => return Poll::Ready(Ok(Lease::new(token, core))),
            FastPath::Stale(token) => Some(token),
            FastPath::Nothing => None,
        };
        acquire
            .poll_slowly(stale, cx)
            .map(|token| token.map(|token| Lease::new(token, core)))
    }
}

impl<C: Connect> Future for GetOwned<'_, C> {
    type Output = Result<OwnedLease<C>, GetError>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let acquire = &mut self.get_mut().acquire;
        let stale = match acquire.fast_path() {
            FastPath::Leased(token) => return Poll::Ready(Ok(OwnedLease::new(token))),
            FastPath::Stale(token) => Some(token),
            FastPath::Nothing => None,
        };
        acquire
            .poll_slowly(stale, cx)
            .map(|token| token.map(OwnedLease::new))
    }
}

/// A get under way. Until there is something to wait for it is a few words; then it allocates, once.
pub(super) struct Acquire<'a, C: Connect> {
    core: &'a Arc<LifecycleCore<C>>,
    call_site: &'static Location<'static>,
    limit: Limit,
    progress: Progress<'a, C>,
}

/// How far it has come. Most gets are over before anything is to be noted, and for them its drop is to be a look, not a
/// call; nor are they to pay for a look whether they have an aim.
struct Progress<'a, C: Connect>(ManuallyDrop<Step<'a, C>>);

enum Step<'a, C: Connect> {
    /// Nothing was looked at.
    New,
    /// The same, for a connection of one endpoint.
    Aimed(Aim),
    /// The slow way.
    Waiting(Pin<Box<Waiting<'a, C>>>),
}

impl<C: Connect> Drop for Progress<'_, C> {
    #[inline(always)]
    fn drop(&mut self) {
        if !matches!(*self.0, Step::New) {
            self.end();
        }
    }
}

impl<C: Connect> Progress<'_, C> {
    #[cold]
    #[inline(never)]
    fn end(&mut self) {
        let Step::Waiting(waiting) = mem::replace(&mut *self.0, Step::New) else {
            return;
        };
        let core = waiting.core;
        let left = waiting.left();
        drop(waiting);
        // Once it has left: observers are user code.
        if let Some(left) = left {
            core.owner.get_ended(&left);
        }
    }
}

/// What a caller finds at once.
enum FastPath<C: Connect> {
    Leased(ConnectionToken<C>),
    /// An idle connection to be checked first.
    Stale(ConnectionToken<C>),
    Nothing,
}

impl<'a, C: Connect> Acquire<'a, C> {
    #[inline(always)]
    pub(super) fn new(
        core: &'a Arc<LifecycleCore<C>>,
        call_site: &'static Location<'static>,
    ) -> Self {
        Self {
            core,
            call_site,
            limit: Limit::Setting,
            progress: Progress(ManuallyDrop::new(Step::New)),
        }
    }

    fn limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    fn aim(&mut self, aim: Aim) {
        self.progress = Progress(ManuallyDrop::new(Step::Aimed(aim)));
    }

    #[inline(always)]
    fn core(&self) -> &'a Arc<LifecycleCore<C>> {
        self.core
    }

    /// What there is at once: a lease, most often.
    #[inline(always)]
    fn fast_path(&self) -> FastPath<C> {
        let core = self.core;
        let claimed = match &*self.progress.0 {
            Step::New => core.claim(),
            Step::Aimed(aim) => core.claim_for(*aim),
            Step::Waiting(_) => return FastPath::Nothing,
        };
        match claimed {
            Some(token) => match core.owner.fresh_at(&token) {
                Some(now) => {
                    token.meta().leased(now, self.call_site);
                    FastPath::Leased(token)
                }
                None => FastPath::Stale(token),
            },
            None => FastPath::Nothing,
        }
    }

    /// The rest of the way, after a [first look](Self::fast_path) that found no more than `stale`.
    #[cold]
    #[inline(never)]
    fn poll_slowly(
        &mut self,
        stale: Option<ConnectionToken<C>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ConnectionToken<C>, GetError>> {
        let Self {
            core,
            call_site,
            limit,
            progress,
        } = self;
        let aim = match &mut *progress.0 {
            Step::Waiting(waiting) => return waiting.as_mut().poll(cx),
            Step::Aimed(aim) => *aim,
            Step::New => Aim::Any,
        };
        let now = core.owner.clock.now();
        if upkeep::ensure_at(core, now) == Upkeep::Impossible {
            // Without time-outs nothing can be checked, opened or waited for.
            if let Some(stale) = stale {
                release(stale, IdleSince::Before);
            }
            return Poll::Ready(Err(core.owner.no_runtime()));
        }
        // The pool may have rested, and its clock stood: now the clock tells.
        let fresh = stale.as_ref().and_then(|token| core.owner.fresh_at(token));
        if let Some(now) = fresh {
            let token = stale.expect("looked at just now");
            token.meta().leased(now, call_site);
            return Poll::Ready(Ok(token));
        }
        let waiting = Waiting::begin(core, call_site, *limit, aim, stale, now);
        *progress.0 = Step::Waiting(Box::pin(waiting));
        self.poll_slowly(None, cx)
    }

    /// Ends it, for a caller that watches the time itself. A connection granted in that instant is leased all the same.
    fn time_out(&mut self) -> Result<ConnectionToken<C>, GetError> {
        match &mut *self.progress.0 {
            Step::Waiting(waiting) => waiting.as_mut().time_out(),
            Step::New | Step::Aimed(_) => Err(timed_out(self.core, Duration::ZERO, None)),
        }
    }
}

impl<C: Connect> fmt::Debug for Get<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get")
            .field("pool", &self.acquire.core().owner.settings.name)
            .finish_non_exhaustive()
    }
}

impl<C: Connect> fmt::Debug for GetOwned<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOwned")
            .field("pool", &self.acquire.core().owner.settings.name)
            .finish_non_exhaustive()
    }
}
