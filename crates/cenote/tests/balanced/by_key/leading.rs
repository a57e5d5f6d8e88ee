use std::collections::{BTreeMap, BTreeSet};

use cenote::endpoints::{EndpointSet, Outcome};
use cenote::{Lease, Pool};

use super::{NAMES, homes, key_of, use_by_key};
use crate::service::{Answer, Service, endpoint, ms, pass, set_of, two_levels, use_once};

#[tokio::test(start_paused = true)]
async fn a_key_leads_to_the_same_endpoint_each_time_and_keys_to_all() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let first = homes(&pool, 200).await;
    assert_eq!(homes(&pool, 200).await, first);
    for name in NAMES {
        let keys = first.values().filter(|home| *home == name).count();
        assert!((15..=80).contains(&keys), "{name} has {keys} of 200");
    }
}

/// otel-collector #49585: the order in which a source lists endpoints is no matter; nor are what processes do.
#[tokio::test(start_paused = true)]
async fn two_pools_over_the_same_set_agree_where_a_key_leads() {
    let (one, other) = (Service::default(), Service::default());
    let (_one, one) = one.over(&NAMES);
    let (_other, other) = other.over(&["e", "c", "a", "b", "d"]);
    let (one, other) = (one.build().unwrap(), other.seed(99).build().unwrap());
    assert_eq!(homes(&one, 100).await, homes(&other, 100).await);
}

/// envoy #22558: one endpoint more or less moved keys between the others.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_leaves_or_joins_moves_its_own_keys_and_no_others() {
    let service = Service::default();
    let (sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let before = homes(&pool, 200).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    pass(ms(10)).await;
    let without = homes(&pool, 200).await;
    for (key, home) in &before {
        match home.as_str() {
            "e" => assert_ne!(without[key], "e"),
            home => assert_eq!(without[key], home, "key {key}"),
        }
    }
    sender.send(set_of(&NAMES));
    pass(ms(10)).await;
    assert_eq!(homes(&pool, 200).await, before);
}

/// envoy #38815: keys stayed with the endpoint that was dead.
#[tokio::test(start_paused = true)]
async fn keys_of_an_endpoint_that_is_down_go_elsewhere_and_come_back_with_it() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let before = homes(&pool, 100).await;
    service.kill("b");
    let without = homes(&pool, 100).await;
    for (key, home) in &before {
        match home.as_str() {
            "b" => assert_ne!(without[key], "b"),
            home => assert_eq!(without[key], home, "key {key}"),
        }
    }
    service.set("b", Answer::Accept);
    for _ in 0..30 {
        use_once(&pool).await;
        pass(ms(100)).await;
    }
    assert_eq!(homes(&pool, 100).await, before);
}

/// Mirrokni et al.: no endpoint carries more than a quarter above its share, whatever keys are in demand.
#[tokio::test(start_paused = true)]
async fn a_key_in_great_demand_is_spread_and_returns_to_its_endpoint() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.max_size(200).max_per_endpoint(40).build().unwrap();
    let home = use_by_key(&pool, 7).await;
    let mut leases = Vec::new();
    for _ in 0..100 {
        leases.push(pool.get().by_key(&7_u32).await.unwrap());
    }
    let mut carried = BTreeMap::new();
    for lease in &leases {
        *carried.entry(lease.server.as_str()).or_insert(0) += 1;
    }
    // A fifth and a quarter of that, and as many as a count may be late.
    assert!(carried.values().all(|leases| *leases <= 30), "{carried:?}");
    assert!(carried.len() >= 4, "{carried:?}");
    drop(leases);
    assert_eq!(use_by_key(&pool, 7).await, home);
}

/// Where little is carried keys stay where they are, though their endpoint carries all there is.
#[tokio::test(start_paused = true)]
async fn a_few_leases_by_one_key_stay_with_its_endpoint() {
    let service = Service::default();
    let (_sender, pool) = service.over(&NAMES);
    let pool = pool.build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.get().by_key("user").await.unwrap());
    }
    let servers: BTreeSet<_> = leases.iter().map(|lease| lease.server.as_str()).collect();
    assert_eq!(servers.len(), 1, "{servers:?}");
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_gets_no_keys_and_on_trial_one_call_of_them() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let key = key_of(&pool, "b").await;
    for _ in 0..20 {
        let lease = pool.get().by_key(&key).await.unwrap();
        let outcome = match lease.server.as_str() {
            "b" => Outcome::Failed,
            _ => Outcome::Ok,
        };
        Lease::outcome(&lease, outcome);
        pass(ms(1)).await;
    }
    assert_ne!(use_by_key(&pool, key).await, "b");
    // The ejection is over, and one call is to decide.
    let mut on_trial = Vec::new();
    for _ in 0..600 {
        pass(ms(100)).await;
        let lease = pool.get().by_key(&key).await.unwrap();
        if lease.server == "b" {
            on_trial.push(lease);
            break;
        }
        Lease::outcome(&lease, Outcome::Ok);
    }
    assert_eq!(on_trial.len(), 1, "it is tried again within a minute");
    assert_ne!(use_by_key(&pool, key).await, "b");
    Lease::outcome(&on_trial[0], Outcome::Ok);
    drop(on_trial);
    pass(ms(100)).await;
    assert_eq!(use_by_key(&pool, key).await, "b");
}

#[tokio::test(start_paused = true)]
async fn keys_lead_to_the_endpoints_of_the_priority_that_serves() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.build().unwrap();
    let served: BTreeSet<_> = homes(&pool, 20).await.into_values().collect();
    assert!(served.iter().eq(["first"]), "{served:?}");
    service.kill("first");
    let served: BTreeSet<_> = homes(&pool, 20).await.into_values().collect();
    assert!(served.iter().eq(["second"]), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn heavy_endpoints_have_more_keys_and_weight_0_none() {
    let service = Service::default();
    let set = EndpointSet::from([
        endpoint("heavy").weight(3),
        endpoint("light"),
        endpoint("none").weight(0),
    ]);
    let (_sender, pool) = service.over_set(set);
    let pool = pool.build().unwrap();
    let homes = homes(&pool, 400).await;
    let keys = |name: &str| homes.values().filter(|home| *home == name).count();
    assert!((250..=350).contains(&keys("heavy")), "{}", keys("heavy"));
    assert_eq!(keys("none"), 0);
}

#[tokio::test(start_paused = true)]
async fn where_all_weigh_0_keys_lead_to_all() {
    let service = Service::default();
    let set = NAMES.map(|name| endpoint(name).weight(0));
    let (_sender, pool) = service.over_set(EndpointSet::from(set));
    let pool = pool.build().unwrap();
    let homes: BTreeSet<_> = homes(&pool, 100).await.into_values().collect();
    assert_eq!(homes.len(), 5, "{homes:?}");
}

#[tokio::test(start_paused = true)]
async fn in_a_pool_of_one_endpoint_every_key_leads_there() {
    let service = Service::default();
    let pool = Pool::new(service.connector("only"));
    assert_eq!(use_by_key(&pool, 1).await, "only");
    assert!(Lease::endpoint_id(&pool.get().await.unwrap()).is_none());
}
