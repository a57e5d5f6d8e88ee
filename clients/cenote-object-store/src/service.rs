//! One request of a store and its reply, over the client.

use cenote_http::{Body, Client};
use http::Request;
use object_store::client::{HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService};
use tokio::time::timeout_at;

use crate::body::Limited;
use crate::error::http_error;
use crate::limits::Limits;
use crate::options::RequestOptions;

#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    options: RequestOptions,
}

impl Service {
    pub(crate) fn new(client: Client, options: RequestOptions) -> Self {
        Self { client, options }
    }
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut head, body) = request.into_parts();
        self.options.apply(&mut head)?;
        let limits = Limits::begin(self.options.timeout, self.options.read_timeout);
        let reply = match body.as_bytes() {
            // There as a whole, it can be sent again where a server says that it has not looked at it.
            Some(bytes) => {
                let body = Body::from(bytes.clone());
                self.client.execute(Request::from_parts(head, body))
            }
            None => self.client.execute(Request::from_parts(head, body)),
        };
        let reply = match limits.next() {
            Some((at, timed_out)) => timeout_at(at, reply).await.map_err(|_| timed_out)?,
            None => reply.await,
        };
        let reply = reply.map_err(http_error)?;
        Ok(reply.map(|body| HttpResponseBody::new(Limited::new(body, limits))))
    }
}
