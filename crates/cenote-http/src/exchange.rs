//! One request and its reply: a connection of its route, the request over it, another connection where the first was over
//! before it could carry the request, and the head of the reply. The body takes the lease along.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use cenote::error::ConnectError;
use cenote::{GetError, Keyed, SharedPool};
use http::{Request, Response, StatusCode};
use tokio::task::yield_now;

use crate::attempts::{Attempts, Spare};
use crate::body::Body;
use crate::connection_handle::ConnectionHandle;
use crate::connector::Connector;
use crate::error::{Error, Stage};
use crate::fields::{self, Wish};
use crate::leased::{Hold, Leased};
use crate::route::{Route, RouteDefaults, RouteOptions};
use crate::version::HttpVersion;
use crate::wire::{self, Gone, Outgoing, Reply, Sending, SendingError, on_upgrade};

/// What the clones of a client share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pools: Keyed<Route, SharedPool<Connector>>,
    pub(crate) defaults: RouteDefaults,
    pub(crate) spare: Spare,
}

/// Carries one request out.
pub(crate) async fn exchange(
    shared: Arc<Shared>,
    request: Request<Outgoing>,
) -> Result<Response<Body>, Error> {
    let (mut head, body) = request.into_parts();
    let options = head.extensions.remove::<RouteOptions>().unwrap_or_default();
    let handle = head.extensions.remove::<ConnectionHandle>();
    let asked = HttpVersion::of(head.version, &head.headers);
    let route = Route::new(&head.uri, asked, options, &shared.defaults)?;
    let wish = fields::prepare(&mut head, &route)?;
    let mut attempts = Attempts::of(&head, &body, &shared.spare);
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
        request = match InFlight::new(lease, sending).await {
            Ok((lease, mut reply)) => match reply.again.take() {
                Some(again) if attempts.allow_reply(reply.head.status) => {
                    lease.retire();
                    again
                }
                _ => {
                    if let Some(handle) = handle {
                        handle.set(lease.retired_flag());
                    }
                    return received(wish, lease, reply);
                }
            },
            Err(failed) => match failed.request {
                Some(request) if attempts.allow(failed.failure, is_reused) => *request,
                _ => return Err(Error::exchange(&route, Stage::Head, failed.error)),
            },
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

/// What becomes of the lease is known with the head: it is over where the reply has no body, else it goes with the body.
fn received(wish: Wish, lease: Leased, reply: Reply) -> Result<Response<Body>, Error> {
    lease.replied(&reply);
    let Reply {
        head,
        body: incoming,
        upload,
        again: _,
    } = reply;
    let is_switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    if is_switched && wish != Wish::Upgrade {
        lease.broke_off();
        return Err(Error::upgrade(
            lease.route(),
            "the server changed the protocol unasked",
        ));
    }
    let mut response = Response::from_parts(head, ());
    let switch = is_switched.then(|| on_upgrade(&mut response));
    let body = match (switch, upload) {
        (Some(switch), _) => Body::switching(switch, lease),
        (None, None) => Body::incoming(incoming, Hold::Sole(lease)),
        (None, Some(upload)) => Body::incoming(incoming, Hold::with_upload(lease, upload)),
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
