//! A shared pool as a service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cenote::endpoints::Outcome;
use cenote::shared::SharedGetOwned;
use cenote::time::Instant;
use cenote::{Multiplex, SharedLease, SharedPool};
use tower::load::Load;
use tower::{BoxError, Service, ServiceExt};

/// A [`SharedPool`] as a tower service, where its connections are services: [`Client`](crate::Client)s, for
/// instance. Clones share the pool.
///
/// `poll_ready` takes a lease, as [`SharedPool::get`] does, and keeps it for the next `call`; the lease lasts
/// until the reply has come or its future is dropped. A clone begins without a lease, and a handle that is
/// dropped gives its own back.
///
/// Calls that are under way at once run on whatever connections the pool chooses, and arrive in any order, those of one
/// handle too; where order matters, wait for a reply before the next call, or use a [`Client`](crate::Client).
///
/// Over a [set of endpoints](SharedPool::balanced) each call tells its pool how it ended and how long it took
/// ([`SharedLease::timed_outcome`]), so that an endpoint whose calls fail gets none for a while: a reply is
/// [`Outcome::Ok`], whatever it says, an error what [`judge_errors`](Self::judge_errors) makes of it, and a call that is
/// dropped tells nothing. Where a reply may mean failure, as an HTTP status does, take leases of the pool and tell it
/// yourself.
///
/// Its [`Load`] is the number of leases and of those who wait for one.
pub struct SharedClient<C: Multiplex> {
    pool: SharedPool<C>,
    place: Place<C>,
    judge: Judge,
}

/// What an error says of the endpoint that it came from.
type Judge = Arc<dyn Fn(&BoxError) -> Outcome + Send + Sync>;

enum Place<C: Multiplex> {
    None,
    Awaited(SharedGetOwned<C>),
    Taken(SharedLease<C>),
}

impl<C: Multiplex> SharedClient<C> {
    /// A service that calls through the pool's connections.
    pub fn new(pool: SharedPool<C>) -> Self {
        Self {
            pool,
            place: Place::None,
            judge: Arc::new(|_| Outcome::Failed),
        }
    }

    /// What an error of a connection's service says of its endpoint, where the pool is over a set of them. Default:
    /// [`Outcome::Failed`], whatever the error is. Where services have errors for what is an answer, as of a command that
    /// makes no sense, those are [`Outcome::Ok`]: else callers who are at fault keep an endpoint from its share.
    ///
    /// ```
    /// # use cenote::{Multiplex, SharedPool};
    /// use cenote::endpoints::Outcome;
    /// use cenote_tower::SharedClient;
    ///
    /// # fn client<C: Multiplex>(pool: SharedPool<C>) -> SharedClient<C> {
    /// SharedClient::new(pool).judge_errors(|error| match error.is::<std::io::Error>() {
    ///     true => Outcome::Failed,
    ///     false => Outcome::Ok,
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn judge_errors(
        mut self,
        judge: impl Fn(&BoxError) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.judge = Arc::new(judge);
        self
    }

    /// The pool.
    pub fn pool(&self) -> &SharedPool<C> {
        &self.pool
    }
}

impl<C: Multiplex> Clone for SharedClient<C> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            place: Place::None,
            judge: Arc::clone(&self.judge),
        }
    }
}

impl<C: Multiplex> fmt::Debug for SharedClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedClient").field(&self.pool).finish()
    }
}

impl<C, Req> Service<Req> for SharedClient<C>
where
    C: Multiplex<Connection: Service<Req, Error: Into<BoxError>, Future: Send> + Clone>,
    Req: Send + 'static,
    <C::Connection as Service<Req>>::Response: Send,
{
    type Response = <C::Connection as Service<Req>>::Response;
    /// The pool's [`GetError`](cenote::GetError), or the connection's error.
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        loop {
            match &mut self.place {
                Place::Taken(_) => return Poll::Ready(Ok(())),
                Place::None => {
                    self.place = match self.pool.try_get() {
                        Ok(lease) => Place::Taken(lease),
                        // Why not is for the get to say.
                        Err(_) => Place::Awaited(self.pool.get_owned()),
                    };
                }
                Place::Awaited(get) => {
                    let taken = ready!(Pin::new(get).poll(cx));
                    self.place = Place::None;
                    self.place = Place::Taken(taken?);
                }
            }
        }
    }

    /// # Panics
    /// If it was not ready: `poll_ready` comes first, as for any service.
    fn call(&mut self, request: Req) -> Self::Future {
        match std::mem::replace(&mut self.place, Place::None) {
            Place::Taken(lease) => {
                // A pool of one endpoint has nothing to conclude from it.
                let is_told = self.pool.connector().is_none();
                let told = is_told.then(|| (Instant::now(), Arc::clone(&self.judge)));
                Box::pin(async move {
                    let service = C::Connection::clone(&lease);
                    let reply = service.oneshot(request).await.map_err(Into::into);
                    if let Some((began, judge)) = told {
                        let took = began.elapsed();
                        let outcome = reply
                            .as_ref()
                            .map_or_else(|error| judge(error), |_| Outcome::Ok);
                        SharedLease::timed_outcome(&lease, outcome, took);
                    }
                    reply
                })
            }
            Place::None | Place::Awaited(_) => panic!("poll_ready comes before call"),
        }
    }
}

impl<C: Multiplex> Load for SharedClient<C> {
    type Metric = usize;

    fn load(&self) -> usize {
        self.pool.load()
    }
}
