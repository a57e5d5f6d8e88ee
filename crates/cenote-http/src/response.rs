//! A reply as people read one.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};

use crate::body::Body;
use crate::error::Error;

/// A reply: its head is there, its body is read as it is asked for. Dropping it gives its connection back: see [`Body`].
#[derive(Debug)]
pub struct Response(http::Response<Body>);

impl Response {
    /// The status, such as 200.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The protocol's version.
    pub fn version(&self) -> Version {
        self.0.version()
    }

    /// The header fields.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The whole body, however long it is.
    ///
    /// # Errors
    /// [`Error::Exchange`]: the connection ended before the body did, or what came is not HTTP; [`Error::TimedOut`]: the
    /// request's time is up.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        self.0.into_body().bytes().await
    }

    /// The whole body as text in UTF-8, whatever the head says of its encoding.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), and [`Error::NotText`].
    pub async fn text(self) -> Result<String, Error> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|source| Error::NotText { source })
    }

    /// The next piece of the body, `None` at its end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        self.0.body_mut().chunk().await
    }

    /// The body alone.
    pub fn into_body(self) -> Body {
        self.0.into_body()
    }
}

impl From<http::Response<Body>> for Response {
    fn from(response: http::Response<Body>) -> Self {
        Self(response)
    }
}

impl From<Response> for http::Response<Body> {
    fn from(Response(response): Response) -> Self {
        response
    }
}
