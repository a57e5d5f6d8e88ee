use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use cenote::error::TryGetError;
use cenote::{GetError, Keyed, OwnedLease, Pool};

use crate::Servers;
use crate::server::{Server, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn closing_ends_all_pools_and_makes_no_more() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(1)).build().unwrap();
    let lease = pools.get(&1).await.unwrap();
    drop(pools.get(&2).await.unwrap());
    let waits = tokio::spawn({
        let pools = pools.clone();
        async move { pools.get(&1).await.map(drop) }
    });
    pass(ms(10)).await;
    let close = pools.close();
    assert!(pools.is_closed() && pools.is_empty());
    assert!(matches!(waits.await.unwrap(), Err(GetError::Closed { .. })));
    for key in [1, 2, 3] {
        assert!(matches!(
            pools.get(&key).await.map(drop),
            Err(GetError::Closed { .. })
        ));
        assert!(matches!(
            pools.try_get(&key).map(drop),
            Err(TryGetError::Closed)
        ));
        assert!(pools.pool(&key).is_err());
    }
    assert_eq!(servers.open(), 1, "what is leased stays until it is back");
    drop(lease);
    assert_eq!(close.await.abandoned, 0);
    assert_eq!(servers.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_its_time_at_most() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let leases = [pools.get(&1).await.unwrap(), pools.get(&2).await.unwrap()];
    let report = pools.close().timeout(secs(1)).await;
    assert_eq!(report.abandoned, 2);
    drop(leases);
    assert_eq!(servers.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_removed_has_its_pool_closed_and_another_made_when_it_is_asked_for() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let lease = pools.get(&1).await.unwrap();
    drop(pools.get(&2).await.unwrap());
    let close = pools.remove(&1).unwrap();
    assert_eq!(pools.len(), 1);
    let next = pools.get(&1).await.unwrap();
    assert_ne!(next.conn.id, lease.conn.id);
    drop(lease);
    assert_eq!(close.await.abandoned, 0);
    assert_eq!(servers.at(&1).open(), 1, "the next one's");
    assert!(pools.remove(&7).is_none());
}

/// However it was closed: by a clone that was taken of it, too, while its leases are out.
#[tokio::test(start_paused = true)]
async fn a_key_whose_pool_was_closed_has_another_made_for_the_next_who_asks() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let _lease = pools.get(&1).await.unwrap();
    let clone = Pool::clone(&pools.find(&1).unwrap());
    drop(clone.close());
    let next = pools.get(&1).await;
    assert_eq!(next.map(|lease| lease.conn.id).unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_the_last_handle_the_pools_end_and_leases_outlive_them() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let (lease, handle) = (pools.get(&1).await.unwrap(), pools.pool(&2).unwrap());
    drop(pools.get(&3).await.unwrap());
    drop(handle.get().await.unwrap());
    drop(pools.clone());
    assert_eq!(servers.open(), 3);
    drop(pools);
    let open = |key| servers.at(&key).open();
    assert_eq!(
        [1, 2, 3].map(open),
        [1, 1, 0],
        "a handle on one keeps that one"
    );
    drop(lease);
    drop(handle);
    assert_eq!(servers.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn evicting_replaces_the_connections_of_all_keys() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let lease = pools.get(&1).await.unwrap();
    drop(pools.get(&2).await.unwrap());
    pools.evict();
    drop(lease);
    assert_eq!(servers.open(), 0);
    assert_eq!(pools.get(&1).await.unwrap().conn.id, 1);
}

/// A drain that begins with a signal and is waited for elsewhere.
#[tokio::test(start_paused = true)]
async fn a_close_after_another_waits_for_the_same_leases() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let lease = pools.get(&1).await.unwrap();
    drop(pools.close());
    let report = pools.close().timeout(secs(1)).await;
    assert_eq!(report.abandoned, 1);
    let last = tokio::spawn(pools.close());
    pass(secs(1)).await;
    drop(lease);
    assert_eq!(last.await.unwrap().abandoned, 0);
    assert_eq!(servers.open(), 0);
}

/// A key whose drop takes a handle on the pools along, if it has one, and panics where it is told to.
#[derive(Clone, Debug)]
struct Last {
    number: u32,
    pools: Arc<Mutex<Option<Pools>>>,
    panics: Arc<AtomicBool>,
}

type Pools = Keyed<Last, Pool<Server>>;

impl PartialEq for Last {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Last {}

impl Hash for Last {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.number.hash(hasher);
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        let pools = self.pools.lock().unwrap().take();
        drop(pools);
        assert!(!self.panics.load(SeqCst), "told to");
    }
}

/// The last handle goes while a lease ends: so do all keys, and a lease's end does not panic.
#[tokio::test(start_paused = true)]
async fn a_key_that_panics_as_the_pools_end_with_a_lease_is_not_its_holder_s_affair() {
    let server = Server::default();
    let of = server.clone();
    let pools = Keyed::builder(move |_: &Last| of.clone()).build().unwrap();
    let key = |number| Last {
        number,
        pools: Arc::default(),
        panics: Arc::default(),
    };
    let (first, second) = (key(1), key(2));
    let lease = pools.get(&first).await.unwrap();
    drop(pools.get(&second).await.unwrap());
    let (last, panics) = (Arc::clone(&first.pools), Arc::clone(&second.panics));
    drop((first, second));
    *last.lock().unwrap() = Some(pools);
    panics.store(true, SeqCst);
    OwnedLease::discard(lease);
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_pool_is_made_for_a_caller_that_comes_after_the_end() {
    let made = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&made);
    let servers = Servers::new();
    let pools = servers
        .keyed(move |pool| {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            pool.max_size(0)
        })
        .build()
        .unwrap();
    drop(pools.close());
    let error = pools.get(&1).await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::Closed { .. }), "{error}");
    assert_eq!(made.load(std::sync::atomic::Ordering::SeqCst), 0);
}
