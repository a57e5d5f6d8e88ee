//! A list that never changes.

use std::convert::Infallible;

use super::discover::Discover;
use super::set::{EndpointSet, Key};

/// The source of [`fixed`].
#[derive(Clone, Debug)]
pub struct Fixed<K: Key>(Option<EndpointSet<K>>);

/// These endpoints, for good: none is ever lost for having failed (nats.rb #87, influxdb_iox #6508).
///
/// ```
/// use cenote::endpoints::{Endpoint, EndpointSet, fixed};
///
/// let plain = fixed(EndpointSet::of(["db1:5432", "db2:5432"]));
/// let weighted = fixed(EndpointSet::from([
///     Endpoint::new("db1:5432").weight(3),
///     Endpoint::new("db2:5432"),
/// ]));
/// ```
pub fn fixed<K: Key>(set: EndpointSet<K>) -> Fixed<K> {
    Fixed(Some(set))
}

impl<K: Key> Discover for Fixed<K> {
    type Key = K;
    type Error = Infallible;

    async fn next(&mut self) -> Option<Result<EndpointSet<K>, Infallible>> {
        self.0.take().map(Ok)
    }

    fn name(&self) -> String {
        "a fixed list".into()
    }
}
