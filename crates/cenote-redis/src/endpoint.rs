//! A Redis server and how to log in to it, as written in a `redis://` URL.
//!
//! Parsing errors say what is wrong and what would be right. They never quote a part of the URL that
//! can hold a password, not even a misplaced one.

use std::fmt;

/// What is wrong with a Redis URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The URL does not begin with a scheme known here.
    #[error("a Redis URL begins with redis:// or rediss://")]
    Scheme,
    /// `rediss://` without the feature `rustls`.
    #[error("rediss:// needs the feature `rustls` of cenote-redis")]
    TlsNotBuilt,
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
    PercentEncoding {
        /// The part of the URL.
        part: &'static str,
    },
    /// A user without a password cannot log in.
    #[error("the Redis URL has a user but no password, as in redis://user:password@host")]
    UserWithoutPassword,
    /// The path is not a database number.
    #[error(
        "the path of the Redis URL, \"{found}\", is not a database number, as in redis://host/0"
    )]
    Database {
        /// The path, without its slash.
        found: String,
    },
    /// An option after the `?` that does not exist.
    #[error(
        "the Redis URL has an unknown option \"{name}\"; known are protocol, client_name and sslrootcert"
    )]
    UnknownOption {
        /// Its name.
        name: String,
    },
    /// `protocol` is neither 2 nor 3.
    #[error("the option protocol of the Redis URL is \"{found}\", not 2 or 3")]
    Protocol {
        /// Its value.
        found: String,
    },
    /// `sslrootcert` without TLS.
    #[error("the option sslrootcert of the Redis URL is for rediss:// URLs")]
    RootsWithoutTls,
    /// The root certificates that `sslrootcert` names cannot be used.
    #[error("the option sslrootcert of the Redis URL: {problem}")]
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
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
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
        let scheme = if self.tls { "rediss" } else { "redis" };
        let (open, close) = if self.host.contains(':') {
            ("[", "]")
        } else {
            ("", "")
        };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)?;
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl Endpoint {
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "redis" => false,
            "rediss" if cfg!(feature = "rustls") => true,
            "rediss" => return Err(UrlError::TlsNotBuilt),
            _ => return Err(UrlError::Scheme),
        };
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
        let (host, port) = parse_place(place)?;
        let (path, options) = tail.split_once('?').unwrap_or((tail, ""));
        let mut endpoint = Self {
            tls,
            host: host.to_owned(),
            port,
            credentials: parse_login(login.unwrap_or_default())?,
            database: parse_database(path)?,
            protocol: Protocol::Resp3,
            client_name: None,
            root_certificates: None,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            endpoint.set_option(name, value)?;
        }
        Ok(endpoint)
    }

    fn set_option(&mut self, name: &str, value: &str) -> Result<(), UrlError> {
        match (name, value) {
            ("protocol", "2") => self.protocol = Protocol::Resp2,
            ("protocol", "3") => self.protocol = Protocol::Resp3,
            ("protocol", other) => {
                return Err(UrlError::Protocol {
                    found: other.to_owned(),
                });
            }
            ("client_name", name) => {
                let name = percent_decode(name, "the client name")?;
                self.set_client_name(&name)?;
            }
            ("sslrootcert", _) if !self.tls => return Err(UrlError::RootsWithoutTls),
            ("sslrootcert", path) => {
                self.root_certificates = Some(percent_decode(path, "sslrootcert")?);
            }
            (other, _) => {
                return Err(UrlError::UnknownOption {
                    name: other.to_owned(),
                });
            }
        }
        Ok(())
    }

    pub(crate) fn set_client_name(&mut self, name: &str) -> Result<(), UrlError> {
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::ClientName);
        }
        self.client_name = Some(name.to_owned());
        Ok(())
    }
}

fn parse_place(place: &str) -> Result<(&str, u16), UrlError> {
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
    Ok((host, port))
}

fn parse_login(login: &str) -> Result<Option<Credentials>, UrlError> {
    let (user, password) = match login.split_once(':') {
        None if login.is_empty() => return Ok(None),
        None => return Err(UrlError::UserWithoutPassword),
        Some(("", "")) => return Ok(None),
        Some((_, "")) => return Err(UrlError::UserWithoutPassword),
        Some((user, password)) => (user, password),
    };
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
mod tests {
    use super::*;

    fn parsed(url: &str) -> Endpoint {
        Endpoint::parse(url).expect("the URL is good")
    }

    #[test]
    fn a_host_alone_is_enough() {
        let endpoint = parsed("redis://cache.example");
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port),
            ("cache.example", 6379)
        );
        assert_eq!((endpoint.database, endpoint.credentials), (0, None));
    }

    #[test]
    fn every_part_is_read() {
        let endpoint = parsed("redis://ann:p%40ss%2F@[::1]:7000/5?protocol=2&client_name=web");
        let credentials = endpoint.credentials.clone().expect("the URL has a login");
        assert_eq!(credentials.user.as_deref(), Some("ann"));
        assert_eq!(credentials.password, "p@ss/");
        assert_eq!(
            (endpoint.host.as_str(), endpoint.port, endpoint.database),
            ("::1", 7000, 5)
        );
        assert_eq!(endpoint.protocol, Protocol::Resp2);
        assert_eq!(endpoint.client_name.as_deref(), Some("web"));
    }

    #[test]
    fn a_password_alone_is_the_default_users() {
        let credentials = parsed("redis://:secret@host").credentials;
        assert_eq!(credentials.expect("the URL has a login").user, None);
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("localhost:6379", UrlError::Scheme),
            ("http://localhost", UrlError::Scheme),
            ("redis://", UrlError::NoHost),
            ("redis://:6379", UrlError::NoHost),
            ("redis://host:0", UrlError::Port),
            ("redis://host:65536", UrlError::Port),
            ("redis://host:+1", UrlError::Port),
            ("redis://host:", UrlError::Port),
            ("redis://::1", UrlError::Brackets),
            ("redis://[::1", UrlError::Brackets),
            ("redis://ann@host", UrlError::UserWithoutPassword),
            ("redis://:a@b@host", UrlError::Unencoded),
            ("redis://host/x", UrlError::Database { found: "x".into() }),
            ("redis://host/-1", UrlError::Database { found: "-1".into() }),
            (
                "redis://host?db=1",
                UrlError::UnknownOption { name: "db".into() },
            ),
            (
                "redis://host?protocol=4",
                UrlError::Protocol { found: "4".into() },
            ),
            ("redis://host?client_name=a%20b", UrlError::ClientName),
            (
                "redis://host?sslrootcert=/ca.pem",
                UrlError::RootsWithoutTls,
            ),
            (
                "redis://:a%2@host",
                UrlError::PercentEncoding {
                    part: "the password",
                },
            ),
            (
                "redis://:a%ff@host",
                UrlError::PercentEncoding {
                    part: "the password",
                },
            ),
        ];
        for (url, expected) in cases {
            assert_eq!(Endpoint::parse(url), Err(expected), "{url}");
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_without_the_feature_names_the_feature() {
        let error = Endpoint::parse("rediss://host").unwrap_err();
        assert!(error.to_string().contains("feature `rustls`"), "{error}");
    }

    #[test]
    fn no_error_and_no_text_form_shows_the_password() {
        for url in [
            "redis://ann:hunter2/x@host/0",
            "redis://ann:hunter2?x@host",
            "redis://ann:hunter2#x@host",
            "redis://ann:hunter2@x@host",
            "redis://ann:hunter2%@host",
            "redis://ann:hunter2",
        ] {
            let error = Endpoint::parse(url).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{url}: {error:?}"
            );
        }
        let endpoint = parsed("redis://ann:hunter2@host:1/2");
        assert_eq!(endpoint.to_string(), "redis://host:1/2");
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }
}
