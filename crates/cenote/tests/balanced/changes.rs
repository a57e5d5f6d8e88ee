use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cenote::Pool;
use cenote::endpoints::{Endpoint, EndpointSet, channel, fixed};
use cenote::report::{CloseReason, EventKind};

use crate::service::{Service, endpoint, ms, pass, secs, set_of, shares, use_once};

/// grpc #12295, cilium #12551, grpc-node #2455: what is added is not seen until a connection breaks.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_added_comes_to_its_share_with_no_connection_broken() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    shares(&pool, 50).await;
    let shares = shares(&pool, 400).await;
    assert!(shares.values().all(|share| *share > 50), "{shares:?}");
    assert_eq!((shares.len(), pool.counters().closed()), (4, 0));
}

/// linkerd2 #2550: a balancer that drives its discovery only when it is called; tk_pool, which reads addresses only as it
/// sends.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_loses_its_idle_connections_while_nobody_calls() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    assert_eq!((service.open("a"), service.open("b")), (1, 1));
    sender.send(set_of(&["b"]));
    pass(ms(1)).await;
    assert_eq!((service.open("a"), service.open("b")), (0, 1));
    assert_eq!(pool.counters().closed_by(CloseReason::EndpointGone), 1);
    assert_eq!(shares(&pool, 10).await.get("a"), None);
}

/// redis-rs #1438, deadpool #372: open connections stay on what is no longer the service.
#[tokio::test(start_paused = true)]
async fn a_lease_on_an_endpoint_that_is_removed_ends_it_when_it_comes_back() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    sender.send(set_of(&["b"]));
    pass(secs(1)).await;
    assert_eq!(service.open("a"), 1, "its user has it");
    drop(lease);
    pass(ms(1)).await;
    assert_eq!(service.open("a"), 0);
    assert_eq!(use_once(&pool).await, "b");
}

/// scylla-rust-driver #756: all nodes have other addresses, and none is ever connected to again.
#[tokio::test(start_paused = true)]
async fn a_set_that_is_replaced_whole_is_served_by_the_new_one() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    service.kill("a");
    service.kill("b");
    sender.send(set_of(&["c", "d"]));
    let shares = shares(&pool, 100).await;
    assert!(shares.keys().eq(["c", "d"]), "{shares:?}");
    assert_eq!((service.open("a"), service.open("b")), (0, 0));
}

/// redis-py #3917: a refresh of the topology tears down every pool.
#[tokio::test(start_paused = true)]
async fn endpoints_that_stay_keep_their_connections_through_any_change() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    for round in 0..20 {
        let other = format!("other{round}");
        sender.send(set_of(&["a", "b", &other]));
        shares(&pool, 20).await;
    }
    assert_eq!((service.dialled("a"), service.dialled("b")), (1, 1));
}

/// cloudfoundry routing-release #262: pruning that always hits the newest.
#[tokio::test(start_paused = true)]
async fn shares_stay_even_as_endpoints_come_and_go() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let mut all = BTreeMap::<String, usize>::new();
    for _ in 0..50 {
        for names in [
            &["a", "b", "c"][..],
            &["a", "c"],
            &["c", "b", "a"],
            &["b", "c"],
        ] {
            sender.send(set_of(names));
            for (name, share) in shares(&pool, 20).await {
                *all.entry(name).or_default() += share;
            }
        }
    }
    let (a, b, c) = (all["a"], all["b"], all["c"]);
    assert!(c > a && c > b && a.abs_diff(b) < a / 4, "{all:?}");
}

/// kong #2131: an address that is removed twice crashes the balancer.
#[tokio::test(start_paused = true)]
async fn an_endpoint_removed_and_told_again_and_removed_is_gone_once() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    let lease = loop {
        let lease = pool.get().await.unwrap();
        if lease.server == "a" {
            break lease;
        }
        pass(ms(1)).await;
    };
    for _ in 0..3 {
        sender.send(set_of(&["b"]));
        pass(ms(1)).await;
        sender.send(set_of(&["a", "b"]));
        pass(ms(1)).await;
    }
    drop(lease);
    assert_eq!(service.open("a"), 1, "it is back before its lease was");
    sender.send(set_of(&["b"]));
    pass(ms(1)).await;
    assert_eq!(service.open("a"), 0);
    assert_eq!(shares(&pool, 10).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn weight_0_drains_and_another_weight_brings_back() {
    let service = Service::default();
    let weighing = |weight| EndpointSet::from([endpoint("a").weight(weight), endpoint("b")]);
    let (sender, pool) = service.over_set(weighing(1));
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    sender.send(weighing(0));
    pass(ms(1)).await;
    assert_eq!((service.open("a"), service.open("b")), (0, 1));
    assert_eq!(shares(&pool, 20).await.get("a"), None);
    sender.send(weighing(1));
    let shares = shares(&pool, 200).await;
    assert!(shares["a"] > 50, "{shares:?}");
}

/// pingora #1006: a panic in what makes of an endpoint what is dialled freezes the membership.
#[tokio::test(start_paused = true)]
async fn a_connector_that_cannot_be_made_keeps_only_its_endpoint_from_serving() {
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(set_of(&["a", "poison"]));
    let made = service.clone();
    let pool = Pool::balanced(source, move |endpoint: &Endpoint<String>| {
        assert_ne!(endpoint.key, "poison");
        made.connector(&endpoint.key)
    });
    let pool = pool.build().unwrap();
    assert!(shares(&pool, 10).await.keys().eq(["a"]));
    sender.send(set_of(&["a", "b", "poison"]));
    assert_eq!(
        shares(&pool, 100).await.len(),
        2,
        "others come all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn changes_of_the_set_are_told() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let _pool = pool
        .on_event(move |event| {
            if let EventKind::EndpointsChanged {
                added,
                removed,
                now,
                ..
            } = event.kind
            {
                log.lock().unwrap().push((added, removed, now));
            }
        })
        .build()
        .unwrap();
    pass(ms(1)).await;
    sender.send(set_of(&["b", "c", "d"]));
    pass(ms(1)).await;
    assert_eq!(*told.lock().unwrap(), [(2, 0, 2), (2, 1, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_over_a_set_ends_as_any() {
    let service = Service::default();
    let pool = service
        .balanced(fixed(set_of(&["a", "b"])))
        .build()
        .unwrap();
    shares(&pool, 20).await;
    let lease = pool.get_owned().await.unwrap();
    drop(pool);
    assert_eq!(service.all_open(), 1);
    drop(lease);
    pass(ms(1)).await;
    assert_eq!(service.all_open(), 0);
}
