use std::hash::{Hash, Hasher};

use cenote::{Keyed, SharedPool};

use crate::Servers;
use crate::server::{Server, pass, secs};

/// Numbers that all have the same hash.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SameHash(u32);

impl Hash for SameHash {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u8(7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_of_the_key_that_was_asked_for() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    for round in 0..3 {
        for key in 0..50 {
            let lease = pools.get(&key).await.unwrap();
            assert_eq!((lease.key, lease.conn.id), (key, 0), "round {round}");
        }
    }
    assert_eq!((pools.len(), servers.open()), (50, 50));
}

/// Kong #9582, and pingora's pool by a hash of 64 bits: a request went to the wrong upstream.
#[tokio::test(start_paused = true)]
async fn keys_with_the_same_hash_have_pools_of_their_own() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(1)).build().unwrap();
    for _ in 0..3 {
        for key in (0..20).map(SameHash) {
            assert_eq!(pools.get(&key).await.unwrap().key, key);
            assert_eq!(pools.try_get(&key).unwrap().key, key);
        }
    }
    assert_eq!((pools.len(), servers.open()), (20, 20));
    for gone in (0..20).step_by(3).map(SameHash) {
        assert!(pools.remove(&gone).is_some());
    }
    for key in (0..20).map(SameHash) {
        let found = pools
            .find(&key)
            .map(|pool| cenote::keyed::KeyHandle::key(&pool).clone());
        assert_eq!(found, (key.0 % 3 != 0).then_some(key));
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_looked_for_by_what_it_borrows_as() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    assert!(pools.try_get("acme").is_err());
    let lease = pools.get("acme").await.unwrap();
    assert_eq!(lease.key, "acme");
    drop(lease);
    assert_eq!(pools.try_get("acme").unwrap().key, "acme");
    assert!(pools.find("acme").is_some() && pools.find("nobody").is_none());
}

/// One live entry of a key at a time: callers on all threads that ask for a new key at once have one pool.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_many_ask_for_at_once_has_one_pool() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(1)).build().unwrap();
    for key in 0..200 {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let pools = pools.clone();
                tokio::spawn(async move { drop(pools.get(&key).await.unwrap()) })
            })
            .collect();
        for asks in asking {
            asks.await.unwrap();
        }
        assert_eq!(servers.at(&key).connected(), 1, "key {key}");
    }
    assert_eq!(pools.len(), 200);
}

/// What is leased of a shared pool is of its key as well, on one connection each.
#[tokio::test(start_paused = true)]
async fn shared_pools_are_by_key_too() {
    let servers = [Server::default(), Server::default()];
    let of = servers.clone();
    let pools = Keyed::builder(move |key: &usize| SharedPool::builder(of[*key].clone()))
        .build()
        .unwrap();
    let mut leases = Vec::new();
    for key in [0, 1, 0, 1, 0] {
        leases.push(pools.get(&key).await.unwrap());
    }
    assert_eq!(servers.each_ref().map(Server::open), [1, 1]);
    let status = pools.status();
    assert_eq!((status.keys, status.leased), (2, 2));
    drop(leases);
    pass(secs(1)).await;
    assert!(pools.try_get(&0).is_ok() || pools.get(&0).await.is_ok());
}
