//! What a request says of its route beyond its URI, and what the client's settings say where it says nothing.

use std::net::IpAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use cenote::net::Host;

use super::Way;
use crate::proxy::Proxy;
#[cfg(feature = "rustls")]
use crate::tls::TlsProfile;
use crate::version::HttpVersion;

/// What a request says of its route beyond its URI: put it into the request's extensions, or give it to
/// [`RequestBuilder::route`](crate::RequestBuilder::route). What it does not say is as the client's settings say.
///
/// ```
/// use cenote_http::RouteOptions;
///
/// let request = http::Request::get("http://example.org/")
///     .extension(RouteOptions::new().tag("tenant-7"))
///     .body(cenote_http::Body::empty())?;
/// # let _ = request;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RouteOptions {
    pub(super) tag: Option<Arc<str>>,
    pub(super) version: Option<HttpVersion>,
    #[cfg(feature = "rustls")]
    pub(super) tls: Option<TlsProfile>,
    pub(super) way: Option<Way>,
    pub(super) local_address: Option<IpAddr>,
    pub(super) server_name: Option<Arc<str>>,
}

impl RouteOptions {
    /// Options that say nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the request apart: requests with different tags share no connection, so that a tenant's are its own. It is
    /// shown in errors and reports: no secrets belong in it. Default: none.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<Arc<str>>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// The version of HTTP. Requests that ask for different versions share no connection. Default: as the request says,
    /// HTTP/1.1 where it asks to leave for another protocol by `Connection: upgrade`, HTTP/2 where it is of that version
    /// itself; else as [`ClientBuilder::version`](crate::ClientBuilder::version) says.
    #[must_use]
    pub fn version(mut self, version: HttpVersion) -> Self {
        self.version = Some(version);
        self
    }

    /// The TLS settings of this request, in place of the client's, where its URI says `https`. Default: the client's.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, profile: TlsProfile) -> Self {
        self.tls = Some(profile);
        self
    }

    /// Where to connect to instead of the URI's host and port, which the request and TLS still name; without a proxy,
    /// whatever was said of one before, here or to the client. Default: there.
    #[must_use]
    pub fn connect_to(mut self, host: Host) -> Self {
        self.way = Some(Way::At(host));
        self
    }

    /// The Unix socket to connect to, in place of the URI's host and port, which the request and TLS still name: the API of
    /// Docker, say. As [`connect_to`](Self::connect_to) with [`Host::unix`]. Default: none.
    ///
    /// ```no_run
    /// use cenote_http::{Client, RouteOptions};
    ///
    /// # async fn f(http: Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let docker = RouteOptions::new().unix_socket("/var/run/docker.sock");
    /// let version = http.get("http://docker/version").route(docker).send().await?.text().await?;
    /// # let _ = version;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    #[must_use]
    pub fn unix_socket(self, path: impl Into<PathBuf>) -> Self {
        self.connect_to(Host::unix(path))
    }

    /// The address of this machine that the connection comes from, in place of the client's: see
    /// [`Dialer::bind`](cenote::net::Dialer::bind). Default: the client's
    /// [`dialer`](crate::ClientBuilder::dialer)'s.
    #[must_use]
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.local_address = Some(address);
        self
    }

    /// The proxy that this request goes by, in place of the client's; instead of what [`connect_to`](Self::connect_to)
    /// said before. Default: the client's, if it has one.
    ///
    /// ```
    /// use cenote_http::{Proxy, RouteOptions};
    ///
    /// let options = RouteOptions::new().proxy(Proxy::socks5("socks5://proxy.example")?);
    /// # let _ = options;
    /// # Ok::<(), cenote::error::SettingsError>(())
    /// ```
    #[must_use]
    pub fn proxy(mut self, proxy: Proxy) -> Self {
        self.way = Some(Way::By(proxy));
        self
    }

    /// That this request goes straight to the URI's host and port, whatever proxy the client has. Default: by that.
    #[must_use]
    pub fn direct(mut self) -> Self {
        self.way = Some(Way::Direct);
        self
    }

    /// The name that TLS verifies, and tells the server (SNI), instead of the URI's host. Default: that.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}

/// What the client's settings say of routes.
#[derive(Clone, Debug)]
pub(crate) struct RouteDefaults {
    pub(crate) version: HttpVersion,
    #[cfg(feature = "rustls")]
    pub(crate) tls: TlsProfile,
    pub(crate) way: Way,
}
