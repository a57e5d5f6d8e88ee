//! One request of an SDK and the head of its reply, over a client.

use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use cenote::error::SettingsError;
use cenote_http::{Body, Client, ConnectionHandle, ResponseFuture};
use http::Request;
use tokio::time::timeout;

use crate::error::{NoReply, connector_error};

#[derive(Debug)]
pub(crate) struct Connector {
    /// There is none where the SDK's connect time-out cannot be one: each request is told so.
    client: Result<Client, SettingsError>,
    read_timeout: Option<Duration>,
}

impl Connector {
    pub(crate) fn new(
        client: Result<Client, SettingsError>,
        read_timeout: Option<Duration>,
    ) -> Self {
        Self {
            client,
            read_timeout,
        }
    }

    fn send(&self, request: HttpRequest) -> Result<ResponseFuture, ConnectorError> {
        let client = self.client.as_ref();
        let client = client.map_err(|error| ConnectorError::user(error.clone().into()))?;
        let request = request.try_into_http1x();
        let mut request = request.map_err(|error| ConnectorError::user(error.into()))?;
        capture(&mut request);
        Ok(match request.body().bytes() {
            // There as a whole, it can be sent again where a server says that it has not looked at it.
            Some(bytes) => {
                let bytes = bytes.to_vec();
                client.execute(request.map(|_| Body::from(bytes)))
            }
            None => client.execute(request),
        })
    }
}

/// Tells the SDK, if it wants to know, by what it can have the connection closed.
fn capture(request: &mut Request<SdkBody>) {
    let captured = request.extensions().get::<CaptureSmithyConnection>();
    let Some(captured) = captured.cloned() else {
        return;
    };
    let handle = ConnectionHandle::new();
    request.extensions_mut().insert(handle.clone());
    captured.set_connection_retriever(move || {
        if !handle.is_set() {
            return None;
        }
        let handle = handle.clone();
        let metadata = ConnectionMetadata::builder()
            .proxied(false)
            .poison_fn(move || handle.retire());
        Some(metadata.build())
    });
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sent = self.send(request);
        let limit = self.read_timeout;
        HttpConnectorFuture::new(async move {
            let sent = sent?;
            let reply = match limit {
                Some(limit) => timeout(limit, sent)
                    .await
                    .map_err(|_| ConnectorError::timeout(NoReply(limit).into()))?,
                None => sent.await,
            };
            let reply = reply.map_err(connector_error)?.map(SdkBody::from_body_1_x);
            HttpResponse::try_from(reply).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
