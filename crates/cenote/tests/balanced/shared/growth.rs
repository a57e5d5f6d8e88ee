use std::collections::{BTreeMap, VecDeque};

use cenote::SharedLease;

use super::{hold, over, shares, spread, use_once, warm};
use crate::service::{Answer, CAPACITY, Service, ms, pass, secs, set_of};

#[tokio::test(start_paused = true)]
async fn a_cold_burst_opens_a_few_connections_to_each_endpoint() {
    let service = Service::default();
    for name in ["a", "b", "c"] {
        service.set_connect_time(name, ms(5));
    }
    let (_sender, pool) = over(&service, &["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let users: Vec<_> = (0..200)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let lease = pool.get().await.unwrap();
                pass(secs(1)).await;
                lease.server.clone()
            })
        })
        .collect();
    for user in users {
        user.await.unwrap();
    }
    for name in ["a", "b", "c"] {
        assert!((1..=2).contains(&service.most_open(name)), "{name}");
    }
}

/// Three quarters of what a connection carries: then there is one more.
#[tokio::test(start_paused = true)]
async fn once_all_are_busy_endpoints_get_one_more_each_as_the_load_grows() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let mut held = hold(&pool, CAPACITY).await;
    assert_eq!(service.all_open(), 2, "half of what they carry");
    for _ in 0..2 * CAPACITY {
        held.push(pool.get().await.unwrap());
        pass(ms(1)).await;
    }
    assert_eq!((service.open("a"), service.open("b")), (2, 2));
    let spread = spread(&held);
    assert!(spread["a"].abs_diff(spread["b"]) <= 40, "{spread:?}");
}

/// tower #456: a pool that follows its load opens one, closes one, opens one, ...
#[tokio::test(start_paused = true)]
async fn under_a_light_load_each_endpoint_keeps_one_and_nothing_is_opened_anew() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "c"]);
    let pool = pool.shrink_after(secs(1)).build().unwrap();
    warm(&pool).await;
    let busy = hold(&pool, 6 * CAPACITY / 2).await;
    pass(ms(100)).await;
    drop(busy);
    // Ten minutes of one user, with a lease every millisecond.
    for _ in 0..600 {
        shares(&pool, 50).await;
        pass(ms(950)).await;
    }
    let dialled = ["a", "b", "c"].map(|name| service.dialled(name));
    shares(&pool, 2_000).await;
    assert_eq!(dialled, ["a", "b", "c"].map(|name| service.dialled(name)));
    assert!(service.all_open() >= 3);
}

#[tokio::test(start_paused = true)]
async fn no_endpoint_has_more_than_its_bound() {
    let service = Service::default();
    service.set_capacity("a", 1);
    service.set_capacity("b", 1);
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.max_per_endpoint(3).build().unwrap();
    let held = hold(&pool, 6).await;
    assert_eq!((service.open("a"), service.open("b")), (3, 3));
    assert!(pool.get().timeout(secs(1)).await.is_err());
    drop(held);
    assert_eq!((service.most_open("a"), service.most_open("b")), (3, 3));
}

/// In a pool that is full, another endpoint gives one up.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_to_a_full_pool_is_made_room_for() {
    let service = Service::default();
    for name in ["a", "b", "c"] {
        service.set_capacity(name, 4);
    }
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.max_size(4).build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 16).await;
    assert_eq!(service.all_open(), 4);
    drop(held);
    sender.send(set_of(&["a", "b", "c"]));
    let mut most = 0;
    for _ in 0..100 {
        let held = hold(&pool, 8).await;
        pass(ms(20)).await;
        drop(held);
        most = most.max(service.all_open());
    }
    assert!(service.open("c") >= 1);
    assert!(most <= 4, "{most} open at once");
}

/// A connection that is past its lifetime is replaced, and its endpoint is not left without leases for long.
#[tokio::test(start_paused = true)]
async fn old_connections_are_replaced_while_their_endpoints_serve() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "c"]);
    let pool = pool
        .max_lifetime(secs(60))
        .lifetime_jitter(0.0)
        .build()
        .unwrap();
    warm(&pool).await;
    for _ in 0..300 {
        shares(&pool, 20).await;
        pass(ms(980)).await;
    }
    for name in ["a", "b", "c"] {
        assert!((4..=7).contains(&service.dialled(name)), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_closed_after_its_idle_time() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b", "c"]);
    let pool = pool.idle_timeout(secs(60)).build().unwrap();
    warm(&pool).await;
    assert_eq!(service.all_open(), 3);
    pass(secs(120)).await;
    assert_eq!(service.all_open(), 0);
    assert_eq!(shares(&pool, 100).await.len(), 3);
}

#[test]
fn what_is_for_sets_is_refused_for_one_endpoint() {
    use cenote::SharedPool;
    use cenote::endpoints::Balance;

    let service = Service::default();
    let builder = || SharedPool::builder(service.connector("only"));
    let errors = [
        builder().max_per_endpoint(2).build().unwrap_err(),
        builder().balance(Balance::Random).build().unwrap_err(),
        builder().slow_start(secs(1)).build().unwrap_err(),
    ];
    for (error, setting) in errors
        .iter()
        .zip(["max_per_endpoint", "balance", "slow_start"])
    {
        let text = error.to_string();
        assert!(
            text.contains(setting) && text.contains("set of endpoints"),
            "{text}"
        );
    }
}

/// So busy that the others of its endpoint could not do without it, and not so busy that another is opened anyway.
#[tokio::test(start_paused = true)]
async fn connections_under_steady_load_are_replaced_at_the_end_of_their_lifetime() {
    for names in [&["only"][..], &["a", "b", "c"]] {
        let service = Service::default();
        let (_sender, pool) = over(&service, names);
        let pool = pool
            .max_lifetime(secs(60))
            .lifetime_jitter(0.0)
            .build()
            .unwrap();
        warm(&pool).await;
        let mut held = VecDeque::from(hold(&pool, 60 * names.len()).await);
        for _ in 0..6_000 {
            drop(held.pop_front());
            held.push_back(pool.try_get().unwrap());
            pass(ms(50)).await;
        }
        for name in names {
            assert!((4..=7).contains(&service.dialled(name)), "{name}");
        }
    }
}

/// An endpoint that cannot be dialled any more serves on the connection it has; the others are no worse for it.
#[tokio::test(start_paused = true)]
async fn an_old_connection_that_cannot_be_replaced_serves_on_and_keeps_no_other_from_being_replaced()
 {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["stuck", "other"]);
    let pool = pool
        .max_lifetime(secs(60))
        .lifetime_jitter(0.0)
        .build()
        .unwrap();
    warm(&pool).await;
    service.set("stuck", Answer::Refuse);
    let mut held = VecDeque::from(hold(&pool, 120).await);
    for _ in 0..6_000 {
        drop(held.pop_front());
        held.push_back(pool.try_get().unwrap());
        pass(ms(50)).await;
    }
    assert_eq!(service.open("stuck"), 1);
    assert!((4..=7).contains(&service.dialled("other")));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_connections_take_long_to_become_ready_has_one_opened_and_no_more() {
    let service = Service::default();
    service.set_warm_up("slow", secs(2));
    let (_sender, pool) = over(&service, &["a", "b", "slow"]);
    let pool = pool.build().unwrap();
    let mut held = VecDeque::new();
    for _ in 0..2_000 {
        held.push_back(pool.get().await.unwrap());
        if held.len() > 40 {
            held.pop_front();
        }
        pass(ms(2)).await;
    }
    assert_eq!(service.dialled("slow"), 1);
    assert!(spread(held.make_contiguous()).contains_key("slow"));
}

/// Its connections are in use, and go one at a time.
#[tokio::test(start_paused = true)]
async fn a_full_pool_gives_up_one_connection_for_another_endpoint_and_none_before_that_has_gone() {
    let service = Service::default();
    for name in ["a", "b", "c"] {
        service.set_capacity(name, 4);
    }
    let (sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.max_size(4).build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 16).await;
    // One lease stays on each connection.
    let mut one_each = BTreeMap::new();
    for lease in held {
        one_each
            .entry(SharedLease::info(&lease).id)
            .or_insert(lease);
    }
    assert_eq!(one_each.len(), 4);
    sender.send(set_of(&["a", "b", "c"]));
    for _ in 0..200 {
        use_once(&pool).await;
        pass(ms(50)).await;
    }
    assert_eq!(pool.status().sharing.unwrap().draining, 1);
    drop(one_each);
    let shares = shares(&pool, 300).await;
    assert_eq!(shares.len(), 3, "{shares:?}");
}
