use std::collections::BTreeMap;

use cenote::SharedLease;
use cenote::endpoints::{Balance, EndpointSet};
use cenote::shared::Choice;

use super::{hold, hold_slowly, over, over_set, shares, spread, use_once, warm};
use crate::service::{CAPACITY, Service, endpoint, ms, pass, secs, set_of, two_levels};

const EVERY: [Balance; 4] = [
    Balance::PowerOfTwo,
    Balance::LeastLoaded,
    Balance::RoundRobin,
    Balance::Random,
];

/// One connection could carry the leases of one user, and of many: the others are opened all the same.
#[tokio::test(start_paused = true)]
async fn one_user_alone_comes_to_every_endpoint_in_every_way_of_choosing() {
    for balance in EVERY {
        let service = Service::default();
        let (_sender, pool) = over(&service, &["a", "b", "c", "d"]);
        let pool = pool.balance(balance).build().unwrap();
        let shares = shares(&pool, 400).await;
        assert_eq!(shares.len(), 4, "{balance:?}");
        assert!(
            shares.values().all(|share| *share > 50),
            "{balance:?}: {shares:?}"
        );
        assert_eq!(service.all_open(), 4, "one each");
    }
}

#[tokio::test(start_paused = true)]
async fn leases_at_the_same_time_are_divided_by_what_each_endpoint_carries() {
    for choice in [
        Choice::LeastLoaded,
        Choice::RoundRobin,
        Choice::FirstAvailable,
    ] {
        let service = Service::default();
        let (_sender, pool) = over(&service, &["a", "b", "c", "d"]);
        let pool = pool.choice(choice).build().unwrap();
        warm(&pool).await;
        let held = hold(&pool, 200).await;
        let spread = spread(&held);
        assert!(
            spread.values().all(|leases| (45..=55).contains(leases)),
            "{choice:?}: {spread:?}"
        );
    }
}

/// Over connections of unlike capacity the endpoints share alike: capacity bounds, weights divide.
#[tokio::test(start_paused = true)]
async fn a_great_capacity_is_no_weight() {
    let service = Service::default();
    service.set_capacity("great", 10 * CAPACITY);
    let (_sender, pool) = over(&service, &["great", "small"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let spread = spread(&hold(&pool, 60).await);
    assert!(spread["great"].abs_diff(spread["small"]) <= 6, "{spread:?}");
}

#[tokio::test(start_paused = true)]
async fn shares_follow_weights_and_weight_0_gets_none() {
    for balance in [Balance::PowerOfTwo, Balance::RoundRobin, Balance::Random] {
        let service = Service::default();
        let set = EndpointSet::from([
            endpoint("heavy").weight(3),
            endpoint("light"),
            endpoint("drained").weight(0),
        ]);
        let (_sender, pool) = over_set(&service, set);
        let pool = pool.balance(balance).build().unwrap();
        warm(&pool).await;
        let shares = shares(&pool, 1_000).await;
        let heavy = shares["heavy"];
        assert!((700..800).contains(&heavy), "{balance:?}: {shares:?}");
        assert_eq!(shares.get("drained"), None, "{balance:?}");
        assert_eq!(service.dialled("drained"), 0);
    }
}

/// A connection that is busy has room yet, and its endpoint is to have its share: what is full has one more opened.
#[tokio::test(start_paused = true)]
async fn shares_follow_weights_though_the_heavy_endpoint_is_busy_before_the_others() {
    for balance in [Balance::PowerOfTwo, Balance::PeakEwma, Balance::Random] {
        let service = Service::default();
        let set = EndpointSet::from([endpoint("heavy").weight(3), endpoint("light")]);
        let (_sender, pool) = over_set(&service, set);
        let pool = pool.balance(balance).build().unwrap();
        shares(&pool, 200).await;
        let spread = spread(&hold_slowly(&pool, 2 * CAPACITY).await);
        let heavy = spread["heavy"];
        assert!((140..160).contains(&heavy), "{balance:?}: {spread:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_of_small_connections_has_more_of_them_rather_than_less_than_its_share() {
    let service = Service::default();
    service.set_capacity("great", 10 * CAPACITY);
    let (_sender, pool) = over(&service, &["great", "small"]);
    let pool = pool.build().unwrap();
    shares(&pool, 200).await;
    let spread = spread(&hold_slowly(&pool, 4 * CAPACITY).await);
    assert!(
        spread["great"].abs_diff(spread["small"]) <= 20,
        "{spread:?}"
    );
}

/// Backups are for when those before them do not suffice.
#[tokio::test(start_paused = true)]
async fn a_lower_level_serves_where_the_first_has_no_room() {
    let service = Service::default();
    service.set_capacity("first", 2);
    let (_sender, pool) = over_set(&service, two_levels());
    let pool = pool.max_per_endpoint(1).build().unwrap();
    assert_eq!(shares(&pool, 20).await.get("second"), None);
    let spread = spread(&hold(&pool, 5).await);
    assert_eq!((spread["first"], spread["second"]), (2, 3));
}

/// A server that has just started is not to have its whole share at once.
#[tokio::test(start_paused = true)]
async fn where_that_is_set_a_new_endpoint_comes_to_its_share_slowly() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.slow_start(secs(10)).build().unwrap();
    warm(&pool).await;
    sender.send(set_of(&["a", "b", "new"]));
    warm(&pool).await;
    let soon = shares(&pool, 600).await;
    assert!((10..130).contains(&soon["new"]), "{soon:?}");
    pass(secs(10)).await;
    warm(&pool).await;
    let later = shares(&pool, 600).await;
    assert!((150..250).contains(&later["new"]), "{later:?}");
}

/// etcd-client #28: other behaviour for one endpoint than for several.
#[tokio::test(start_paused = true)]
async fn a_set_of_one_is_as_any() {
    for balance in EVERY {
        let service = Service::default();
        let (_sender, pool) = over(&service, &["only"]);
        let pool = pool.balance(balance).build().unwrap();
        assert_eq!(shares(&pool, 10).await["only"], 10);
        assert_eq!(service.dialled("only"), 1);
    }
}

/// Ten leases a second on ten endpoints: the connection of each rests between two, and is to be checked before the next.
#[tokio::test(start_paused = true)]
async fn endpoints_whose_connections_rest_between_two_uses_come_to_their_shares() {
    for balance in EVERY {
        let service = Service::default();
        let names: Vec<_> = (0..10).map(|number| format!("e{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        for name in &names {
            service.set_connect_time(name, ms(5));
            service.set_check_time(name, ms(3));
        }
        let (_sender, pool) = over(&service, &names);
        let pool = pool.balance(balance).build().unwrap();
        let mut shares = BTreeMap::<_, usize>::new();
        for _ in 0..1_000 {
            *shares.entry(use_once(&pool).await).or_default() += 1;
            pass(ms(100)).await;
        }
        assert!(
            shares.len() == 10 && shares.values().all(|share| *share > 60),
            "{balance:?}: {shares:?}"
        );
        assert_eq!(service.all_open(), 10, "{balance:?}: one each");
    }
}

#[tokio::test(start_paused = true)]
async fn the_connections_of_each_endpoint_take_turns() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool
        .balance(Balance::RoundRobin)
        .choice(Choice::RoundRobin)
        .build()
        .unwrap();
    warm(&pool).await;
    let mut held = Vec::new();
    while pool.status().sharing.unwrap().serving < 4 {
        held.push(pool.get().await.unwrap());
        pass(ms(1)).await;
    }
    drop(held);
    let mut uses = BTreeMap::<_, usize>::new();
    for _ in 0..400 {
        let lease = pool.get().await.unwrap();
        *uses.entry(SharedLease::info(&lease).id).or_default() += 1;
        pass(ms(1)).await;
    }
    assert!(
        uses.len() == 4 && uses.values().all(|uses| (95..=105).contains(uses)),
        "{uses:?}"
    );
}
