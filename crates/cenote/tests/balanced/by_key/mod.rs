use std::collections::BTreeMap;

use cenote::Pool;

use crate::service::{To, ms, pass};

/// Where keys lead.
mod leading;
/// Leases of an endpoint that is named, and by a rule of one's own.
mod named;
/// Connections that go where a key's caller is.
mod room;
/// What callers are told whose time is up.
mod timed_out;
/// Who waits for the endpoint of a key, and how long.
mod waiting;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Takes a lease by this key for a moment; which server it was on.
async fn use_by_key(pool: &Pool<To>, key: u32) -> String {
    let lease = pool.get().by_key(&key).await.unwrap();
    pass(ms(1)).await;
    lease.server.clone()
}

/// Where each of these keys leads to now.
async fn homes(pool: &Pool<To>, keys: u32) -> BTreeMap<u32, String> {
    let mut homes = BTreeMap::new();
    for key in 0..keys {
        homes.insert(key, use_by_key(pool, key).await);
    }
    homes
}

/// A key that leads to this server.
async fn key_of(pool: &Pool<To>, server: &str) -> u32 {
    for key in 0..1_000 {
        if use_by_key(pool, key).await == server {
            return key;
        }
    }
    panic!("no key leads to {server}");
}
