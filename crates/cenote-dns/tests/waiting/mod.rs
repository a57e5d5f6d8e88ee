//! Waiting for what is to happen, for as long as a slow machine may need, and what is expected.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use cenote::endpoints::{Discovery, Endpoint, EndpointSet, Key};
use cenote_dns::Dns;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// Asks this name server as often as may be.
pub fn dns(server: SocketAddr) -> Dns {
    Dns::new()
        .name_servers([server])
        .min_interval(Duration::from_millis(20))
}

/// What happens in time.
pub async fn within<T>(what: &str, happens: impl Future<Output = T>) -> T {
    let happened = timeout(PATIENCE, happens).await;
    happened.unwrap_or_else(|_| panic!("not in {PATIENCE:?}: {what}"))
}

/// The next set that is another.
pub async fn next<K: Key>(discovery: &mut Discovery<K>) -> EndpointSet<K> {
    let set = within("another set", discovery.changed()).await;
    set.expect("a source of DNS goes on")
}

/// Waits until the source has failed so many times in a row, and returns its last error.
pub async fn failure<K: Key>(discovery: &Discovery<K>, times: u64) -> String {
    within("failures", async {
        loop {
            match discovery.status().failing {
                Some(failing) if failing.failures >= times => return failing.error.to_string(),
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    within(what, async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Each address an endpoint.
pub fn hosts(addresses: &[&str]) -> EndpointSet<SocketAddr> {
    let endpoint = |address: &&str| {
        let address: SocketAddr = address.parse().unwrap();
        Endpoint::new(address).addresses([address])
    };
    addresses.iter().map(endpoint).collect()
}
