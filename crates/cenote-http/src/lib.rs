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
//! HTTP/1.1 and HTTP/2, over TCP and, with the feature `rustls` (on by default), over TLS by rustls with ring. Over TLS the
//! server chooses by ALPN; without, HTTP/1.1 is spoken unless a request asks for HTTP/2 by its version, or its
//! [route](RouteOptions::version) does. It follows no redirects, decodes nothing, keeps no cookies and adds no field but
//! `Host`, and the length of a body: that is for layers above. It goes by a [`Proxy`] where it is told to, and reads none from
//! the environment. A connection that a server agrees to use for another protocol is had by [`Body::upgrade`]; CONNECT is
//! refused.
//!
//! A route is one pool, whatever its connections speak: each says how many exchanges it carries, one by HTTP/1.1, as many as
//! the server takes by HTTP/2, and 128 at most. One is opened first, and what it carries is known before the next: a burst of
//! a thousand requests opens one connection where the server speaks HTTP/2, and as many as they need, within the bounds, where
//! it does not. A further one is opened where those there are have no room, by HTTP/2 once three quarters of it have been
//! taken for 100 ms.
//!
//! # What becomes of connections
//!
//! Those that speak HTTP/1.1:
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
//!
//! Those that speak HTTP/2:
//!
//! | when | it |
//! |---|---|
//! | a request or its reply is dropped | goes on; the stream is reset |
//! | the server lowers how many streams it takes | is given no more than those |
//! | the server says that it goes away (GOAWAY) | gets no more requests, and is closed when those it carries have ended; a request that the server has not begun goes over another one, if its body is there as a whole, or 64 KiB at most were given of it |
//! | the server refuses a stream | goes on; the request is sent again, eight times at most, if its body is as above |
//! | a request is dropped, and nothing has come from the server since it was sent | gets no more requests until the server answers a PING; one that does not in 5 s is closed, and one that does is not asked again for 5 s, then for longer |
//! | it was idle for 30 s | is asked with a PING before the next request |
//! | a body is not read | holds 1 MiB of it, and carries the others all the same |
//! | it is 30 min old | gets no more requests, and is closed when those it carries have ended |
//! | it ended before the head of a reply | costs a GET or HEAD request without a body one more attempt, if it had carried a request before; any other an [`Error::Exchange`] |
//!
//! Of all requests of a client a tenth at most, and a hundred more, is repeated for a connection that ended. One that is
//! answered with 421 is asked once more over another connection, if it can be.

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
mod http_client;
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
mod unpooled;
mod upgraded;
mod version;
mod wire;

pub use body::Body;
pub use builder::ClientBuilder;
pub use client::{Client, ResponseFuture};
pub use connection_handle::ConnectionHandle;
pub use error::{Error, Stage};
pub use http_client::{HttpClient, ReplyFuture};
pub use proxy::{Proxy, ProxyError};
pub use request::RequestBuilder;
pub use response::Response;
pub use route::{Route, RouteOptions};
#[cfg(feature = "rustls")]
pub use tls::TlsProfile;
#[cfg(feature = "rustls")]
pub use tokio_rustls::rustls;
pub use unpooled::Unpooled;
pub use upgraded::Upgraded;
pub use version::HttpVersion;
