//! The client: a handle on the pools of all routes, as a tower service and for people.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cenote::error::BoxError;
use cenote::keyed::{KeyedClose, KeyedStatus};
use http::{Method, Request, Response, Uri};
use tower_service::Service;

use crate::body::Body;
use crate::builder::ClientBuilder;
use crate::error::Error;
use crate::exchange::{Shared, exchange};
use crate::request::RequestBuilder;
use crate::route::{Route, RouteOptions};
use crate::version::HttpVersion;
use crate::wire::Outgoing;

/// An HTTP client: a pool of connections per [`Route`](crate::Route), all of them under common bounds.
///
/// A cheap handle: clones share the pools, and dropping the last one closes them. Replies that are being read go on.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let http = cenote_http::Client::builder()
///     .max_per_route(20)
///     .max_total(500)
///     .build()?;
/// let page = http.get("https://example.org/").send().await?.text().await?;
/// # let _ = page;
/// # Ok(())
/// # }
/// ```
///
/// # As a service
///
/// It is a `tower_service::Service` of `http::Request<B>` for any body, always ready: requests wait for a connection in
/// their future, where the route is known. Requests carry [`RouteOptions`](crate::RouteOptions) in their extensions. Their
/// URIs are absolute.
///
/// # Cancelling
///
/// A request may be dropped at any moment. What it was waiting for goes to the next; what it had sent is, over HTTP/1.1, seen
/// to its end in the background, for 1 s and 64 KiB at most, so that giving up does not cost the connection: so the server
/// answers it, and what of its own body was not sent yet is asked for meanwhile. Over HTTP/2 the server is told that it is
/// given up. See [`Body`] for a reply that is dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

impl Client {
    /// Sets up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::new()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Begins a request. What is wrong with the URI, [`send`](RequestBuilder::send) tells.
    pub fn request<U>(&self, method: Method, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        RequestBuilder::new(self.clone(), method, uri)
    }

    /// Begins a GET request.
    pub fn get<U>(&self, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        self.request(Method::GET, uri)
    }

    /// Begins a HEAD request.
    pub fn head<U>(&self, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        self.request(Method::HEAD, uri)
    }

    /// Begins a POST request.
    pub fn post<U>(&self, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        self.request(Method::POST, uri)
    }

    /// Begins a PUT request.
    pub fn put<U>(&self, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        self.request(Method::PUT, uri)
    }

    /// Begins a DELETE request.
    pub fn delete<U>(&self, uri: U) -> RequestBuilder
    where
        U: TryInto<Uri, Error: Into<http::Error>>,
    {
        self.request(Method::DELETE, uri)
    }

    /// Carries out a request whose URI is absolute, until the head of its reply; as the service does.
    ///
    /// # Errors
    /// See [`Error`]; the request was sent in part, or as a whole, with [`Error::Exchange`] alone.
    pub fn execute<B>(&self, request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    {
        self.carry_out(request.map(Body::outgoing_of))
    }

    pub(crate) fn carry_out(&self, request: Request<Outgoing>) -> ResponseFuture {
        ResponseFuture(Box::pin(exchange(Arc::clone(&self.shared), request)))
    }

    /// The route that a request takes.
    pub(crate) fn route_of<B>(&self, request: &Request<B>) -> Result<Route, Error> {
        let options = request.extensions().get::<RouteOptions>();
        let options = options.cloned().unwrap_or_default();
        let asked = HttpVersion::of(request.version(), request.headers());
        Route::new(request.uri(), asked, options, &self.shared.defaults)
    }

    /// All connections as they are now. Looks at every one of them: for people, not for every request.
    pub fn status(&self) -> KeyedStatus {
        self.shared.pools.status()
    }

    /// Closes all connections: idle ones now, those in use when their replies end. Requests that wait, and later ones, get
    /// [`Error::NoConnection`]. Await the result to wait for that.
    pub fn close(&self) -> KeyedClose {
        self.shared.pools.close()
    }
}

impl<B> Service<Request<B>> for Client
where
    B: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.execute(request)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.status()).finish()
    }
}

/// A request under way, until the head of its reply. Dropping it gives the request up: see [`Client`].
#[must_use = "a request is not sent until it is awaited"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture(..)")
    }
}
