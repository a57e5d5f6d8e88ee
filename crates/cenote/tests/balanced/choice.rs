use std::collections::BTreeMap;

use cenote::endpoints::{Balance, Endpoint, EndpointSet, fixed};

use crate::service::{
    Answer, Service, endpoint, ms, set_of, shares, two_levels, use_now_and_then, use_once,
};

const EVERY: [Balance; 4] = [
    Balance::PowerOfTwo,
    Balance::LeastLoaded,
    Balance::RoundRobin,
    Balance::Random,
];

#[tokio::test(start_paused = true)]
async fn one_after_the_other_each_endpoint_has_its_turn_in_a_round() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.balance(Balance::RoundRobin).build().unwrap();
    // Until each has a connection.
    shares(&pool, 6).await;
    let shares = shares(&pool, 30).await;
    assert!(shares.values().all(|share| *share == 10), "{shares:?}");
}

/// Work conservation fights balance: one user is served by the first connection there is, for good, unless the others are
/// dialled though nobody waits for them.
#[tokio::test(start_paused = true)]
async fn one_user_alone_comes_to_every_endpoint_in_every_way_of_choosing() {
    for balance in EVERY {
        let service = Service::default();
        let (_sender, pool) = service.over(&["a", "b", "c", "d"]);
        let pool = pool.balance(balance).build().unwrap();
        let shares = shares(&pool, 400).await;
        assert_eq!(shares.len(), 4, "{balance:?}");
        assert!(
            shares.values().all(|share| *share > 50),
            "{balance:?}: {shares:?}"
        );
        assert_eq!(service.all_open(), 4, "one each, for one user");
    }
}

/// pingora #1006, #891.
#[tokio::test(start_paused = true)]
async fn shares_follow_weights_and_weight_0_gets_none() {
    for balance in [Balance::PowerOfTwo, Balance::RoundRobin, Balance::Random] {
        let service = Service::default();
        let (_sender, pool) = service.over_set(EndpointSet::from([
            endpoint("heavy").weight(3),
            endpoint("light"),
            endpoint("drained").weight(0),
        ]));
        let pool = pool.balance(balance).build().unwrap();
        shares(&pool, 20).await;
        let shares = shares(&pool, 1_000).await;
        let heavy = shares["heavy"];
        assert!((700..800).contains(&heavy), "{balance:?}: {shares:?}");
        assert_eq!(shares.get("drained"), None, "{balance:?}");
        assert_eq!(service.dialled("drained"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_weights_are_0_the_endpoints_share_alike() {
    let service = Service::default();
    let zero = |name: &str| Endpoint::new(name.to_owned()).weight(0);
    let (_sender, pool) = service.over_set(EndpointSet::from([zero("a"), zero("b")]));
    let pool = pool.build().unwrap();
    let shares = shares(&pool, 200).await;
    assert!(shares.values().all(|share| *share > 60), "{shares:?}");
}

/// etcd-client #28: other behaviour for one endpoint than for several.
#[tokio::test(start_paused = true)]
async fn a_set_of_one_is_as_any() {
    for balance in EVERY {
        let service = Service::default();
        let (_sender, pool) = service.over(&["only"]);
        let pool = pool.balance(balance).build().unwrap();
        assert_eq!(
            shares(&pool, 10).await,
            BTreeMap::from([("only".to_owned(), 10)])
        );
        assert_eq!(service.dialled("only"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn users_at_the_same_time_are_spread_over_the_endpoints() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c", "d", "e"]);
    let pool = pool.build().unwrap();
    let users = (0..20).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                use_once(&pool).await;
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    for name in ["a", "b", "c", "d", "e"] {
        let open = service.open(name);
        assert!((3..=6).contains(&open), "{name}: {open} of 20");
    }
}

/// Backups are for when those before them do not suffice.
#[tokio::test(start_paused = true)]
async fn a_lower_level_serves_only_while_the_first_cannot_be_reached() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.build().unwrap();
    assert_eq!(shares(&pool, 20).await.get("second"), None);
    service.kill("first");
    let during = shares(&pool, 20).await;
    assert_eq!(during, BTreeMap::from([("second".to_owned(), 20)]));
    service.set("first", Answer::Accept);
    use_now_and_then(&pool, 100).await;
    assert_eq!(shares(&pool, 20).await.get("second"), None, "it is back");
}

#[tokio::test(start_paused = true)]
async fn a_lower_level_serves_what_the_first_has_no_connections_for() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.max_per_endpoint(2).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.get().await.unwrap());
    }
    let servers: Vec<_> = leases.iter().map(|lease| &*lease.server).collect();
    assert_eq!(servers, ["first", "first", "second"]);
}

/// The order in which a source lists endpoints says nothing (otel-collector #49585).
#[tokio::test(start_paused = true)]
async fn a_set_told_in_another_order_changes_nothing() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    sender.send(set_of(&["b", "a"]));
    shares(&pool, 20).await;
    assert_eq!((service.dialled("a"), service.dialled("b")), (1, 1));
}

/// A thread's random numbers are for each of its pools, and go on.
#[tokio::test(start_paused = true)]
async fn many_pools_with_seeds_on_one_thread_spread_their_leases() {
    let service = Service::default();
    let names: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    let pools: Vec<_> = (0..8)
        .map(|_| {
            let source = fixed(EndpointSet::of(names.clone()));
            service.balanced(source).build().unwrap()
        })
        .collect();
    let mut had = vec![std::collections::BTreeMap::<String, usize>::new(); pools.len()];
    for _ in 0..200 {
        for (pool, had) in pools.iter().zip(&mut had) {
            *had.entry(use_once(pool).await).or_default() += 1;
        }
    }
    for had in had {
        assert_eq!(had.len(), 8, "{had:?}");
    }
}

/// After a wait connections lie on the shelf, and are chosen there as elsewhere.
#[tokio::test(start_paused = true)]
async fn after_a_wait_a_lower_level_serves_none_while_the_first_has_an_idle_connection() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.max_per_endpoint(20).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..40 {
        leases.push(pool.get().await.unwrap());
    }
    assert!(pool.get().timeout(ms(10)).await.is_err());
    // Ten of each come back, the second's before the first's.
    for name in ["second", "first"] {
        for _ in 0..10 {
            let place = leases.iter().position(|lease| lease.server == name);
            drop(leases.swap_remove(place.unwrap()));
        }
    }
    let shares = shares(&pool, 10).await;
    assert_eq!(shares.get("second"), None, "{shares:?}");
}
