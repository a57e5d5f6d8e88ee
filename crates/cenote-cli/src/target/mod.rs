//! What can be loaded: the addresses people type, and for each a [`Service`] that says how to connect to
//! it and what one request is.

mod echo;
mod embedded;
mod pipelined_echo;
mod place;
mod postgres;
mod redis;
mod url;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use cenote::endpoints::Discovery;
use cenote::{Connect, Multiplex};

pub use self::echo::EchoService;
pub use self::embedded::{Behaviour, Echo, EmbeddedServers, Fleet};
pub use self::place::Place;
pub use self::postgres::PostgresService;
pub use self::redis::RedisService;
pub use self::url::{Unencoded, Url};
use crate::failure::Failure;
use crate::secrets::is_a_name;

/// A server's protocol as the users of a run see it.
pub trait Service: Send + Sync + 'static {
    type Connector: Connect;
    /// Its connections carry the requests of many users at once, in order.
    type SharedConnector: Multiplex;

    /// What it is called where results are shown: made from what the driver understood, so without a password.
    fn label(&self) -> String;

    /// What to ask somebody whose target accepts connections and does not answer.
    fn doubt(&self) -> &'static str;

    /// A connector of its own for each way of connecting; where there are several servers, to the first.
    fn connector(&self) -> Self::Connector;

    /// The servers, where there are several that give the same service.
    fn set(&self) -> Option<&ServerSet<Self::Connector, Self::SharedConnector>> {
        None
    }

    /// Sends one request and reads its answer.
    ///
    /// After a failure, or when the future is dropped, the connection may be in the middle of an answer:
    /// its connector's verdict must see that.
    fn request(
        &self,
        connection: &mut <Self::Connector as Connect>::Connection,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// A connector of connections that carry `users` each; where there are several servers, to the first.
    fn shared_connector(&self, users: usize) -> Self::SharedConnector;

    /// The same request on a connection that others use too. Nothing that goes wrong here, a dropped future
    /// included, reaches another user's answer.
    fn shared_request(
        &self,
        connection: &<Self::SharedConnector as Connect>::Connection,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Several servers that give the same service, and how each is connected to.
pub struct ServerSet<C, M> {
    /// Which they are, now and whenever that changes.
    pub discovery: Discovery<Place>,
    pub connector_to: Arc<dyn Fn(&Place) -> C + Send + Sync>,
    /// The same, of connections that carry so many users each.
    pub shared_connector_to: SharedConnectorTo<M>,
}

pub type SharedConnectorTo<M> = Arc<dyn Fn(&Place, usize) -> M + Send + Sync>;

// What is derived asks the connectors to be `Clone`.
impl<C, M> Clone for ServerSet<C, M> {
    fn clone(&self) -> Self {
        Self {
            discovery: self.discovery.clone(),
            connector_to: self.connector_to.clone(),
            shared_connector_to: self.shared_connector_to.clone(),
        }
    }
}

/// A target as typed: known by its scheme, not yet tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Embedded(Fleet),
    /// At least one; if several, they are a service.
    Tcp(Vec<Place>),
    Postgres(Url),
    Redis(Url),
}

/// Why a target cannot be understood. Repeats nothing of what was typed, which may hold a password, but a
/// scheme that is a name, and a place that is one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("this target is not known: {ACCEPTED}")]
    Unknown,
    #[error("targets of the scheme `{0}` are not known: {ACCEPTED}")]
    Scheme(String),
    #[error(
        "this target is not tcp://HOST:PORT, with a port from 1 to 65535, such as tcp://127.0.0.1:7 or tcp://[::1]:7"
    )]
    Tcp,
    #[error("the target names {0} twice: a service has each of its servers once")]
    Twice(Place),
    #[error(
        "it is not clear where the password of this target ends; in user and password percent-encode / as %2F, \
         ? as %3F, # as %23 and @ as %40, or give the password with --password-file"
    )]
    Unencoded,
}

/// Whether they are known, and what they mean, is for the driver to say.
const REDIS: [&str; 7] = [
    "redis",
    "rediss",
    "valkey",
    "valkeys",
    "unix",
    "redis+unix",
    "valkey+unix",
];

const ACCEPTED: &str = "a target is embedded, tcp://HOST:PORT, several as tcp://HOST:PORT,HOST:PORT, postgres://USER@HOST:PORT/DATABASE or redis://HOST:PORT";

impl Address {
    /// `fleet` says what the embedded servers are to be.
    pub fn parse(text: &str, fleet: Fleet) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("embedded") {
            return Ok(Self::Embedded(fleet));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(AddressError::Unknown);
        };
        let url = || Url::new(scheme, rest).map_err(|Unencoded| AddressError::Unencoded);
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => tcp(rest.trim_end_matches('/')),
            "postgres" | "postgresql" => url().map(Self::Postgres),
            scheme if REDIS.contains(&scheme) => url().map(Self::Redis),
            scheme if is_a_name(scheme) => Err(AddressError::Scheme(scheme.to_owned())),
            _ => Err(AddressError::Unknown),
        }
    }

    /// One word for headings.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Embedded(_) => "embedded",
            Self::Tcp(_) => "tcp",
            Self::Postgres(_) => "postgres",
            Self::Redis(_) => "redis",
        }
    }

    /// How many servers there are at most. The hosts of a database's URL are one, looked for at each.
    pub fn servers(&self) -> usize {
        match self {
            Self::Embedded(fleet) => fleet.servers + fleet.spare,
            Self::Tcp(places) => places.len(),
            Self::Postgres(_) | Self::Redis(_) => 1,
        }
    }

    /// Whether a pool is to be over several servers.
    pub fn is_set(&self) -> bool {
        self.servers() > 1
    }
}

fn tcp(places: &str) -> Result<Address, AddressError> {
    let places: Option<Vec<Place>> = places.split(',').map(Place::parse).collect();
    let places = places.ok_or(AddressError::Tcp)?;
    let mut known = BTreeSet::new();
    match places.iter().find(|place| !known.insert(*place)) {
        Some(twice) => Err(AddressError::Twice(twice.clone())),
        None => Ok(Address::Tcp(places)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, AddressError> {
        Address::parse(text, Fleet::default())
    }

    fn places(places: &[(&str, u16)]) -> Result<Address, AddressError> {
        let place = |(host, port): &(&str, u16)| Place {
            host: (*host).to_owned(),
            port: *port,
        };
        Ok(Address::Tcp(places.iter().map(place).collect()))
    }

    #[test]
    fn tcp_targets_have_hosts_and_ports() {
        assert_eq!(parse("tcp://localhost:7"), places(&[("localhost", 7)]));
        assert_eq!(parse("tcp://[::1]:7/"), places(&[("::1", 7)]));
        assert_eq!(parse("tcp://a:1,[::1]:2"), places(&[("a", 1), ("::1", 2)]));
        for bad in [
            "tcp://",
            "tcp://host",
            "tcp://:7",
            "tcp://host:0",
            "tcp://host:70000",
            "tcp://::1:7",
            "tcp://hunter2@host:7",
            "tcp://a:1,",
            "tcp://a:1,,b:2",
            "tcp://a:1,b",
        ] {
            assert_eq!(parse(bad), Err(AddressError::Tcp), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_server_that_is_named_twice_is_refused() {
        let error = parse("tcp://a:1,b:2,a:1").expect_err("twice").to_string();
        assert!(error.contains("a:1 twice"), "{error}");
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
        assert_eq!(parse("localhost"), Err(AddressError::Unknown));
        let misplaced = parse("app:hunter://db");
        assert_eq!(misplaced, Err(AddressError::Unknown));
    }
}
