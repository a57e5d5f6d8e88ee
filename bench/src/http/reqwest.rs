//! reqwest: by default, as its users write a request and read a reply.

use http::Response;
use http_body_util::Full;
use reqwest::{Client, Url};

use super::subject::{ReplyBody, Subject};
use super::target::Target;
use super::tls;
use crate::callers::CallError;

#[derive(Clone)]
pub struct Reqwest {
    client: Client,
    url: Url,
}

impl Subject for Reqwest {
    const NAME: &'static str = "reqwest";

    async fn open(target: &Target) -> Result<Self, CallError> {
        let mut config = tls::client(target.certificate.clone())?;
        config.alpn_protocols = tls::BOTH.map(<[u8]>::to_vec).to_vec();
        let mut builder = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(config);
        if target.protocol.is_http2_only() {
            builder = builder.http2_prior_knowledge();
        }
        Ok(Self {
            client: builder.build()?,
            url: target.uri.to_string().parse()?,
        })
    }

    async fn get(&mut self) -> Result<Response<impl ReplyBody>, CallError> {
        let reply = self.client.get(self.url.clone()).send().await?;
        let version = reply.version();
        let mut whole = Response::new(Full::new(reply.bytes().await?));
        *whole.version_mut() = version;
        Ok(whole)
    }
}
