//! Endpoints as JSON: an array, of which each member is a key, or an object that says more. What is not understood is an
//! error with its line and column, and so is a field that has no meaning: a `wieght` that is passed over is found out
//! when a server is down.

use std::fmt;
use std::net::SocketAddr;

use cenote::endpoints::{Endpoint, EndpointSet};
use cenote::error::BoxError;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// What a [`WatchedFile`](cenote::endpoints::WatchedFile) says that is JSON:
///
/// ```json
/// [
///   "db1:5432",
///   { "key": "db2:5432", "addresses": ["10.0.0.2:5432"], "weight": 2, "priority": 1 }
/// ]
/// ```
pub fn endpoints(text: &[u8]) -> Result<EndpointSet<String>, BoxError> {
    let listed: Vec<Listed> = serde_json::from_slice(text)?;
    Ok(listed.into_iter().map(|listed| listed.0).collect())
}

/// A member of the array.
struct Listed(Endpoint<String>);

/// One that says more than its key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    key: String,
    #[serde(default)]
    addresses: Vec<SocketAddr>,
    weight: Option<u32>,
    priority: Option<u16>,
}

impl From<Described> for Endpoint<String> {
    fn from(described: Described) -> Self {
        let plain = Endpoint::new(described.key);
        let weight = described.weight.unwrap_or(plain.weight);
        let priority = described.priority.unwrap_or(plain.priority);
        let addresses = described.addresses;
        plain.addresses(addresses).weight(weight).priority(priority)
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Member).map(Listed)
    }
}

/// Told apart by what it begins with, so that an error is about the one of the two that was meant.
struct Member;

impl<'de> Visitor<'de> for Member {
    type Value = Endpoint<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of an endpoint, or an object with one")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Endpoint::new(key.to_owned()))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Self::Value, M::Error> {
        Described::deserialize(MapAccessDeserializer::new(map)).map(Endpoint::from)
    }
}
