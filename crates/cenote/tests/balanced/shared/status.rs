use cenote::SharedLease;
use cenote::report::EndpointStatus;

use super::{hold, over, shares, spread, use_once, warm};
use crate::service::{Service, To, ms, pass, secs, set_of};

fn of(pool: &cenote::SharedPool<To>, name: &str) -> EndpointStatus {
    let status = pool.endpoints().expect("it is over a set");
    let mut its = status.endpoints.into_iter();
    its.find(|endpoint| &*endpoint.name == name)
        .expect("it is known")
}

/// How far its share of the last minute is from that.
fn differs(pool: &cenote::SharedPool<To>, name: &str, expected: f64) -> f64 {
    let share = of(pool, name).share_of_last_minute;
    (share.expect("leases began") - expected).abs()
}

#[tokio::test(start_paused = true)]
async fn leases_on_shared_connections_are_shares_of_the_last_minute() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    pass(ms(1)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, None);
    let mut got = shares(&pool, 40).await;
    for (name, held) in spread(&hold(&pool, 60).await) {
        *got.entry(name).or_default() += held;
    }
    assert!(differs(&pool, "a", got["a"] as f64 / 100.0) < 1e-9);
    assert!(differs(&pool, "b", got["b"] as f64 / 100.0) < 1e-9);
}

/// What is parked, or was closed, has carried leases all the same, and counts once.
#[tokio::test(start_paused = true)]
async fn leases_count_whose_shared_connections_are_parked_or_gone() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    let mut got = shares(&pool, 40).await;
    pass(secs(5)).await;
    assert_eq!(pool.status().sharing.unwrap().serving, 0, "parked");
    for _ in 0..20 {
        let lease = pool.get().await.unwrap();
        *got.entry(lease.server.clone()).or_default() += 1;
        SharedLease::discard(lease);
        pass(ms(1)).await;
    }
    let all: usize = got.values().sum();
    assert!(differs(&pool, "a", got["a"] as f64 / all as f64) < 1e-9);
    pass(secs(61)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, None);
}

/// Nobody asks while the leases are taken, nor soon after.
#[tokio::test(start_paused = true)]
async fn shared_leases_count_as_of_when_they_began_and_not_of_when_somebody_asks() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    pass(secs(61)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, None, "it rested");
    // The lifecycle beneath rests, while a connection serves.
    let _held = hold(&pool, 1).await;
    pass(secs(10)).await;
    drop(hold(&pool, 10).await);
    pass(secs(61)).await;
    assert_eq!(pool.status().sharing.unwrap().serving, 1);
    assert_eq!(of(&pool, "a").share_of_last_minute, None);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_begins_with_nothing_of_one_that_is_gone() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    sender.send(set_of(&["a"]));
    pass(ms(10)).await;
    sender.send(set_of(&["a", "c"]));
    pass(ms(10)).await;
    assert_eq!(of(&pool, "c").share_of_last_minute, Some(0.0));
    while use_once(&pool).await != "c" {}
    assert!(of(&pool, "c").share_of_last_minute > Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn how_long_calls_on_shared_connections_take_is_shown() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a"]);
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    SharedLease::timed_outcome(&lease, cenote::endpoints::Outcome::Ok, ms(20));
    let latency = of(&pool, "a").latency.map(|latency| latency.as_millis());
    assert_eq!(latency, Some(20));
}
