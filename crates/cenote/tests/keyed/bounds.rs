use cenote::Budget;
use cenote::report::CloseReason;
use futures::FutureExt;

use crate::Servers;
use crate::server::{Act, ms, pass, secs};

/// undici #3268, reqwest #2424, xet-core #459: a bound on all keys together, dials counted.
#[tokio::test(start_paused = true)]
async fn all_keys_together_have_no_more_connections_than_the_total() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.max_size(5))
        .max_total(10)
        .build()
        .unwrap();
    let users: Vec<_> = (0..200)
        .map(|user| {
            let (pools, servers) = (pools.clone(), servers.clone());
            tokio::spawn(async move {
                let key = user % 40;
                servers.at(&key).plan(|plan| plan.connect = Act::Slow);
                let lease = pools.get(&key).timeout(secs(600)).await.unwrap();
                assert!(servers.open() <= 10, "{}", servers.open());
                pass(ms(20)).await;
                drop(lease);
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    let budget = pools.status().budget.unwrap();
    assert_eq!((budget.max_connections, budget.waiting), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_has_been_idle_for_longest_of_whichever_key_goes_for_another() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).max_total(3).build().unwrap();
    for key in [1, 2, 3, 1] {
        drop(pools.get(&key).await.unwrap());
        pass(secs(1)).await;
    }
    drop(pools.get(&4).await.unwrap());
    let open = |key| servers.at(&key).open();
    assert_eq!([1, 2, 3, 4].map(open), [1, 0, 1, 1]);
    assert_eq!(
        *servers.at(&2).seen.left.lock().unwrap(),
        [CloseReason::Budget]
    );
    assert!(
        pools.find(&2).is_none(),
        "a key without a connection is forgotten"
    );
}

/// smithy-rs #4708: whichever comes first, a connection or a permit; and no key waits for ever beside one that is busy.
#[tokio::test(start_paused = true)]
async fn no_key_waits_for_ever_while_another_has_its_connections_come_and_go() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.max_size(4))
        .max_total(4)
        .build()
        .unwrap();
    let busy: Vec<_> = (0..16)
        .map(|_| {
            let pools = pools.clone();
            tokio::spawn(async move {
                loop {
                    let lease = pools.get(&0).timeout(secs(60)).await.unwrap();
                    pass(ms(5)).await;
                    drop(lease);
                }
            })
        })
        .collect();
    pass(secs(1)).await;
    for key in 1..10 {
        drop(pools.get(&key).await.unwrap());
    }
    busy.iter().for_each(tokio::task::JoinHandle::abort);
}

/// postgres `max_connections`: what the keys and other pools have together.
#[tokio::test(start_paused = true)]
async fn a_budget_may_be_for_all_keys_and_for_other_pools() {
    let servers = Servers::new();
    let database = Budget::new(4).named("database");
    let pools = servers
        .keyed(|pool| pool.max_size(2))
        .max_total(3)
        .budget(&database)
        .build()
        .unwrap();
    let single = servers.at(&99).builder().budget(&database).build().unwrap();
    let _held = single.get().await.unwrap();
    let mut leases = Vec::new();
    for key in 0..3 {
        leases.push(pools.get(&key).await.unwrap());
    }
    let full = pools.get(&3).timeout(ms(50)).await.map(drop).unwrap_err();
    assert!(full.to_string().contains("tenants[3]"), "{full}");
    assert!(
        full.to_string().contains("budget tenants"),
        "which bound: {full}"
    );
    assert_eq!(database.status().connections, 4);
    drop(leases);
    drop(pools.get(&3).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_status_says_for_how_many_keys_callers_wait() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(1)).build().unwrap();
    let _held = [pools.get(&1).await.unwrap(), pools.get(&2).await.unwrap()];
    let text = |keys: &[u32]| {
        let mut waiting: Vec<_> = keys.iter().map(|key| pools.get(key)).collect();
        for get in &mut waiting {
            assert!(get.now_or_never().is_none());
        }
        pools.status().to_string()
    };
    let connections =
        "tenants: 2 keys have 2 connections (2 leased, 0 idle, 0 in upkeep), 0 opening";
    assert_eq!(text(&[]), format!("{connections}, 0 waiting"));
    assert_eq!(text(&[1, 1]), format!("{connections}, 2 waiting for 1 key"));
    assert_eq!(
        text(&[1, 2, 1]),
        format!("{connections}, 3 waiting for 2 keys")
    );
}

#[tokio::test]
async fn a_total_of_none_is_refused() {
    let servers = Servers::<u32>::new();
    let refused = servers.keyed(|pool| pool).max_total(0).build().unwrap_err();
    assert_eq!(refused.setting, "max_total");
}

/// Go's `MaxIdleConns`, httpcore's `max_keepalive_connections`: a bound on what idles, of whichever key.
#[tokio::test(start_paused = true)]
async fn of_more_idle_connections_than_may_be_those_go_that_have_been_idle_for_longest() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).max_idle(3).build().unwrap();
    let mut leases = Vec::new();
    for key in 0..10 {
        leases.push(pools.get(&key).await.unwrap());
    }
    pass(secs(60)).await;
    assert_eq!(servers.open(), 10, "what is leased is not idle");
    for lease in leases {
        pass(secs(2)).await;
        drop(lease);
    }
    pass(secs(2)).await;
    let open = |key| servers.at(&key).open();
    assert_eq!([0, 6, 7, 8, 9].map(open), [0, 0, 1, 1, 1]);
    let status = pools.status();
    assert_eq!((status.keys, status.idle), (3, 3));
    assert_eq!(
        status.to_string(),
        "tenants: 3 keys have 3 connections (0 leased, 3 idle, 0 in upkeep), 0 opening, 0 waiting; \
         budget tenants: 3 connections, 3 idle at most, 0 pools waiting"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_kept_ready_do_not_go_for_the_bound_on_idle_ones() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.min_idle(1))
        .max_idle(2)
        .build()
        .unwrap();
    for key in 0..4 {
        let leases = (
            pools.get(&key).await.unwrap(),
            pools.get(&key).await.unwrap(),
        );
        drop(leases);
    }
    pass(secs(10)).await;
    let open = |key| servers.at(&key).open();
    assert_eq!([0, 1, 2, 3].map(open), [1, 1, 1, 1]);
}

/// A pool that nobody uses, with leases that last, is looked at until they have come back.
#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_to_a_pool_at_rest_counts_as_idle() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).max_idle(0).build().unwrap();
    let lease = pools.get(&1).await.unwrap();
    pass(secs(3_600)).await;
    drop(lease);
    pass(secs(2)).await;
    assert_eq!((servers.open(), pools.len()), (0, 0));
}

/// What was counted as idle and is closed for another key is idle no more, though its pool rests.
#[tokio::test(start_paused = true)]
async fn what_was_taken_from_a_key_at_rest_does_not_count_as_idle() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.idle_timeout(None).max_lifetime(None).keepalive(None))
        .max_total(10)
        .max_idle(5)
        .build()
        .unwrap();
    let lease_of = async |key, count| {
        let mut leases = Vec::new();
        for _ in 0..count {
            leases.push(pools.get(&key).await.unwrap());
        }
        leases
    };
    // A handle keeps the key, with no connection left.
    let handle = pools.pool(&1).unwrap();
    drop(lease_of(1, 5).await);
    pass(secs(60)).await;
    assert_eq!(servers.at(&1).open(), 5);
    drop(lease_of(2, 10).await);
    assert_eq!(servers.at(&1).open(), 0);
    pass(secs(60)).await;
    assert_eq!(servers.at(&2).open(), 5);
    drop(handle);
}

/// Of keys that keep one connection ready beside one that is leased, none is closed to be opened again.
#[tokio::test(start_paused = true)]
async fn connections_that_are_kept_ready_beside_leases_are_not_closed_and_dialled_in_turn() {
    let servers = Servers::new();
    let pools = servers
        .keyed(|pool| pool.min_idle(1))
        .max_idle(2)
        .build()
        .unwrap();
    let mut leases = Vec::new();
    for key in 0..4 {
        leases.push(pools.get(&key).await.unwrap());
    }
    pass(secs(10)).await;
    let dials = |key| servers.at(&key).dials();
    let before = [0, 1, 2, 3].map(dials);
    pass(secs(60)).await;
    assert_eq!([0, 1, 2, 3].map(dials), before);
    assert_eq!(pools.status().idle, 4);
}

/// A key whose pool was closed while a lease is out has nothing idle any more.
#[tokio::test(start_paused = true)]
async fn what_a_closed_key_had_does_not_count_as_idle() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).max_idle(3).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pools.get(&1).await.unwrap());
    }
    let held = leases.pop();
    drop(leases);
    pass(secs(10)).await;
    drop(pools.remove(&1));
    let leases = [
        pools.get(&2).await,
        pools.get(&2).await,
        pools.get(&2).await,
    ];
    drop(leases);
    pass(secs(10)).await;
    assert_eq!(servers.at(&2).open(), 3);
    drop(held);
}
