use cenote::GetError;
use cenote::endpoints::channel;

use crate::service::{Answer, Service, ms, pass, secs, set_of, use_once};

/// mongo-rust-driver #294: a caller that looks before it subscribes misses the endpoint that comes between.
#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_the_first_set_is_served_once_it_is_told() {
    let service = Service::default();
    let (sender, source) = channel();
    let pool = service.balanced(source).build().unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_once(&pool).await })
    };
    pass(secs(1)).await;
    assert!(!caller.is_finished());
    sender.send(set_of(&["a"]));
    pass(ms(2)).await;
    assert_eq!(caller.await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_time_is_up_before_any_set_is_told_so() {
    let service = Service::default();
    let (_sender, source) = channel();
    let pool = service.balanced(source).build().unwrap();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(error.is_timeout());
    let text = error.to_string();
    assert!(text.contains("no endpoint is known"), "{text}");
}

/// envoy, linkerd2 #2550, grpc-rust #2746: a caller in the queue of an endpoint that has died waits beside others that
/// are free.
#[tokio::test(start_paused = true)]
async fn a_waiter_is_served_by_whichever_endpoint_has_a_connection_first() {
    for free in ["a", "b"] {
        let service = Service::default();
        let (_sender, pool) = service.over(&["a", "b"]);
        let pool = pool.max_per_endpoint(1).build().unwrap();
        let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        let caller = {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        };
        pass(ms(10)).await;
        let (freed, kept) = match first.server == free {
            true => (first, second),
            false => (second, first),
        };
        service.kill(&kept.server);
        drop(freed);
        assert_eq!(caller.await.unwrap(), free);
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_of_all_endpoints_are_one_queue_in_the_order_they_came() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.get().await.unwrap());
    }
    let served = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let users: Vec<_> = (0..30)
        .map(|user| {
            let (pool, served) = (pool.clone(), served.clone());
            tokio::spawn(async move {
                let lease = pool.get().await.unwrap();
                served.lock().unwrap().push(user);
                pass(ms(3 + user as u64 % 5)).await;
                drop(lease);
            })
        })
        .collect();
    pass(ms(1)).await;
    drop(leases);
    for user in users {
        user.await.unwrap();
    }
    assert!(served.lock().unwrap().iter().copied().eq(0..30));
}

/// The removal is acted on though all users wait, and the endpoint that replaces it serves them (linkerd2 #2550).
#[tokio::test(start_paused = true)]
async fn waiters_beside_an_endpoint_that_is_replaced_are_served_by_the_next() {
    let service = Service::default();
    let (sender, pool) = service.over(&["old"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        })
        .collect();
    pass(ms(10)).await;
    sender.send(set_of(&["new"]));
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "new");
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn no_endpoint_has_more_connections_than_it_may_and_all_no_more_than_max_size() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.max_per_endpoint(4).max_size(10).build().unwrap();
    let users: Vec<_> = (0..40)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..5 {
                    use_once(&pool).await;
                }
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    for name in ["a", "b", "c"] {
        assert!((2..=4).contains(&service.most_open(name)), "{name}");
    }
    assert_eq!(pool.status().size, 10);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_cannot_be_served_in_time_learns_which_endpoints_fail() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["alpha", "beta"]);
    let pool = pool.max_per_endpoint(1).build().unwrap();
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    service.kill("alpha");
    service.set("beta", Answer::Refuse);
    let (dead, _alive): (Vec<_>, Vec<_>) =
        held.into_iter().partition(|lease| lease.server == "alpha");
    drop(dead);
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::TimedOut(_)));
    let text = error.to_string();
    assert!(text.contains("alpha: connection refused"), "{text}");
    assert!(!text.contains("beta"), "nothing of it failed: {text}");
}
