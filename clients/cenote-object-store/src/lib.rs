//! The stores of [object_store](::object_store) on [cenote_http]: one client, and so one set of pools under common bounds, for
//! any number of them.
//!
//! ```
//! use cenote_http::Client;
//! use cenote_object_store::CenoteConnector;
//! use object_store::http::HttpBuilder;
//!
//! # fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let http = Client::builder().max_per_route(50).build()?;
//! let store = HttpBuilder::new()
//!     .with_url("https://files.example")
//!     .with_http_connector(CenoteConnector::new(http))
//!     .build()?;
//! # let _ = store;
//! # Ok(())
//! # }
//! ```
//!
//! `AmazonS3Builder`, `GoogleCloudStorageBuilder` and `MicrosoftAzureBuilder` have `with_http_connector` as well. With
//! object_store's features that end in `-base` reqwest is not needed.
//!
//! # What becomes of `ClientOptions`
//!
//! | option | |
//! |---|---|
//! | `timeout` (30 s by default) | holds: from the request to the end of its reply, the wait for a connection included |
//! | `read_timeout` | holds: without a byte for so long, the request has failed |
//! | `allow_http` (not by default) | holds |
//! | `http1_only` (by default), `http2_only`, `allow_http2` | hold |
//! | `user_agent`, `default_headers` | are sent; the default agent is this crate |
//! | `proxy_url` | holds, for HTTP and SOCKS5 |
//! | `connect_timeout`, `pool_idle_timeout`, `pool_max_idle_per_host`, `http2_keep_alive_*`, `http2_max_frame_size`, `randomize_addresses` | have no effect: the [`Client`] has settings of its own, which hold for all stores together |
//! | `allow_invalid_certificates`, `no_system_certificates`, `proxy_ca_certificate`, `proxy_excludes`, `dns_resolver` | are refused where they are set: the store cannot be built, and the error says which |
//!
//! Certificates are said to the client ([`ClientBuilder::tls`](cenote_http::ClientBuilder::tls)).
//!
//! # Errors
//!
//! What object_store retries goes by the kind of the error. No connection, for whatever reason, is `Connect`: nothing was
//! sent, so any request is retried. A time that ran out after that is `Timeout`, a connection that broke off `Interrupted`:
//! these are retried where the request is idempotent. The rest is `Unknown`, and is not retried.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod body;
mod error;
mod limits;
mod options;
mod service;

use cenote_http::Client;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};

use crate::options::RequestOptions;
use crate::service::Service;

/// The [`HttpConnector`] whose stores share the connections of a [`Client`].
///
/// A cheap handle: clones share the client.
#[derive(Clone, Debug)]
pub struct CenoteConnector {
    client: Client,
}

impl CenoteConnector {
    /// Stores are to use this client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl HttpConnector for CenoteConnector {
    /// # Errors
    /// `NotSupported`: an option that would have to be the client's is set, or one is not well-formed; it is named.
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let options = RequestOptions::of(options)?;
        Ok(HttpClient::new(Service::new(self.client.clone(), options)))
    }
}
