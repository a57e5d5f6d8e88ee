//! cenote-http: by default, but for its bound on the connections of a route.

use cenote_http::{Body, Client};
use http::{Request, Response, Uri, Version};

use super::subject::{ReplyBody, Subject};
use super::target::Target;
use super::tls;
use crate::callers::CallError;

#[derive(Clone)]
pub struct Cenote {
    client: Client,
    uri: Uri,
    version: Version,
}

impl Subject for Cenote {
    const NAME: &'static str = "cenote";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let client = Client::builder()
            .max_per_route(target.connections)
            .tls(tls::client(target.certificate.clone())?)
            .build()?;
        // Which protocol is spoken: HTTP/2 is asked for in each request, and without that it is ALPN's to say.
        let version = target.protocol.version().unwrap_or_default();
        Ok(Self {
            client,
            uri: target.uri.clone(),
            version,
        })
    }

    async fn get(&mut self) -> Result<Response<impl ReplyBody>, CallError> {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = self.version;
        Ok(self.client.execute(request).await?)
    }
}
