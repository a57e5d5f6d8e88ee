//! A Redis server and how to log in to it, as written in a `redis://` URL.
//!
//! Parsing errors say what is wrong and what would be right. They never quote a part of the URL that
//! can hold a password, not even a misplaced one.

use std::fmt;

use cenote::net::Host;

/// What is wrong with a Redis URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL does not begin with a scheme known here.
    #[error("a Redis URL begins with redis:// or rediss://, valkey:// or valkeys://, or unix://")]
    Scheme,
    /// `rediss://` or `valkeys://` without the feature `rustls`.
    #[error("rediss:// needs the feature `rustls` of cenote-redis")]
    TlsNotBuilt,
    /// `unix://` on a system without Unix sockets.
    #[error("this system has no Unix sockets, so that unix:// is no Redis URL here")]
    NoUnixSockets,
    /// The URL of a Unix socket names no file, or a host.
    #[error(
        "the URL of a Redis server's Unix socket names a file and no host, as in unix:///run/redis.sock"
    )]
    SocketPath,
    /// The URL names no host.
    #[error("the Redis URL names no host, as in redis://127.0.0.1:6379")]
    NoHost,
    /// The host is an IPv6 address without brackets, or with one only.
    #[error("an IPv6 address in a Redis URL stands in brackets, as in redis://[::1]:6379")]
    Brackets,
    /// The port is not a number, or out of range.
    #[error("the port of the Redis URL is not a number from 1 to 65535")]
    Port,
    /// There is an `@` after the host: a password with special characters in it, most likely.
    #[error(
        "user and password of a Redis URL must be percent-encoded: / is %2F, ? is %3F, # is %23, @ is %40"
    )]
    Unencoded,
    /// A `%` is not followed by two hexadecimal digits, or what it encodes is not UTF-8.
    #[error("{part} of the Redis URL has a % that is not followed by two digits of UTF-8 text")]
    #[non_exhaustive]
    PercentEncoding {
        /// The part of the URL.
        part: &'static str,
    },
    /// A user without a password cannot log in.
    #[error("the Redis URL has a user but no password, as in redis://user:password@host")]
    UserWithoutPassword,
    /// The path, or the option `db` for a Unix socket, is not a database number.
    #[error(
        "\"{found}\" in the Redis URL is not a database number, as in redis://host/0 or unix:///path?db=0"
    )]
    #[non_exhaustive]
    Database {
        /// The path, without its slash, or the option's value.
        found: String,
    },
    /// An option after the `?` that does not exist.
    #[error(
        "the Redis URL has an unknown option \"{name}\"; known are protocol, client_name and sslrootcert, and for Unix \
         sockets db, user and pass"
    )]
    #[non_exhaustive]
    UnknownOption {
        /// Its name.
        name: String,
    },
    /// `protocol` is neither 2 nor 3.
    #[error("the option protocol of the Redis URL is \"{found}\", not 2 or 3")]
    #[non_exhaustive]
    Protocol {
        /// Its value.
        found: String,
    },
    /// `sslrootcert` without TLS.
    #[error("the option sslrootcert of the Redis URL is for rediss:// URLs")]
    RootsWithoutTls,
    /// The root certificates that `sslrootcert` names cannot be used.
    #[error("the option sslrootcert of the Redis URL: {problem}")]
    #[non_exhaustive]
    Roots {
        /// Why.
        problem: String,
    },
    /// The client name is empty or has characters that Redis does not take.
    #[error("a Redis client name has printable ASCII characters and no spaces")]
    ClientName,
}

/// The version of the protocol to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp2,
    /// RESP3, or RESP2 when the server knows no other.
    Resp3,
}

/// User and password. `Debug` shows neither's secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// `None` is the user `default`.
    pub(crate) user: Option<String>,
    pub(crate) password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Everything that makes two connections interchangeable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// On TCP only.
    pub(crate) tls: bool,
    /// In the order in which they are tried; at least one.
    pub(crate) hosts: Vec<Host>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) database: u32,
    pub(crate) protocol: Protocol,
    pub(crate) client_name: Option<String>,
    /// A file of root certificates to be trusted instead of the system's.
    pub(crate) root_certificates: Option<String>,
}

/// The URL without credentials, for messages.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url_of(&self.hosts))
    }
}

/// What a scheme says.
enum Scheme {
    Tcp { tls: bool },
    Unix,
}

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, UrlError> {
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => Ok(Self::Tcp { tls: false }),
            "rediss" | "valkeys" if cfg!(feature = "rustls") => Ok(Self::Tcp { tls: true }),
            "rediss" | "valkeys" => Err(UrlError::TlsNotBuilt),
            "unix" | "redis+unix" | "valkey+unix" if cfg!(unix) => Ok(Self::Unix),
            "unix" | "redis+unix" | "valkey+unix" => Err(UrlError::NoUnixSockets),
            _ => Err(UrlError::Scheme),
        }
    }
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let scheme = Scheme::parse(scheme)?;
        let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(authority_end);
        if tail.contains('@') {
            return Err(UrlError::Unencoded);
        }
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, _)) if login.contains('@') => return Err(UrlError::Unencoded),
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (path, options) = tail.split_once('?').unwrap_or((tail, ""));
        let (tls, hosts, database) = match scheme {
            Scheme::Tcp { tls } => {
                let hosts = place.split(',').map(parse_host).collect::<Result<_, _>>()?;
                (tls, hosts, parse_database(path)?)
            }
            Scheme::Unix => (false, vec![parse_socket(place, path)?], 0),
        };
        let mut endpoint = Self {
            tls,
            hosts,
            credentials: parse_login(login.unwrap_or_default())?,
            database,
            protocol: Protocol::Resp3,
            client_name: None,
            root_certificates: None,
        };
        endpoint.set_options(options)?;
        Ok(endpoint)
    }

    fn set_options(&mut self, options: &str) -> Result<(), UrlError> {
        let mut login = SocketLogin::default();
        let on_socket = self.is_on_socket();
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("protocol", "2") => self.protocol = Protocol::Resp2,
                ("protocol", "3") => self.protocol = Protocol::Resp3,
                ("protocol", _) if login.password.is_some() => return Err(UrlError::Unencoded),
                ("protocol", other) => {
                    let found = other.to_owned();
                    return Err(UrlError::Protocol { found });
                }
                ("client_name", name) => {
                    let name = percent_decode(name, "the client name")?;
                    self.set_client_name(&name)?;
                }
                ("sslrootcert", _) if !self.tls => return Err(UrlError::RootsWithoutTls),
                ("sslrootcert", path) => {
                    self.root_certificates = Some(percent_decode(path, "sslrootcert")?);
                }
                ("db", digits) if on_socket => {
                    let found = parse_database(digits);
                    // It may be what stands behind an unencoded & of a password.
                    let has_password = login.password.is_some();
                    self.database = found.map_err(|error| match error {
                        _ if has_password => UrlError::Unencoded,
                        error => error,
                    })?;
                }
                ("user", user) if on_socket => login.user = Some(user),
                ("pass" | "password", password) if on_socket => login.password = Some(password),
                // What stands behind an unencoded & of a password.
                _ if login.password.is_some() => return Err(UrlError::Unencoded),
                (other, _) => {
                    let name = other.to_owned();
                    return Err(UrlError::UnknownOption { name });
                }
            }
        }
        if let Some(credentials) = login.decode()? {
            self.credentials = Some(credentials);
        }
        Ok(())
    }

    fn is_on_socket(&self) -> bool {
        self.hosts.iter().all(|host| host.name().is_none())
    }

    /// The URL of one of its hosts, without credentials.
    pub(crate) fn url_of_host(&self, host: &Host) -> String {
        self.url_of(std::slice::from_ref(host))
    }

    fn url_of(&self, hosts: &[Host]) -> String {
        let hosts: Vec<_> = hosts.iter().map(ToString::to_string).collect();
        let (scheme, before_database) = match self.tls {
            _ if self.is_on_socket() => ("unix", "?db="),
            true => ("rediss", "/"),
            false => ("redis", "/"),
        };
        let url = format!("{scheme}://{}", hosts.join(","));
        match self.database {
            0 => url,
            database => format!("{url}{before_database}{database}"),
        }
    }

    pub(crate) fn set_client_name(&mut self, name: &str) -> Result<(), UrlError> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::ClientName);
        }
        self.client_name = Some(name.to_owned());
        Ok(())
    }
}

/// The login of a Unix socket's URL, as far as it stands in options.
#[derive(Default)]
struct SocketLogin<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
}

impl SocketLogin<'_> {
    fn decode(self) -> Result<Option<Credentials>, UrlError> {
        match (self.user, self.password) {
            (None, None) => Ok(None),
            (user, Some(password)) if !password.is_empty() => {
                credentials(user.unwrap_or_default(), password)
            }
            _ => Err(UrlError::UserWithoutPassword),
        }
    }
}

#[cfg(unix)]
fn parse_socket(host: &str, path: &str) -> Result<Host, UrlError> {
    let path = percent_decode(path, "the path")?;
    if !host.is_empty() || path.len() < 2 {
        return Err(UrlError::SocketPath);
    }
    Ok(Host::unix(path))
}

#[cfg(not(unix))]
fn parse_socket(_: &str, _: &str) -> Result<Host, UrlError> {
    Err(UrlError::NoUnixSockets)
}

fn parse_host(place: &str) -> Result<Host, UrlError> {
    let (host, port) = if let Some(rest) = place.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(UrlError::Brackets)?;
        match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if port.is_empty() => (host, None),
            None => return Err(UrlError::Port),
        }
    } else {
        match place.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err(UrlError::Brackets),
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        }
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match port {
        None => 6379,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or(UrlError::Port)?,
        Some(_) => return Err(UrlError::Port),
    };
    Ok(Host::new(host, port))
}

fn parse_login(login: &str) -> Result<Option<Credentials>, UrlError> {
    let (user, password) = match login.split_once(':') {
        None if login.is_empty() => return Ok(None),
        None => return Err(UrlError::UserWithoutPassword),
        Some(("", "")) => return Ok(None),
        Some((_, "")) => return Err(UrlError::UserWithoutPassword),
        Some((user, password)) => (user, password),
    };
    credentials(user, password)
}

fn credentials(user: &str, password: &str) -> Result<Option<Credentials>, UrlError> {
    let user = percent_decode(user, "the user")?;
    Ok(Some(Credentials {
        user: Some(user).filter(|user| !user.is_empty()),
        password: percent_decode(password, "the password")?,
    }))
}

fn parse_database(path: &str) -> Result<u32, UrlError> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok(0),
        digits => digits.parse().map_err(|_| UrlError::Database {
            found: digits.to_owned(),
        }),
    }
}

fn percent_decode(text: &str, part: &'static str) -> Result<String, UrlError> {
    let error = UrlError::PercentEncoding { part };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()]
            .map(|digit| char::from(digit.unwrap_or(b'%')).to_digit(16));
        match digits {
            [Some(high), Some(low)] => decoded.push((high * 16 + low) as u8),
            _ => return Err(error),
        }
    }
    String::from_utf8(decoded).map_err(|_| error)
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
