//! One request and its reply: a connection of its route, the request over it, another connection where the first was over
//! before it could carry the request, and the head of the reply. The body takes the lease along.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cenote::error::ConnectError;
use cenote::{GetError, Keyed, SharedPool};
use http::{Method, Request, Response, StatusCode, request};
use tokio::task::yield_now;

use crate::body::Body;
use crate::builder::MAX_CONNECTING;
use crate::connector::Connector;
use crate::error::{Error, Stage};
use crate::fields::{self, Wish};
use crate::leased::{Hold, Leased};
use crate::route::{Route, RouteDefaults, RouteOptions};
use crate::version::HttpVersion;
use crate::wire::{
    self, Failure, Gone, Outgoing, Repeat, Reply, Sending, SendingError, on_upgrade,
};

/// What the clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pools: Keyed<Route, SharedPool<Connector>>,
    pub(crate) defaults: RouteDefaults,
}

/// Carries one request out.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    request: Request<Outgoing>,
) -> Result<Response<Body>, Error> {
    let (mut head, body) = request.into_parts();
    let options = head.extensions.remove::<RouteOptions>().unwrap_or_default();
    let asked = HttpVersion::of(head.version, &head.headers);
    let route = Route::new(&head.uri, asked, options, &shared.defaults)?;
    let wish = fields::prepare(&mut head, &route)?;
    let mut attempts = Attempts::of(&head, &body);
    let mut request = Request::from_parts(head, body);
    loop {
        let lease = match shared.pools.get(&route).await {
            Ok(lease) => Leased::new(lease),
            // Asked again at the pool's pace.
            Err(source) if gone(&source).is_some_and(|gone| attempts.allow_dial(gone)) => continue,
            Err(source) => {
                return Err(Error::NoConnection {
                    route: Box::new(route),
                    source,
                });
            }
        };
        let is_reused = lease.is_reused();
        let sending = lease.send(request, attempts.repeat(is_reused));
        let failed = match InFlight::new(lease, sending).await {
            Ok((lease, reply)) => return received(route, wish, lease, reply),
            Err(failed) => failed,
        };
        request = match failed.request {
            Some(request) if attempts.allow(failed.failure, is_reused) => *request,
            _ => return Err(Error::exchange(&route, Stage::Head, failed.error)),
        };
        // The connection may look open until its task has run: this is not to find it again and again meanwhile.
        yield_now().await;
    }
}

/// How the server ended the new connection, if that is why there is none: where it restarts, the next leads to another.
fn gone(error: &GetError) -> Option<Gone> {
    let GetError::Connect {
        error: ConnectError::Failed(error),
        ..
    } = error
    else {
        return None;
    };
    match error.downcast_ref() {
        Some(Error::Exchange { cause, .. }) => wire::gone(&**cause),
        _ => None,
    }
}

/// How often a request may be sent once more.
struct Attempts {
    /// Where it may have reached the server: once, and only one that does nothing there and has no body.
    repeat: Repeat,
    /// Where a server says that it has done nothing with it, or a connection that carried nothing yet did not take it.
    refusals: usize,
    /// Where a new connection ended without a word: once.
    dial: Repeat,
}

/// So many connections may be on their way when the server restarts, and each of them refuses what it is given. A server that
/// refuses for ever is not asked for ever.
const MAX_REFUSALS: usize = MAX_CONNECTING;

impl Attempts {
    fn of(head: &request::Parts, body: &Outgoing) -> Self {
        let is_safe = matches!(head.method, Method::GET | Method::HEAD);
        Self {
            repeat: match (is_safe, body) {
                (true, Outgoing::Empty) => Repeat::Allowed,
                _ => Repeat::Never,
            },
            refusals: MAX_REFUSALS,
            dial: Repeat::Allowed,
        }
    }

    /// Whether there is to be another connection after one that ended before anything was sent.
    fn allow_dial(&mut self, gone: Gone) -> bool {
        match gone {
            Gone::Told => self.allow(Failure::LeftBehind, false),
            Gone::Silent => std::mem::replace(&mut self.dial, Repeat::Never) == Repeat::Allowed,
        }
    }

    /// Whether the next may be repeated though it may have reached the server: one whose connection was new is not the
    /// victim of a server that was about to close it.
    fn repeat(&self, is_reused: bool) -> Repeat {
        match is_reused {
            true => self.repeat,
            false => Repeat::Never,
        }
    }

    /// Whether one that failed like this is sent again. Each time costs a connection that was there before, or is counted:
    /// so it ends.
    fn allow(&mut self, failure: Failure, is_reused: bool) -> bool {
        match failure {
            Failure::Unsent | Failure::LeftBehind if is_reused => true,
            Failure::Unsent | Failure::LeftBehind | Failure::Refused => {
                let is_allowed = self.refusals > 0;
                self.refusals = self.refusals.saturating_sub(1);
                is_allowed
            }
            Failure::Unanswered => {
                let repeat = std::mem::replace(&mut self.repeat, Repeat::Never);
                is_reused && repeat == Repeat::Allowed
            }
            Failure::Broken => false,
        }
    }
}

/// What becomes of the lease is known with the head: it is over where the reply has no body, else it goes with the body.
fn received(
    route: Route,
    wish: Wish,
    lease: Leased,
    reply: Reply,
) -> Result<Response<Body>, Error> {
    lease.replied(&reply);
    let Reply {
        head,
        body: incoming,
        upload,
    } = reply;
    let is_switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if is_switched && wish != Wish::Upgrade {
        lease.broke_off();
        return Err(Error::upgrade(
            &route,
            "the server changed the protocol unasked",
        ));
    }
    let mut response = Response::from_parts(head, ());
    let switch = is_switched.then(|| on_upgrade(&mut response));
    let body = match (switch, upload) {
        (Some(switch), _) => Body::switching(switch, lease, route),
        (None, None) => Body::incoming(incoming, Hold::Sole(lease), route),
        (None, Some(upload)) => Body::incoming(incoming, Hold::with_upload(lease, upload), route),
    };
    Ok(response.map(|()| body))
}

/// A request on its way, with the connection that it is on. Dropped before the head of the reply is there, it leaves the
/// rest to the connection.
struct InFlight(Option<(Leased, Sending)>);

impl InFlight {
    fn new(lease: Leased, sending: Sending) -> Self {
        Self(Some((lease, sending)))
    }
}

impl Future for InFlight {
    type Output = Result<(Leased, Reply), SendingError>;

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
                lease.broke_off();
                Err(error)
            }
        })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some((lease, sending)) = self.0.take() {
            lease.leave_reply(sending);
        }
    }
}
