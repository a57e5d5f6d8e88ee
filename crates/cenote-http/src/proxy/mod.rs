//! A proxy: where it is, what it speaks, and what is said to it alone. Its identity is all of that, its text form has no
//! secrets.
//!
//! It opens tunnels, by SOCKS5 here and by CONNECT in [`wire`]; requests that are handed to it are made so in `fields`.

mod error;
mod socks;
mod uri;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote::error::SettingsError;
use cenote::net::{Host, Watched};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderName, HeaderValue};

use self::uri::ProxyUri;
use crate::route::Route;
use crate::wire;

pub use self::error::ProxyError;

/// A proxy that requests go by: an HTTP proxy or a SOCKS5 proxy.
///
/// - By an HTTP proxy, `http` requests are handed to the proxy in HTTP/1.1, and it passes them on; `https` requests, and
///   those for which HTTP/2 is asked, go through a tunnel (CONNECT), in which of `https` the proxy sees neither the request
///   nor the reply. An `http` request that asks for another protocol is handed to the proxy too, and few pass that on.
/// - By a SOCKS5 proxy, all requests go through a tunnel. The proxy looks the server's name up, not this machine.
///
/// It is part of a request's [`Route`], whole: requests by proxies that differ in anything, credentials and
/// fields of CONNECT included, share no connection. Its text form is `http://proxy:3128`, without credentials; cheap to
/// clone.
///
/// It is used where it is given: by [`ClientBuilder::proxy`](crate::ClientBuilder::proxy) for all requests of a client, by
/// [`RouteOptions::proxy`](crate::RouteOptions::proxy) for one. The environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`,
/// `NO_PROXY`) is not read.
///
/// ```
/// use cenote_http::{Client, Proxy};
///
/// # fn f(password: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let proxy = Proxy::http("http://proxy.example:3128")?.credentials("anna", password)?;
/// let http = Client::builder().proxy(proxy).build()?;
/// # let _ = http;
/// # Ok(())
/// # }
/// # f("secret").unwrap();
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proxy(Arc<Settings>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Settings {
    protocol: Protocol,
    host: Arc<str>,
    port: u16,
}

/// What the proxy speaks, with what is said in it beside the target.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Protocol {
    Http {
        authorization: Option<HeaderValue>,
        connect_fields: Vec<(HeaderName, HeaderValue)>,
    },
    Socks5 {
        login: Option<Login>,
    },
}

/// A name and a password, neither of them empty or longer than a SOCKS5 message takes.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Login {
    user: Box<str>,
    password: Box<str>,
}

/// What CONNECT says of itself.
const OF_CONNECT: [HeaderName; 6] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    PROXY_AUTHORIZATION,
    TRANSFER_ENCODING,
    UPGRADE,
];

impl Proxy {
    /// The HTTP proxy at a URI such as `http://proxy.example:3128`; the port is 80 if it names none. A user name and a
    /// password in it are taken as [`credentials`](Self::credentials) takes them, once what is percent-encoded is decoded.
    ///
    /// The proxy is spoken to in HTTP/1.1 without TLS.
    ///
    /// # Errors
    /// [`SettingsError`]: what is wrong with the URI. It shows no part of a user name or password.
    pub fn http(uri: impl AsRef<str>) -> Result<Self, SettingsError> {
        let uri = ProxyUri::parse(uri.as_ref(), &["http"], 80)?;
        let protocol = Protocol::Http {
            authorization: None,
            connect_fields: Vec::new(),
        };
        Self::at(uri, protocol)
    }

    /// The SOCKS5 proxy at a URI such as `socks5://proxy.example:1080`; the port is 1080 if it names none. A user name and
    /// a password in it are taken as [`credentials`](Self::credentials) takes them, once what is percent-encoded is
    /// decoded.
    ///
    /// The proxy looks names up. `socks5h`, by which some say so, is the same here.
    ///
    /// # Errors
    /// [`SettingsError`]: what is wrong with the URI. It shows no part of a user name or password.
    pub fn socks5(uri: impl AsRef<str>) -> Result<Self, SettingsError> {
        let uri = ProxyUri::parse(uri.as_ref(), &["socks5", "socks5h"], 1080)?;
        Self::at(uri, Protocol::Socks5 { login: None })
    }

    fn at(uri: ProxyUri, protocol: Protocol) -> Result<Self, SettingsError> {
        let ProxyUri {
            host,
            port,
            credentials,
        } = uri;
        let proxy = Self(Arc::new(Settings {
            protocol,
            host,
            port,
        }));
        match credentials {
            Some((user, password)) => proxy.credentials(&user, &password),
            None => Ok(proxy),
        }
    }

    /// What the proxy is told of who asks, in place of what the URI says: by the scheme Basic of HTTP, with each CONNECT
    /// and each request that is handed to it, or by the user name and password of SOCKS5. Servers are never told. Default:
    /// none.
    ///
    /// An HTTP proxy that refuses them answers requests that are handed to it with 407, which is a reply; a tunnel that is
    /// refused is an error, [`ProxyError`].
    ///
    /// # Errors
    /// [`SettingsError`]: they cannot be sent. In HTTP a user name has no colon, and neither has a control character; in
    /// SOCKS5 both have 1 to 255 bytes. It shows no part of them.
    pub fn credentials(mut self, user: &str, password: &str) -> Result<Self, SettingsError> {
        let refused = |value, accepted| Err(SettingsError::new("credentials", value, accepted));
        match &mut Arc::make_mut(&mut self.0).protocol {
            Protocol::Http { authorization, .. } => {
                if user.contains(':') {
                    return refused("a user name with a colon", "HTTP has none in it");
                }
                if user.chars().chain(password.chars()).any(char::is_control) {
                    return refused("text with a control character", "HTTP has none in it");
                }
                let encoded = STANDARD.encode(format!("{user}:{password}"));
                let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
                    .expect("base64 has only letters, digits, `+`, `/` and `=`");
                value.set_sensitive(true);
                *authorization = Some(value);
            }
            Protocol::Socks5 { login } => {
                let fits = |text: &str| (1..=255).contains(&text.len());
                if !fits(user) || !fits(password) {
                    return refused(
                        "a user name or a password that is empty or too long",
                        "SOCKS5 takes 1 to 255 bytes of each",
                    );
                }
                *login = Some(Login {
                    user: user.into(),
                    password: password.into(),
                });
            }
        }
        Ok(self)
    }

    /// Adds a field to each CONNECT. It goes to the proxy alone, and not with requests that are handed to it. Default: none
    /// but `Host`, and `Proxy-Authorization` where there are [`credentials`](Self::credentials).
    ///
    /// # Errors
    /// [`SettingsError`]: the field is not well-formed, or is one that CONNECT says of itself; or the proxy is a SOCKS5
    /// proxy, which has no fields. It does not show the value.
    pub fn header<N, V>(mut self, name: N, value: V) -> Result<Self, SettingsError>
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        let refused = |what: String, accepted: &str| SettingsError::new("header", what, accepted);
        let name = name.try_into().map_err(|error| {
            let error: http::Error = error.into();
            refused(error.to_string(), "a name of letters, digits and hyphens")
        })?;
        let mut value = value
            .try_into()
            .map_err(|_| refused(format!("{name} with control characters"), "text has none"))?;
        if OF_CONNECT.contains(&name) {
            let accepted = "CONNECT itself says what it says there; see `credentials`";
            return Err(refused(name.to_string(), accepted));
        }
        match &mut Arc::make_mut(&mut self.0).protocol {
            Protocol::Http { connect_fields, .. } => {
                value.set_sensitive(true);
                connect_fields.push((name, value));
                Ok(self)
            }
            Protocol::Socks5 { .. } => {
                let accepted = "only CONNECT has fields, which is HTTP's";
                Err(refused(format!("{name} for {self}"), accepted))
            }
        }
    }

    /// Where it is reached.
    pub(crate) fn host(&self) -> Host {
        Host::new(&*self.0.host, self.0.port)
    }

    /// Whether it takes requests to pass them on, where they are not encrypted.
    pub(crate) fn passes_on(&self) -> bool {
        matches!(self.0.protocol, Protocol::Http { .. })
    }

    /// What it is to be told with a request that is handed to it.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        match &self.0.protocol {
            Protocol::Http { authorization, .. } => authorization.as_ref(),
            Protocol::Socks5 { .. } => None,
        }
    }

    /// Has it lead `socket`, which is connected to it, on to the route's server. Dropping the future closes the socket.
    pub(crate) async fn tunnel(
        &self,
        socket: Watched,
        route: &Route,
    ) -> Result<Watched, ProxyError> {
        match &self.0.protocol {
            Protocol::Http {
                authorization,
                connect_fields,
            } => {
                let authorization = authorization.iter().cloned();
                let authorization = authorization.map(|value| (PROXY_AUTHORIZATION, value));
                let fields = authorization.chain(connect_fields.iter().cloned());
                wire::tunnel(socket, route.host(), route.port(), fields.collect()).await
            }
            Protocol::Socks5 { login } => {
                socks::tunnel(socket, route.host(), route.port(), login.as_ref()).await
            }
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            protocol,
            host,
            port,
        } = &*self.0;
        let scheme = match protocol {
            Protocol::Http { .. } => "http",
            Protocol::Socks5 { .. } => "socks5",
        };
        write!(f, "{scheme}://{host}:{port}")
    }
}

/// As its text form: no secrets.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests;
