use std::collections::BTreeMap;

use cenote::endpoints::{EndpointSet, SetSender, channel};
use cenote::shared::SharedPoolBuilder;
use cenote::{SharedLease, SharedPool};

use crate::service::{Service, To, ms, pass, set_of};

/// Endpoints that come and go.
mod changes;
/// Which endpoint serves.
mod choice;
/// Endpoints whose calls fail.
mod ejection;
/// Endpoints that cannot be reached.
mod failures;
/// How many connections there are.
mod growth;
/// What is told of the endpoints.
mod status;
/// Who waits, and for what.
mod waiting;

/// A pool over these servers, and what changes them.
fn over(service: &Service, names: &[&str]) -> (SetSender<String>, SharedPoolBuilder<To>) {
    over_set(service, set_of(names))
}

fn over_set(
    service: &Service,
    set: EndpointSet<String>,
) -> (SetSender<String>, SharedPoolBuilder<To>) {
    let (sender, source) = channel();
    sender.send(set);
    (sender, service.shared(source))
}

/// Takes a lease for a moment; which server it was on.
async fn use_once(pool: &SharedPool<To>) -> String {
    let lease = pool.get().await.unwrap();
    pass(ms(1)).await;
    assert_eq!(SharedLease::connector(&lease).name, lease.server);
    lease.server.clone()
}

/// Of so many leases, one after the other, how many each server has had.
async fn shares(pool: &SharedPool<To>, leases: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..leases {
        *shares.entry(use_once(pool).await).or_default() += 1;
    }
    shares
}

/// So many leases at once.
async fn hold(pool: &SharedPool<To>, leases: usize) -> Vec<SharedLease<To>> {
    let mut held = Vec::new();
    for _ in 0..leases {
        held.push(pool.get().await.unwrap());
    }
    held
}

/// As [`hold`], while others have leases for a moment, and connections are opened.
async fn hold_slowly(pool: &SharedPool<To>, leases: usize) -> Vec<SharedLease<To>> {
    let mut held = Vec::new();
    for _ in 0..leases {
        held.push(pool.get().await.unwrap());
        use_once(pool).await;
    }
    held
}

/// How many of these leases each server has.
fn spread(held: &[SharedLease<To>]) -> BTreeMap<String, usize> {
    let mut spread = BTreeMap::new();
    for lease in held {
        *spread.entry(lease.server.clone()).or_default() += 1;
    }
    spread
}

/// Until each endpoint has a connection.
async fn warm(pool: &SharedPool<To>) {
    shares(pool, 40).await;
}
