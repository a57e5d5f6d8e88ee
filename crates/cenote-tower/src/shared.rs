//! A shared pool as a service.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cenote::shared::SharedGetOwned;
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
/// Over a [set of endpoints](SharedPool::balanced) each call goes to the endpoint that the pool chooses. The pool is not
/// told how calls end, for what is an error to the service may be an answer of the endpoint: so only connections that
/// break speak against their endpoint.
///
/// Its [`Load`] is the number of leases and of those who wait for one.
pub struct SharedClient<C: Multiplex> {
    pool: SharedPool<C>,
    place: Place<C>,
}

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
        }
    }

    /// The pool.
    pub fn pool(&self) -> &SharedPool<C> {
        &self.pool
    }
}

impl<C: Multiplex> Clone for SharedClient<C> {
    fn clone(&self) -> Self {
        Self::new(self.pool.clone())
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
            Place::Taken(lease) => Box::pin(async move {
                let service = C::Connection::clone(&lease);
                service.oneshot(request).await.map_err(Into::into)
            }),
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
