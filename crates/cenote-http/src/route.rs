//! What makes two connections differ: the route of a request, whole. Two requests share connections where their routes are
//! equal, and nowhere else.
//!
//! A route is made in one place, [`Route::new`], which takes apart all that it is made of; a setting that is added
//! there and forgotten here does not compile.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;

use cenote::net::Host;
use http::Uri;
use http::uri::Scheme;

use crate::error::Error;
use crate::proxy::Proxy;
use crate::tls::TlsProfile;
use crate::version::HttpVersion;

/// Where a request goes, and as what: scheme, host, port, version of HTTP, tag, TLS profile, by which proxy, from which
/// address, where and by which name the server is reached if that is not the host. It is the key of the client's pools.
///
/// Compared whole. The host is in lower case, an IPv6 address in brackets and in its shortest form; the scheme's port is
/// filled in; a user name and a password in the URI are no part of it, and are not sent.
///
/// Its text form, in errors and reports, is `https://example.org:443`, with what else there is behind it:
/// `https://example.org:443 by http://proxy:3128 for tenant-7`. It has no secrets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Route {
    pub(crate) security: Security,
    pub(crate) version: HttpVersion,
    pub(crate) host: Arc<str>,
    pub(crate) port: u16,
    tag: Option<Arc<str>>,
    way: Way,
    pub(crate) local_address: Option<IpAddr>,
}

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// At the host and the port that requests name.
    Direct,
    At(Host),
    By(Proxy),
}

/// What protects the connections of a route.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Security {
    Plain,
    /// `server_name` is verified, and told to the server, instead of the host.
    Tls {
        profile: TlsProfile,
        server_name: Option<Arc<str>>,
    },
}

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
    tag: Option<Arc<str>>,
    version: Option<HttpVersion>,
    #[cfg(feature = "rustls")]
    tls: Option<TlsProfile>,
    way: Option<Way>,
    local_address: Option<IpAddr>,
    server_name: Option<Arc<str>>,
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

impl Route {
    /// The route of a request for `uri`, which itself asks for a version.
    ///
    /// # Errors
    /// [`Error::Target`]: there is no route to it.
    pub(crate) fn new(
        uri: &Uri,
        asked: HttpVersion,
        options: RouteOptions,
        defaults: &RouteDefaults,
    ) -> Result<Self, Error> {
        let RouteOptions {
            tag,
            version,
            #[cfg(feature = "rustls")]
            tls,
            way,
            local_address,
            server_name,
        } = options;
        let RouteDefaults {
            version: default_version,
            #[cfg(feature = "rustls")]
                tls: default_tls,
            way: default_way,
        } = defaults;
        let host = match uri.host() {
            None | Some("") => return Err(Error::target("the URI names no host")),
            Some(host) => canonical(host),
        };
        let scheme = uri.scheme();
        let (security, default_port) = if scheme == Some(&Scheme::HTTP) {
            (Security::Plain, 80)
        } else if scheme == Some(&Scheme::HTTPS) {
            #[cfg(feature = "rustls")]
            let profile = tls.unwrap_or_else(|| default_tls.clone());
            #[cfg(not(feature = "rustls"))]
            let profile = TlsProfile::none()?;
            let security = Security::Tls {
                profile,
                server_name,
            };
            (security, 443)
        } else {
            return Err(Error::target("the URI's scheme is neither http nor https"));
        };
        let version = version.unwrap_or(match asked {
            HttpVersion::Any => *default_version,
            asked => asked,
        });
        let version = match (&security, version) {
            // Nobody could agree on another.
            (Security::Plain, HttpVersion::Any) => HttpVersion::Http1,
            (_, version) => version,
        };
        Ok(Self {
            security,
            version,
            host,
            port: uri.port_u16().unwrap_or(default_port),
            tag,
            way: way.unwrap_or_else(|| default_way.clone()),
            local_address,
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        match self.security {
            Security::Plain => "http",
            Security::Tls { .. } => "https",
        }
    }

    /// The host that requests name, in lower case, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, that of the scheme if the URI named none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What sets it apart from others like it.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The proxy that it goes by.
    pub fn proxy(&self) -> Option<&Proxy> {
        match &self.way {
            Way::By(proxy) => Some(proxy),
            Way::Direct | Way::At(_) => None,
        }
    }

    /// The proxy, where requests are handed to it, which passes them on: in HTTP/1.1, which is what it speaks.
    pub(crate) fn forwarder(&self) -> Option<&Proxy> {
        let is_plain = matches!(self.security, Security::Plain);
        let may_be = is_plain && self.version != HttpVersion::Http2;
        self.proxy().filter(|proxy| may_be && proxy.passes_on())
    }

    /// The proxy, where a tunnel leads through it.
    pub(crate) fn tunneller(&self) -> Option<&Proxy> {
        match self.forwarder() {
            Some(_) => None,
            None => self.proxy(),
        }
    }

    /// The version of HTTP that its connections speak.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Makes the authority of a URI, from which this route was made, the route's own: without user name and password, and with
    /// the port only where it is not the scheme's.
    ///
    /// # Errors
    /// [`Error::Target`]: the host cannot be sent.
    pub(crate) fn canonicalize(&self, uri: &mut Uri) -> Result<(), Error> {
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if self.is_authority(authority) {
            return Ok(());
        }
        let authority = match self.port == self.default_port() {
            true => self.host.to_string(),
            false => format!("{}:{}", self.host, self.port),
        };
        let cannot = "the URI's host cannot be sent";
        let authority = authority.try_into().map_err(|_| Error::target(cannot))?;
        let mut parts = std::mem::take(uri).into_parts();
        parts.authority = Some(authority);
        *uri = Uri::from_parts(parts).map_err(|_| Error::target(cannot))?;
        Ok(())
    }

    fn is_authority(&self, text: &str) -> bool {
        let Some(port) = text.strip_prefix(&*self.host) else {
            return false;
        };
        match port.strip_prefix(':') {
            None => port.is_empty() && self.port == self.default_port(),
            Some(port) => self.port != self.default_port() && port.parse() == Ok(self.port),
        }
    }

    fn default_port(&self) -> u16 {
        match self.security {
            Security::Plain => 80,
            Security::Tls { .. } => 443,
        }
    }

    /// What is dialled.
    pub(crate) fn dialled(&self) -> Host {
        match &self.way {
            Way::Direct => Host::new(&*self.host, self.port),
            Way::At(host) => host.clone(),
            Way::By(proxy) => proxy.host(),
        }
    }
}

thread_local! {
    /// The host of this thread's last request, which is mostly that of the next.
    static LAST_HOST: Cell<Option<Arc<str>>> = const { Cell::new(None) };
}

/// One spelling for each host.
pub(crate) fn canonical(host: &str) -> Arc<str> {
    let last = LAST_HOST.try_with(Cell::take).ok().flatten();
    let canonical = match last.filter(|last| **last == *host) {
        Some(last) => last,
        None => spelled(host),
    };
    // Else the thread is about to end.
    let _ = LAST_HOST.try_with(|last| last.set(Some(Arc::clone(&canonical))));
    canonical
}

fn spelled(host: &str) -> Arc<str> {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match bare.and_then(|bare| bare.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]").into(),
        None if host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            host.to_ascii_lowercase().into()
        }
        None => host.into(),
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            security,
            version,
            host,
            port,
            tag,
            way,
            local_address,
        } = self;
        write!(f, "{}://{host}:{port}", self.scheme())?;
        match way {
            Way::Direct => {}
            Way::At(host) => write!(f, " at {host}")?,
            Way::By(proxy) => write!(f, " by {proxy}")?,
        }
        if let Some(address) = local_address {
            write!(f, " from {address}")?;
        }
        if let Security::Tls {
            server_name: Some(name),
            ..
        } = security
        {
            write!(f, " as {name}")?;
        }
        match (security, version) {
            (_, HttpVersion::Any) | (Security::Plain, HttpVersion::Http1) => {}
            (_, HttpVersion::Http1) => f.write_str(" by HTTP/1.1")?,
            (_, HttpVersion::Http2) => f.write_str(" by HTTP/2")?,
        }
        match tag {
            Some(tag) => write!(f, " for {tag}"),
            None => Ok(()),
        }
    }
}

/// As its text form: it stands in the names of pools.
impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
