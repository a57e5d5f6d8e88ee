//! What can be loaded: the addresses people type, and for each a [`Service`] that says how to connect to
//! it and what one request is.

mod echo;
mod embedded;
mod pipelined_echo;
mod postgres;
mod redis;

use std::fmt;
use std::future::Future;

use cenote::Connect;

pub use self::echo::EchoService;
pub use self::embedded::{Echo, EmbeddedServer};
pub use self::postgres::PostgresService;
pub use self::redis::RedisService;
use crate::failure::Failure;

/// A server's protocol as the users of a run see it.
pub trait Service: Send + Sync + 'static {
    type Connector: Connect;
    /// Its connections carry the requests of many users at once, in order.
    type SharedConnector: Connect<Connection: Sync>;

    /// A connector of its own for each way of connecting.
    fn connector(&self) -> Self::Connector;

    /// Sends one request and reads its answer.
    ///
    /// After a failure, or when the future is dropped, the connection may be in the middle of an answer:
    /// its connector's verdict must see that.
    fn request(
        &self,
        connection: &mut <Self::Connector as Connect>::Connection,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A connector of connections that carry `users` each.
    fn shared_connector(&self, users: usize) -> Self::SharedConnector;

    /// The same request on a connection that others use too. Nothing that goes wrong here, a dropped future
    /// included, reaches another user's answer.
    fn shared_request(
        &self,
        connection: &<Self::SharedConnector as Connect>::Connection,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A target as typed: known by its scheme, not yet tried. Displayed without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Embedded(Echo),
    Tcp { host: String, port: u16 },
    Postgres(Url),
    Redis(Url),
}

/// A URL that may hold a password, which it shows nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.0.split_once("://").unwrap_or(("", &self.0));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (credentials, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        write!(f, "{scheme}://")?;
        match credentials.split_once(':') {
            Some((user, _)) => write!(f, "{user}:***@")?,
            None if credentials.is_empty() => {}
            None => write!(f, "{credentials}@")?,
        }
        f.write_str(place)?;
        let mut separator = '?';
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = if key.to_ascii_lowercase().contains("pass") {
                "***"
            } else {
                value
            };
            write!(f, "{separator}{key}={value}")?;
            separator = '&';
        }
        Ok(())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Why a target cannot be understood. Does not repeat what was typed where that may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the target {0:?} is not known: {ACCEPTED}")]
    Unknown(String),
    #[error("targets of the scheme `{0}` are not known: {ACCEPTED}")]
    Scheme(String),
    #[error(
        "`tcp://{0}` is not tcp://HOST:PORT, with a port from 1 to 65535, such as tcp://127.0.0.1:7 or tcp://[::1]:7"
    )]
    Tcp(String),
}

const ACCEPTED: &str = "a target is embedded, tcp://HOST:PORT, postgres://USER:PASSWORD@HOST:PORT/DATABASE or redis://HOST:PORT";

impl Address {
    /// `echo` says what the embedded server is to be.
    pub fn parse(text: &str, echo: Echo) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("embedded") {
            return Ok(Self::Embedded(echo));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AddressError::Unknown(text.to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => {
                tcp(rest.trim_end_matches('/')).ok_or_else(|| AddressError::Tcp(rest.to_owned()))
            }
            "postgres" | "postgresql" => Ok(Self::Postgres(Url(text.to_owned()))),
            "redis" | "rediss" => Ok(Self::Redis(Url(text.to_owned()))),
            _ => Err(AddressError::Scheme(scheme.to_owned())),
        }
    }

    /// One word for headings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Tcp { .. } => "tcp",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(echo) => echo.fmt(f),
            Self::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
            Self::Postgres(url) | Self::Redis(url) => url.fmt(f),
        }
    }
}

fn tcp(place: &str) -> Option<Address> {
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let host = match host.strip_prefix('[') {
        Some(bracketed) => bracketed.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then(|| Address::Tcp {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(text, Echo::default())
    }

    #[test]
    fn a_shown_target_keeps_its_password_to_itself() {
        let shown = |text: &str| parse(text).expect(text).to_string();
        assert_eq!(
            shown("postgres://app:s3:c@ret@db/orders"),
            "postgres://app:***@db/orders"
        );
        assert_eq!(
            shown("postgres://app@db/orders?sslmode=disable&password=x"),
            "postgres://app@db/orders?sslmode=disable&password=***"
        );
        assert_eq!(
            shown("redis://:secret@[::1]:6379/0"),
            "redis://:***@[::1]:6379/0"
        );
        assert_eq!(
            format!("{:?}", parse("redis://:secret@h")),
            "Ok(Redis(Url(redis://:***@h)))"
        );
    }

    #[test]
    fn tcp_targets_have_a_host_and_a_port() {
        assert_eq!(
            parse("tcp://localhost:7"),
            Ok(Address::Tcp {
                host: "localhost".into(),
                port: 7
            })
        );
        assert_eq!(
            parse("tcp://[::1]:7/").map(|a| a.to_string()),
            Ok("tcp://[::1]:7".into())
        );
        for bad in [
            "tcp://",
            "tcp://host",
            "tcp://:7",
            "tcp://host:0",
            "tcp://host:70000",
            "tcp://::1:7",
        ] {
            assert!(
                matches!(parse(bad), Err(AddressError::Tcp(_))),
                "{bad:?} was accepted"
            );
        }
    }

    #[test]
    fn an_unknown_scheme_is_named_beside_those_that_are_known() {
        let error = parse("mysql://root:secret@db")
            .expect_err("mysql")
            .to_string();
        assert!(
            error.contains("`mysql`") && error.contains("postgres://") && !error.contains("secret"),
            "{error}"
        );
        assert!(matches!(parse("localhost"), Err(AddressError::Unknown(_))));
    }
}
