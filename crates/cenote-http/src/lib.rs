//! An HTTP client on the [cenote] pools: a pool of connections per route, all of them under common bounds.
//!
//! ```no_run
//! use cenote_http::Client;
//!
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! let http = Client::builder().max_per_route(20).max_total(500).build()?;
//! let reply = http.get("https://example.org/").send().await?;
//! println!("{}", reply.status());
//! let page = reply.text().await?;
//! println!("{}", http.status()); // http: 1 key has 1 connection (0 leased, 1 idle, 0 in upkeep), ...
//! # let _ = page;
//! # Ok(())
//! # }
//! ```
//!
//! [`Client`] is that, and a `tower_service::Service` at once. [`ClientBuilder`] has the settings, [`RouteOptions`] what a
//! single request says of its route: a tag, TLS settings of its own, a proxy, a Unix socket. [`Body`] is what replies have, and
//! holds their connection until it ends.
//!
//! tonic, kube, octocrab, object_store, the AWS SDK and others sit on it unchanged: [`clients`] says how, and what to write
//! instead of reqwest.
//!
//! # What it speaks
//!
//! HTTP/1.1, over TCP and, with the feature `rustls` (on by default), over TLS by rustls with ring. It offers `http/1.1` by
//! ALPN and nothing else; it follows no redirects, decodes nothing, keeps no cookies and adds no field but `Host`, and the
//! length of a body: that is for layers above. It goes by a [`Proxy`] where it is told to, and reads none from the
//! environment. A connection that a server agrees to use for another protocol is had by [`Body::upgrade`]; CONNECT is
//! refused.
//!
//! # What becomes of connections
//!
//! | when | it |
//! |---|---|
//! | the reply's body was read to its end, or has none | is given back, and serves the next request |
//! | a body is dropped before that | is read to its end in the background, for 100 ms and 64 KiB at most, and serves the next; beyond that it is closed |
//! | a request is dropped before the head of its reply | serves the next once that reply is through, for 1 s and 64 KiB at most; beyond that it is closed |
//! | the server says `Connection: close`, or is of HTTP/1.0 and does not say `keep-alive` | is closed |
//! | the server says `Keep-Alive: timeout=5` | is not used after 4 s of idling |
//! | the server goes on in another protocol (101) | counts until it is dropped, and is closed then |
//! | the server closes it while it is idle | is not used: the socket is looked at before each request |
//! | it is 30 min old | is closed once it is idle, so that a name which moved is followed |
//! | it ended before the request was sent | is passed over: the request goes over another one |
//! | it was reused and ended before a byte of the reply | costs a GET or HEAD request without a body one more attempt, any other an [`Error::Exchange`] |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(missing_docs)]
#![deny(missing_debug_implementations)]
#![forbid(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod attempts;
mod body;
mod builder;
mod client;
#[cfg(doc)]
pub mod clients;
mod connection_handle;
mod connector;
mod error;
mod exchange;
mod exclusive;
mod fields;
mod keep_alive;
mod leased;
mod proxy;
mod request;
mod response;
mod route;
#[cfg(feature = "rustls")]
mod tls;
#[cfg(not(feature = "rustls"))]
#[path = "no_tls.rs"]
mod tls;
mod upgraded;
mod version;
mod wire;

pub use body::Body;
pub use builder::ClientBuilder;
pub use client::{Client, ResponseFuture};
pub use connection_handle::ConnectionHandle;
pub use error::{Error, Stage};
pub use proxy::{Proxy, ProxyError};
pub use request::RequestBuilder;
pub use response::Response;
pub use route::{Route, RouteOptions};
#[cfg(feature = "rustls")]
pub use tls::TlsProfile;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
pub use upgraded::Upgraded;
pub use version::HttpVersion;
