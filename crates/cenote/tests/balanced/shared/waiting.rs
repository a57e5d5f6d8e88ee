use std::sync::{Arc, Mutex};

use super::{hold, over, use_once, warm};
use crate::service::{Answer, Service, ms, pass, secs, set_of};

/// linkerd2 #2550, grpc-rust #2746: a queue behind each endpoint strands who waits at one that dies.
#[tokio::test(start_paused = true)]
async fn who_waits_is_served_by_whichever_endpoint_has_room_first_and_in_order() {
    let service = Service::default();
    for name in ["a", "b"] {
        service.set_capacity(name, 2);
    }
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    warm(&pool).await;
    let mut held = hold(&pool, 4).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let waiters: Vec<_> = (0..4)
        .map(|number| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            tokio::spawn(async move {
                let lease = pool.get().await.unwrap();
                order.lock().unwrap().push((number, lease.server.clone()));
                pass(secs(1)).await;
            })
        })
        .collect();
    pass(ms(10)).await;
    held.sort_by(|one, other| one.server.cmp(&other.server));
    // Those of `b` first.
    while let Some(lease) = held.pop() {
        drop(lease);
        pass(ms(1)).await;
    }
    for waiter in waiters {
        waiter.await.unwrap();
    }
    let order = order.lock().unwrap();
    let expected = [(0, "b"), (1, "b"), (2, "a"), (3, "a")];
    let expected = expected.map(|(number, name)| (number, name.to_owned()));
    assert_eq!(order[..], expected);
}

/// mongo-rust #294: an endpoint that comes up between look and wait.
#[tokio::test(start_paused = true)]
async fn who_waits_is_served_by_an_endpoint_that_comes() {
    let service = Service::default();
    service.set_capacity("full", 1);
    let (sender, pool) = over(&service, &["full"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    let _held = pool.get().await.unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { use_once(&pool).await }
    });
    pass(ms(100)).await;
    sender.send(set_of(&["full", "new"]));
    assert_eq!(waiter.await.unwrap(), "new");
}

/// A pool over nothing waits for the first endpoint there is.
#[tokio::test(start_paused = true)]
async fn who_waits_before_there_is_any_endpoint_is_served_by_the_first() {
    let service = Service::default();
    let (sender, source) = cenote::endpoints::channel();
    let pool = service.shared(source).build().unwrap();
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { use_once(&pool).await }
    });
    pass(secs(1)).await;
    sender.send(set_of(&["first"]));
    assert_eq!(waiter.await.unwrap(), "first");
}

/// The room of an endpoint that leaves is none: who waits goes elsewhere.
#[tokio::test(start_paused = true)]
async fn a_permit_that_comes_free_on_an_endpoint_that_has_left_serves_nobody() {
    let service = Service::default();
    for name in ["goes", "stays"] {
        service.set_capacity(name, 1);
    }
    let (sender, pool) = over(&service, &["goes", "stays"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    warm(&pool).await;
    let mut held = hold(&pool, 2).await;
    held.sort_by(|one, other| one.server.cmp(&other.server));
    sender.send(set_of(&["stays"]));
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { use_once(&pool).await }
    });
    pass(ms(10)).await;
    drop(held.remove(0));
    pass(secs(1)).await;
    assert!(!waiter.is_finished());
    drop(held);
    assert_eq!(waiter.await.unwrap(), "stays");
}

/// A dial that hangs is not waited for while another endpoint can be dialled.
#[tokio::test(start_paused = true)]
async fn a_first_caller_is_served_though_an_endpoint_swallows_its_dial() {
    for seed in 0..8 {
        let service = Service::default();
        service.set("silent", Answer::Swallow);
        let (_sender, pool) = over(&service, &["a", "silent"]);
        let pool = pool.seed(seed).build().unwrap();
        let lease = pool.get().timeout(secs(1)).await.unwrap();
        assert_eq!(lease.server, "a");
    }
}

/// Nor is one that is opened and never ready to carry a lease.
#[tokio::test(start_paused = true)]
async fn a_first_caller_is_served_though_an_endpoint_never_becomes_ready() {
    for seed in 0..8 {
        let service = Service::default();
        service.set_capacity("mute", 0);
        let (_sender, pool) = over(&service, &["a", "mute"]);
        let pool = pool.seed(seed).build().unwrap();
        let lease = pool.get().timeout(secs(1)).await.unwrap();
        assert_eq!(lease.server, "a");
    }
}
