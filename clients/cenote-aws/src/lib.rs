//! The AWS SDK for Rust, and every other client that smithy-rs makes, on [cenote_http].
//!
//! ```
//! use cenote_aws::CenoteHttpClient;
//! use cenote_http::Client;
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let http = CenoteHttpClient::new(Client::builder().max_per_route(50))?;
//! // let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
//! // let s3 = aws_sdk_s3::Client::new(&config);
//! # let _ = http;
//! # Ok(())
//! # }
//! ```
//!
//! Clients of one `SdkConfig`, and clones of a [`CenoteHttpClient`], share their connections.
//!
//! # Time-outs
//!
//! The SDK's connect time-out is the client's [`connect_timeout`](cenote_http::ClientBuilder::connect_timeout), where it is
//! set, which it is by default (3.1 s). As a pool has one such time, there is a client, with bounds of its own, for each
//! connect time-out that is in use; there is mostly one. The SDK's read time-out ends a request whose reply has not begun by
//! then, the wait for a connection included. Attempts and operations as wholes are timed by the SDK itself.
//!
//! # Errors
//!
//! The SDK retries what is transient. No connection in time, and no reply in time, are time-outs of its; a connection that
//! cannot be had or that broke off is an error of I/O: it retries all of these. A request that is not well-formed is the
//! user's error, and is not retried. Where no connection was had, that is said.
//!
//! When the SDK sees that an answer speaks of a server in trouble it has its connection closed after use
//! (`ReconnectMode::ReconnectOnTransientError`), so that the next request meets another one: that works.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod connector;
mod error;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use cenote::error::SettingsError;
use cenote_http::{Client, ClientBuilder};

use crate::connector::Connector;

/// The `HttpClient` of an SDK's configuration, on the pools of [cenote_http].
///
/// A cheap handle: clones share the connections.
#[derive(Clone, Debug)]
pub struct CenoteHttpClient {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    builder: ClientBuilder,
    made: RwLock<Made>,
}

/// What was made so far, and is kept.
#[derive(Debug, Default)]
struct Made {
    /// By connect time-out.
    clients: HashMap<Option<Duration>, Result<Client, SettingsError>>,
    /// By connect and read time-out.
    connectors: HashMap<(Option<Duration>, Option<Duration>), SharedHttpConnector>,
}

impl CenoteHttpClient {
    /// Clients set up like this; where the SDK says a connect time-out, with that instead.
    ///
    /// # Errors
    /// A setting that can't work, named with what would.
    pub fn new(builder: ClientBuilder) -> Result<Self, SettingsError> {
        let client = builder.clone().build()?;
        let made = Made {
            clients: HashMap::from([(None, Ok(client))]),
            connectors: HashMap::new(),
        };
        Ok(Self {
            shared: Arc::new(Shared {
                builder,
                made: RwLock::new(made),
            }),
        })
    }

    /// The clients that were used so far: to see their [`status`](Client::status), or to [close](Client::close) them.
    pub fn clients(&self) -> Vec<Client> {
        let made = self.shared.made.read();
        let made = made.unwrap_or_else(PoisonError::into_inner);
        made.clients.values().flatten().cloned().collect()
    }
}

impl Shared {
    fn connector(&self, settings: &HttpConnectorSettings) -> SharedHttpConnector {
        let (connect, read) = (settings.connect_timeout(), settings.read_timeout());
        {
            let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(connector) = made.connectors.get(&(connect, read)) {
                return connector.clone();
            }
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        let Made {
            clients,
            connectors,
        } = &mut *made;
        let client = clients
            .entry(connect)
            .or_insert_with(|| match connect {
                Some(limit) => self.builder.clone().connect_timeout(limit).build(),
                None => self.builder.clone().build(),
            })
            .clone();
        connectors
            .entry((connect, read))
            .or_insert_with(|| SharedHttpConnector::new(Connector::new(client, read)))
            .clone()
    }
}

impl HttpClient for CenoteHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.shared.connector(settings)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new(
            env!("CARGO_PKG_NAME"),
            Some(env!("CARGO_PKG_VERSION").into()),
        ))
    }
}
