//! All pools of the process, of whatever kind, can be found and looked at; the registry keeps none.

use cenote::registry::{self, RegisteredPool};
use cenote::report::PoolState;
use cenote::{Lease, SharedPool};

use crate::alone::alone;
use crate::server::Server;

/// Other tests of this process have pools too.
fn named(name: &str) -> Vec<RegisteredPool> {
    let pools = registry::pools().into_iter();
    pools.filter(|pool| pool.name() == name).collect()
}

#[tokio::test]
async fn pools_of_every_kind_are_found_by_name_and_looked_at() {
    let server = Server::default();
    let name = "registry: every kind";
    let exclusive = server.builder().name(name).max_size(3).build().unwrap();
    let shared = server.shared().name(name).max_size(4).build().unwrap();
    let lease = exclusive.get().await.unwrap();
    Lease::set_label(&lease, "checkout");
    let _lease = shared.get().await.unwrap();
    let mut found: Vec<_> = named(name).iter().map(RegisteredPool::inspect).collect();
    found.sort_by_key(|snapshot| snapshot.settings.max_size);
    let sizes: Vec<_> = found
        .iter()
        .map(|snapshot| snapshot.settings.max_size)
        .collect();
    assert_eq!(sizes, [3, 4], "and not the pool beneath the shared one");
    assert_eq!(found[0].holders()[0].label, Some("checkout"));
    assert_eq!(found[1].status.sharing.unwrap().in_flight, 1);
}

#[tokio::test]
async fn a_pool_that_is_dropped_is_gone_and_was_closed_though_somebody_looks_at_it() {
    let server = Server::default();
    let name = "registry: dropped";
    let pool = server.builder().name(name).build().unwrap();
    let lease = pool.get_owned().await.unwrap();
    let found = named(name).pop().unwrap();
    drop(pool);
    assert_eq!(found.inspect().status.state, PoolState::Closed);
    assert_eq!(found.inspect().status.leased, 1);
    drop(lease);
    drop(found);
    assert!(named(name).is_empty());
    let shared: SharedPool<Server> = server.shared().name(name).build().unwrap();
    assert_eq!(named(name).len(), 1);
    drop(shared);
    assert!(named(name).is_empty());
}

/// Nothing is left of any, and building and dropping one costs the same however many there are.
#[test]
fn ten_thousand_pools_come_and_go() {
    alone("registry::ten_thousand_pools_come_and_go", || {
        let server = Server::default();
        let build = |i: usize| server.builder().name(format!("pool {i}")).build().unwrap();
        let mut pools: Vec<_> = (0..10_000).map(build).collect();
        assert_eq!(registry::pools().len(), 10_000);
        for i in (0..10_000).step_by(2) {
            pools[i] = build(10_000 + i);
        }
        let all = registry::pools();
        assert_eq!(all.len(), 10_000);
        assert!(all.iter().all(|pool| pool.name().starts_with("pool ")));
        drop(all);
        drop(pools);
        assert!(registry::pools().is_empty());
    });
}

/// While others build and drop theirs.
#[test]
fn pools_are_listed_whatever_threads_build_and_drop_them() {
    let name = "registry: threads";
    let stay = Server::default().builder().name(name).build().unwrap();
    let threads = [(); 4].map(|()| {
        std::thread::spawn(|| {
            for _ in 0..200 {
                drop(
                    Server::default()
                        .builder()
                        .name("registry: brief")
                        .build()
                        .unwrap(),
                );
            }
        })
    });
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert_eq!(named(name).len(), 1);
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(named("registry: brief").is_empty());
    drop(stay);
}
