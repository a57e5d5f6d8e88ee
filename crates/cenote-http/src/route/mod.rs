//! What makes two connections differ: the route of a request, whole. Two requests share connections where their routes are
//! equal, and nowhere else.
//!
//! A route is made in one place, [`Route::new`], which takes apart all that it is made of; a setting that is added
//! there and forgotten here does not compile.

mod host;
mod options;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use cenote::net::Host;
use http::Uri;
use http::uri::Scheme;

use crate::error::Error;
use crate::proxy::Proxy;
use crate::tls::TlsProfile;
use crate::version::HttpVersion;

pub(crate) use host::canonical;
pub(crate) use options::RouteDefaults;
pub use options::RouteOptions;

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
            (_, HttpVersion::Http1) => f.write_str(" over HTTP/1.1")?,
            (_, HttpVersion::Http2) => f.write_str(" over HTTP/2")?,
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
