//! A client without a pool.

use cenote::error::SettingsError;
use http::Request;

use crate::body::Body;
use crate::builder::ClientBuilder;
use crate::http_client::{HttpClient, ReplyFuture};

/// A client that opens a connection for each request, and closes it when the reply has been read or dropped: for a program
/// that sends one, and to compare with.
///
/// Of the settings those hold that are about one connection and one request; bounds on several have nothing to bound.
#[derive(Clone, Debug)]
pub struct Unpooled {
    each: ClientBuilder,
}

impl Unpooled {
    /// A client with these settings.
    ///
    /// # Errors
    /// A setting that can't work, named with what would.
    pub fn new(settings: ClientBuilder) -> Result<Self, SettingsError> {
        settings.clone().build()?;
        Ok(Self { each: settings })
    }
}

impl HttpClient for Unpooled {
    fn execute(&self, request: Request<Body>) -> ReplyFuture {
        // Its pool ends with this handle, and its connection with the reply.
        let client = self.each.clone().build();
        Box::pin(async move {
            let client = client.expect("these settings have worked before");
            client.execute(request).await
        })
    }
}
