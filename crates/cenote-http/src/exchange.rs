//! One request and its reply: a connection of its route, the request over it, another connection where the first was over
//! before it could carry the request, and the head of the reply. The body takes the lease along.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cenote::pool::OwnedLease;
use cenote::{Keyed, Pool};
use http::{Method, Request, Response, StatusCode, request};

use crate::body::Body;
use crate::connector::Connector;
use crate::error::{Error, Stage};
use crate::fields::{self, Wish};
use crate::route::{Route, RouteDefaults, RouteOptions};
use crate::wire::{Outgoing, Reply, Sending, SendingError, on_upgrade};

/// What the clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pools: Keyed<Route, Pool<Connector>>,
    pub(crate) defaults: RouteDefaults,
}

/// Carries one request out.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    request: Request<Outgoing>,
) -> Result<Response<Body>, Error> {
    let (mut head, body) = request.into_parts();
    let options = head.extensions.remove::<RouteOptions>().unwrap_or_default();
    let route = Route::new(&head.uri, options, &shared.defaults)?;
    let wish = fields::prepare(&mut head, &route)?;
    let mut spare = Spare::of(&head, &body);
    let mut request = Request::from_parts(head, body);
    loop {
        let lease = shared.pools.get(&route).await;
        let mut lease = lease.map_err(|source| Error::NoConnection {
            route: Box::new(route.clone()),
            source,
        })?;
        let is_reused = lease.is_reused();
        let copy = match is_reused {
            true => spare.copy(&request),
            false => None,
        };
        let sending = lease.send(request);
        let failed = match InFlight::new(lease, sending).await {
            Ok((lease, reply)) => return received(route, wish, lease, reply),
            Err(failed) => failed,
        };
        // Each turn costs a connection that was there before: at the latest a new one ends it.
        request = match (failed, copy) {
            (SendingError::Unsent(request, _), _) if is_reused => *request,
            (SendingError::Unanswered(_), Some(copy)) => {
                spare = Spare::Spent;
                copy
            }
            (
                SendingError::Unsent(_, error)
                | SendingError::Unanswered(error)
                | SendingError::Broken(error),
                _,
            ) => return Err(Error::exchange(&route, Stage::Head, error)),
        };
    }
}

/// Whether a request may be sent a second time where the first may have reached the server: once, and only one that does
/// nothing there and has no body that is gone.
enum Spare {
    Allowed,
    Spent,
}

impl Spare {
    fn of(head: &request::Parts, body: &Outgoing) -> Self {
        let is_safe = matches!(head.method, Method::GET | Method::HEAD);
        match (is_safe, body) {
            (true, Outgoing::Empty) => Self::Allowed,
            _ => Self::Spent,
        }
    }

    fn copy(&self, request: &Request<Outgoing>) -> Option<Request<Outgoing>> {
        match self {
            Self::Spent => None,
            Self::Allowed => {
                let mut copy = Request::new(Outgoing::Empty);
                *copy.method_mut() = request.method().clone();
                *copy.uri_mut() = request.uri().clone();
                *copy.version_mut() = request.version();
                copy.headers_mut().clone_from(request.headers());
                copy.extensions_mut().clone_from(request.extensions());
                Some(copy)
            }
        }
    }
}

/// What becomes of the lease is known with the head: it is over where the reply has no body, else it goes with the body.
fn received(
    route: Route,
    wish: Wish,
    mut lease: OwnedLease<Connector>,
    mut reply: Reply,
) -> Result<Response<Body>, Error> {
    lease.replied(&reply);
    let is_switched = reply.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_switched && wish != Wish::Upgrade {
        OwnedLease::discard(lease);
        return Err(Error::upgrade(
            &route,
            "the server changed the protocol unasked",
        ));
    }
    let switch = is_switched.then(|| on_upgrade(&mut reply));
    let (head, incoming) = reply.into_parts();
    let body = match switch {
        Some(switch) => Body::switching(switch, lease, route),
        None => Body::incoming(incoming, lease, route),
    };
    Ok(Response::from_parts(head, body))
}

/// A request on its way, with the connection that it is on. Dropped before the head of the reply is there, it leaves the
/// rest to the connection's reset.
struct InFlight(Option<(OwnedLease<Connector>, Sending)>);

impl InFlight {
    fn new(lease: OwnedLease<Connector>, sending: Sending) -> Self {
        Self(Some((lease, sending)))
    }
}

impl Future for InFlight {
    type Output = Result<(OwnedLease<Connector>, Reply), SendingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (_, sending) = self
            .0
            .as_mut()
            .expect("a future is not polled after its end");
        let sent = ready!(Pin::new(sending).poll(cx));
        let ended = self.0.take();
        let (lease, _) = ended.expect("it was there a line above");
        Poll::Ready(match sent {
            Ok(reply) => Ok((lease, reply)),
            Err(error) => {
                OwnedLease::discard(lease);
                Err(error)
            }
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some((mut lease, sending)) = self.0.take() {
            lease.leave_reply(sending);
        }
    }
}
