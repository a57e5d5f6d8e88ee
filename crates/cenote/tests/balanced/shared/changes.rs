use cenote::endpoints::EndpointSet;
use cenote::report::EndpointCondition;

use super::{hold, over, shares, spread, warm};
use crate::service::{Service, endpoint, ms, pass, secs, set_of};

/// cilium #12551, grpc #12295.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_gets_its_share_though_no_connection_is_lost() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    warm(&pool).await;
    let shares = shares(&pool, 400).await;
    assert!(shares.values().all(|share| *share > 50), "{shares:?}");
    assert_eq!(shares.len(), 4);
    assert_eq!(service.dialled("a") + service.dialled("b"), 2);
}

/// redis-rs #1438: open connections stay on the old endpoint.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_leaves_carries_its_leases_to_the_end_and_gets_no_more() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["stays", "goes"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let mut held = hold(&pool, 10).await;
    let before = spread(&held)["goes"];
    assert!(before > 0);
    sender.send(set_of(&["stays"]));
    pass(ms(10)).await;
    assert_eq!(spread(&hold(&pool, 20).await).get("goes"), None);

    let status = pool.endpoints().unwrap();
    let gone = status.endpoints.iter().find(|at| &*at.name == "goes");
    let gone = gone.expect("it has connections yet");
    assert!(
        matches!(gone.condition, EndpointCondition::Draining { since, .. } if since == ms(10)),
        "{gone}"
    );
    assert_eq!(gone.in_flight, before, "those it carries");
    assert_eq!(service.open("goes"), 1);
    held.retain(|lease| lease.server == "stays");
    pass(ms(10)).await;
    assert_eq!(service.open("goes"), 0, "with the last of its leases");
    assert_eq!(pool.endpoints().unwrap().endpoints.len(), 1);
}

/// scylla-rust #756: all nodes change their addresses at once.
#[tokio::test(start_paused = true)]
async fn the_whole_set_can_be_replaced_under_leases() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 10).await;
    sender.send(set_of(&["c", "d"]));
    let shares = shares(&pool, 100).await;
    assert!(
        shares
            .keys()
            .all(|name| name == "c" || name == "d" || shares[name] <= 1)
    );
    drop(held);
    pass(secs(1)).await;
    assert_eq!((service.open("a"), service.open("b")), (0, 0));
}

/// An endpoint whose weight becomes 0 is drained, and is back with its weight.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_back_before_it_was_gone_is_the_same() {
    let service = Service::default();
    let (sender, pool) = over(&service, &["stays", "returns"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 10).await;
    sender.send(set_of(&["stays"]));
    pass(ms(10)).await;
    sender.send(set_of(&["stays", "returns"]));
    pass(ms(10)).await;
    warm(&pool).await;
    assert!(spread(&hold(&pool, 20).await)["returns"] > 5);
    drop(held);
    assert!(spread(&hold(&pool, 20).await)["returns"] > 5);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_replaces_the_connections_of_all_endpoints() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 10).await;
    pool.evict();
    warm(&pool).await;
    assert_eq!((service.dialled("a"), service.dialled("b")), (2, 2));
    drop(held);
    pass(ms(10)).await;
    assert_eq!(service.all_open(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_with_the_last_lease_and_leaves_nothing_open() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "c"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 10).await;
    let close = tokio::spawn(pool.close());
    pass(ms(10)).await;
    assert!(!close.is_finished());
    drop(held);
    assert_eq!(close.await.unwrap().abandoned, 0);
    assert_eq!(service.all_open(), 0);
}

/// Leases and connections are told apart.
#[tokio::test(start_paused = true)]
async fn what_is_told_of_an_endpoint_is_its_leases_and_its_connections() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["only"]);
    let pool = pool.build().unwrap();
    let _held = hold(&pool, 7).await;
    let text = pool.inspect().to_string();
    assert!(
        text.contains("7 leases out, 1 connection open, 0 opening"),
        "{text}"
    );
}

/// A server whose weight is set to 0 is to be out of service once that is known, and one of a small weight is not to have
/// its old share for some leases more.
#[tokio::test(start_paused = true)]
async fn another_weight_counts_from_the_next_lease_on() {
    for weight in [0, 1] {
        let service = Service::default();
        let (sender, pool) = over(&service, &["a", "b"]);
        let pool = pool.build().unwrap();
        shares(&pool, 210).await;
        let set = [endpoint("a").weight(1_000), endpoint("b").weight(weight)];
        sender.send(EndpointSet::from(set));
        pass(ms(1)).await;
        let shares = shares(&pool, 100).await;
        assert!(shares["a"] >= 98, "{weight}: {shares:?}");
    }
}
