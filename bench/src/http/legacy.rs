//! hyper-util's legacy client, which most of Rust's HTTP stands on; by default, with hyper-rustls where TLS is needed.

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;

use super::subject::{ReplyBody, Subject};
use super::target::{Protocol, Target};
use super::tls;
use crate::callers::CallError;

#[derive(Clone)]
pub struct Legacy {
    client: Over,
    uri: Uri,
}

#[derive(Clone)]
enum Over {
    Tcp(Client<HttpConnector, Empty<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>),
}

impl Over {
    fn request(&self, request: Request<Empty<Bytes>>) -> ResponseFuture {
        match self {
            Self::Tcp(client) => client.request(request),
            Self::Tls(client) => client.request(request),
        }
    }
}

impl Subject for Legacy {
    const NAME: &'static str = "legacy";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let mut sockets = HttpConnector::new();
        sockets.set_nodelay(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.http2_only(target.protocol.is_http2_only());
        let client = match target.protocol {
            Protocol::Http1 | Protocol::Http2 => Over::Tcp(builder.build(sockets)),
            Protocol::Negotiated | Protocol::Http2ByTls => {
                sockets.enforce_http(false);
                let connector = HttpsConnectorBuilder::new()
                    .with_tls_config(tls::client(target.certificate.clone())?)
                    .https_only()
                    .enable_all_versions()
                    .wrap_connector(sockets);
                Over::Tls(builder.build(connector))
            }
        };
        Ok(Self {
            client,
            uri: target.uri.clone(),
        })
    }

    async fn get(&mut self) -> Result<Response<impl ReplyBody>, CallError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        Ok(self.client.request(request).await?)
    }
}
