//! Clients behind one object-safe trait: pooled, unpooled, or a user's own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};

use crate::body::Body;
use crate::client::Client;
use crate::error::Error;

/// The reply to a request, once its head is there.
pub type ReplyFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

/// What carries requests out: a [`Client`] with its pools, [`Unpooled`](crate::Unpooled) without, or your own. For code that
/// leaves the choice to its user: it keeps an `Arc<dyn HttpClient>`.
///
/// ```
/// use std::sync::Arc;
///
/// use cenote_http::{Body, Client, Error, HttpClient, Unpooled};
///
/// struct Weather {
///     http: Arc<dyn HttpClient>,
/// }
///
/// impl Weather {
///     async fn at(&self, place: &str) -> Result<String, Error> {
///         let request = http::Request::get(format!("https://weather.example/{place}"));
///         let request = request.body(Body::empty()).expect("a place is a path");
///         let reply = self.http.execute(request).await?;
///         Ok(String::from_utf8_lossy(&reply.into_body().bytes().await?).into_owned())
///     }
/// }
///
/// let pooled = Weather { http: Arc::new(Client::builder().build()?) };
/// let unpooled = Weather { http: Arc::new(Unpooled::new(Client::builder())?) };
/// # drop((pooled, unpooled));
/// # Ok::<(), cenote::error::SettingsError>(())
/// ```
pub trait HttpClient: Send + Sync {
    /// Carries out a request whose URI is absolute, until the head of its reply. Dropping the future gives the request up.
    ///
    /// # Errors
    /// See [`Error`].
    fn execute(&self, request: Request<Body>) -> ReplyFuture;
}

impl HttpClient for Client {
    fn execute(&self, request: Request<Body>) -> ReplyFuture {
        Box::pin(Client::execute(self, request))
    }
}

impl<C: HttpClient + ?Sized> HttpClient for Arc<C> {
    fn execute(&self, request: Request<Body>) -> ReplyFuture {
        (**self).execute(request)
    }
}
