//! How the clients of others sit on this one, unchanged; and what to write instead of reqwest.
//!
//! [`Client`](crate::Client) is a `tower_service::Service` of `http::Request<B>` for any body `B`, `Clone + Send + Sync`, always
//! ready, and answers with `http::Response<`[`Body`](crate::Body)`>`, which is `Send + Sync + Unpin + Default` with `Bytes` as its
//! data. Whatever takes such a service takes it. All of them, and requests of your own, may share one client: their
//! connections are under one set of bounds then.
//!
//! The code of this page is compiled, and run against servers, in the workspace `clients/` of the repository.
//!
//! | client | by | tested with |
//! |---|---|---|
//! | [tonic](#tonic) | its generated clients' `new`, `with_origin`, `with_interceptor` | 0.14 |
//! | [kube](#kube) | `kube::Client::new` | 5 |
//! | [octocrab](#octocrab) | `OctocrabBuilder::with_service` | 0.54 |
//! | [object_store](#object_store) | `with_http_connector`, by the crate `cenote-object-store` | 0.14 |
//! | [AWS SDK](#aws-sdk) | `http_client`, by the crate `cenote-aws` | aws-smithy-runtime-api 1.20 |
//! | [tower-http](#redirects-and-compression) | its layers for clients | 0.7 |
//! | [reqwest](#reqwest) | nothing: it has no seam | |
//!
//! # tonic
//!
//! gRPC needs HTTP/2. tonic's requests are of that version, and so their routes speak it, over `http://` too; nothing is to be set.
//!
//! ```ignore
#![doc = include_str!("tonic.rs")]
//! ```
//!
//! Where a `Channel` is one connection, this is as many as the calls need: a server's limit of streams ends no call, and
//! behind a load balancer further connections reach further servers. Connections that go away (GOAWAY) are replaced, and what
//! a server says that it has not begun is asked again.
//!
//! Two things that `Channel` does are to be said here. `Request::set_timeout` tells the server, which ends the call; for a
//! server that is gone, put `tokio::time::timeout` around the call: giving it up resets its stream, and no other ends by
//! it. And an error of ours reaches a caller as `Code::Unknown`; with the codes that gRPC has for it, which
//! retries go by, thus:
//!
//! ```ignore
#![doc = include_str!("tonic_codes.rs")]
//! ```
//!
//! # kube
//!
//! ```ignore
#![doc = include_str!("kube.rs")]
//! ```
//!
//! A watch has its connection for as long as it lasts where the server speaks HTTP/1.1, and counts against
//! [`max_per_route`](crate::ClientBuilder::max_per_route) (20 by default): with many of them set that higher. API servers speak
//! HTTP/2 over TLS, where a watch is a stream among others.
//!
//! # octocrab
//!
//! ```ignore
#![doc = include_str!("octocrab.rs")]
//! ```
//!
//! # object_store
//!
//! ```ignore
#![doc = include_str!("object_store.rs")]
//! ```
//!
//! # AWS SDK
//!
//! ```ignore
#![doc = include_str!("aws.rs")]
//! ```
//!
//! # Redirects and compression
//!
//! ```ignore
#![doc = include_str!("layers.rs")]
//! ```
//!
//! `tower_http::decompression` needs a feature for each format (`decompression-gzip`), which is asked for then by
//! `Accept-Encoding`. [`RouteOptions`](crate::RouteOptions) go along with a redirect within an origin, and with one to another
//! origin they are left behind, as credentials are.
//!
//! # reqwest
//!
//! `reqwest::Client` cannot sit on these pools. Its `ClientBuilder::connector_layer` sees how connections are opened, and
//! neither when one comes back nor which request it is for; the pool below is hyper-util's and cannot be exchanged, and the
//! client is a type, not a trait. Nor can what takes a `reqwest::Client` (reqwest-middleware, say) take this one.
//! What to write instead:
//!
//! | reqwest | here |
//! |---|---|
//! | `Client::new()` | [`Client::builder()`](crate::Client::builder)`.build()?` |
//! | `client.get(url)`, `.post(url)` ... | the same; `url` is text or an `http::Uri`, absolute |
//! | `.header(..)`, `.body(..)`, `.send().await?` | the same |
//! | `.headers(map)`, `ClientBuilder::default_headers`, `user_agent` | a `.header(..)` each, or tower-http's `SetRequestHeaderLayer` |
//! | `.bearer_auth(token)` | `.header("authorization", format!("Bearer {token}"))` |
//! | `.query(&pairs)`, `.form(&pairs)` | `serde_urlencoded::to_string(&pairs)?`, into the URI or the body |
//! | `.json(&value)` | `.header("content-type", "application/json").body(serde_json::to_vec(&value)?)` |
//! | `response.json::<T>().await?` | `serde_json::from_slice::<T>(&reply.bytes().await?)?` |
//! | `response.text()`, `bytes()`, `chunk()` | the same; text is UTF-8 whatever the head says; `chunk()` is an `Option` of a `Result` |
//! | `response.bytes_stream()` | `http_body_util::BodyDataStream::new(reply.into_body())` |
//! | `Body::wrap_stream(stream)` | `http_body_util::StreamBody` with [`Client::execute`](crate::Client::execute) |
//! | `response.error_for_status()?` | look at [`status`](crate::Response::status): every reply is `Ok` |
//! | `RequestBuilder::timeout` | [`RequestBuilder::timeout`](crate::RequestBuilder::timeout): to the end of the body as well |
//! | `ClientBuilder::timeout`, `read_timeout` | none for all requests: `timeout` of each, or tower's `TimeoutLayer` and tower-http's `ResponseBodyTimeoutLayer` |
//! | `connect_timeout` | [`connect_timeout`](crate::ClientBuilder::connect_timeout), 5 s by default; the wait for a connection is [`acquire_timeout`](crate::ClientBuilder::acquire_timeout), 10 s by default |
//! | `pool_max_idle_per_host(n)` | [`max_per_route(n)`](crate::ClientBuilder::max_per_route), a bound on all connections, not on idle ones; over all routes [`max_total`](crate::ClientBuilder::max_total) and [`max_idle`](crate::ClientBuilder::max_idle) |
//! | `pool_idle_timeout` | [`idle_timeout`](crate::ClientBuilder::idle_timeout), 50 s by default |
//! | `http1_only()`, `http2_prior_knowledge()` | [`version`](crate::ClientBuilder::version)`(HttpVersion::Http1)`, `(HttpVersion::Http2)`; for one request [`RouteOptions::version`](crate::RouteOptions::version) |
//! | `Proxy::all("http://proxy:3128")?`, `"socks5://.."` | [`Proxy::http`](crate::Proxy::http), [`Proxy::socks5`](crate::Proxy::socks5) with [`ClientBuilder::proxy`](crate::ClientBuilder::proxy) or for one request; the environment is not read |
//! | `no_proxy()` | nothing: there is none unless you say so; for one request [`RouteOptions::direct`](crate::RouteOptions::direct) |
//! | `resolve(host, addr)` | [`RouteOptions::connect_to`](crate::RouteOptions::connect_to) |
//! | `local_address`, `interface` | [`RouteOptions::bind`](crate::RouteOptions::bind), or the [`dialer`](crate::ClientBuilder::dialer) |
//! | `unix_socket(path)` | [`RouteOptions::unix_socket`](crate::RouteOptions::unix_socket) |
//! | `tcp_keepalive`, `dns_resolver` | [`dialer`](crate::ClientBuilder::dialer) |
//! | `add_root_certificate`, `identity`, `min_tls_version`, `danger_accept_invalid_certs` | a `rustls::ClientConfig` for [`tls`](crate::ClientBuilder::tls), or for one request [`RouteOptions::tls`](crate::RouteOptions::tls) |
//! | `https_only(true)` | look at the URI's scheme |
//! | `redirect(policy)` | [tower-http's `FollowRedirectLayer`](#redirects-and-compression); without it 3xx are replies |
//! | `gzip(true)`, `brotli(true)` | [tower-http's `DecompressionLayer`](#redirects-and-compression) |
//! | `cookie_store(true)` | none; `Cookie` and `Set-Cookie` are fields as others |
//! | `retry(policy)` | what was not sent is sent again by itself; the rest is for tower's `RetryLayer` |
//! | `response.upgrade()` | [`Body::upgrade`](crate::Body::upgrade) |
//! | `response.remote_addr()`, `url()` | none; [`Error::route`](crate::Error::route) for errors |
//! | `multipart` | none: its body is for another crate to make |
//! | `error.is_timeout()`, `is_connect()` | [`is_timeout`](crate::Error::is_timeout), `matches!(error, `[`Error::NoConnection`](crate::Error::NoConnection)` { .. })` |
//! | `reqwest::blocking` | none |

// The files beside this one are no modules: they are the page's code, and the tests of `clients/` are made of them.
