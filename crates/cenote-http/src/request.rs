//! A request as people write one, from its method to its reply.

use std::time::Duration;

use cenote::time::{Instant, timeout_at};
use http::{HeaderName, HeaderValue, Method, Request, Uri};

use crate::body::Body;
use crate::client::Client;
use crate::error::{Error, Stage};
use crate::response::Response;
use crate::route::RouteOptions;

/// A request that is being put together; from [`Client::get`] and its like.
#[derive(Debug)]
#[must_use = "a request is not sent until `send`"]
pub struct RequestBuilder {
    client: Client,
    /// The first mistake is kept until `send`.
    request: http::request::Builder,
    body: Body,
    timeout: Option<Duration>,
}

impl RequestBuilder {
    pub(crate) fn new<U>(client: Client, method: Method, uri: U) -> Self
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        Self {
            client,
            request: Request::builder().method(method).uri(uri),
            body: Body::empty(),
            timeout: None,
        }
    }

    /// Adds a header field. Those that are about the connection and not the request (`Connection`, `Keep-Alive`,
    /// `Proxy-Connection`, `Transfer-Encoding`, `Upgrade`, `TE` but for `trailers`, and what `Connection` names) are not
    /// sent, nor is `Proxy-Authorization`: see [`Proxy::credentials`](crate::Proxy::credentials).
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        self.request = self.request.header(name, value);
        self
    }

    /// What is special about its route. Default: nothing.
    pub fn route(mut self, options: RouteOptions) -> Self {
        self.request = self.request.extension(options);
        self
    }

    /// Its body: text or bytes, or the body of a reply, passed on as it arrives. For one that is made as it is sent:
    /// [`Client::execute`]. Default: none.
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Ends it when this much time has passed since `send` and its reply's body has not been read to its end. Default:
    /// never; waiting for a connection ends by
    /// [`acquire_timeout`](crate::ClientBuilder::acquire_timeout) in any case.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Sends it, and waits for the head of the reply. A reply that says that something is wrong, such as 404, is a reply.
    ///
    /// Dropping the future gives the request up; the server may have acted on it. A GET or HEAD request without a body
    /// whose connection was reused, and ended before a byte of the reply, is sent once more; of others only those of which
    /// nothing was sent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(self) -> Result<Response, Error> {
        let Self {
            client,
            request,
            body,
            timeout,
        } = self;
        let request = request.body(body.outgoing());
        let request = request.map_err(|source| Error::Request { source })?;
        let deadline = timeout.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        let Some((at, limit)) = deadline else {
            return Ok(client.carry_out(request).await?.into());
        };
        let route = client.route_of(&request)?;
        match timeout_at(at, client.carry_out(request)).await {
            Ok(reply) => {
                let mut reply = reply?;
                reply.body_mut().end_by(at, limit);
                Ok(reply.into())
            }
            Err(_) => Err(Error::TimedOut {
                route: Box::new(route),
                stage: Stage::Head,
                limit,
            }),
        }
    }
}
