//! How many connections there may be over all pools: the bound, what is reserved of it, and its changes.

use super::*;

/// In any order of events: users of three pools who come, hold and leave, and a budget that changes.
#[tokio::test(start_paused = true)]
async fn no_more_than_the_budget_are_ever_open_or_being_opened() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let (server, budget) = (Server::of(5), Budget::new(5));
        let half = Budget::within(&budget, 3);
        let pools = [
            pool(&server, &budget),
            pool(&server, &half),
            builder(&server, &half).min_idle(1).build().unwrap(),
        ];
        let mut users = JoinSet::new();
        for _ in 0..20 {
            let (pools, mut rng) = (pools.clone(), rng.fork());
            users.spawn(async move {
                for _ in 0..30 {
                    let pool = &pools[rng.usize(..3)];
                    let lease = timeout(ms(rng.u64(1..100)), pool.get()).await;
                    sleep(ms(rng.u64(..20))).await;
                    match lease {
                        Ok(Ok(lease)) if rng.u8(..8) == 0 => Lease::discard(lease),
                        _ => {}
                    }
                    sleep(ms(rng.u64(..50))).await;
                }
            });
        }
        while !users.is_empty() {
            sleep(ms(rng.u64(..100))).await;
            let max = rng.usize(..=5);
            budget.resize(max);
            // What is open or permitted already may stay.
            server
                .max
                .store(max.max(budget.status().connections), SeqCst);
            while users.try_join_next().is_some() {}
        }
        server.max.store(5, SeqCst);
        budget.resize(5);
        assert_whole(&server, &budget, &pools).await;
        assert!(half.status().connections <= 3, "seed {seed}");
        // None was lost: the budget can be had by one pool, but for what is reserved for another.
        let leases = join_all((0..4).map(|_| get(&pools[0]))).await;
        assert_eq!(leases.len(), 4, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_reserved_than_the_budget_has_is_refused_with_both_numbers() {
    let (server, budget) = (Server::of(5), Budget::new(5).named("database"));
    let first = builder(&server, &budget).min_idle(3).build().unwrap();
    let error = builder(&server, &budget).min_idle(3).build().unwrap_err();
    assert_eq!(error.setting, "min_idle");
    assert_eq!(
        error.to_string(),
        "min_idle is 3, which can't work: with the 3 that other pools of budget database reserve these are 6, and it \
         has 5 connections; lower min_idle or raise the budget"
    );
    let within = Budget::within(&budget, 1);
    let error = builder(&server, &within).min_idle(2).build().unwrap_err();
    assert!(error.accepted.contains("it has 1 connection;"), "{error}");
    let shared = SharedPool::builder(server.clone()).min_size(3);
    let error = shared.budget(&budget).build().unwrap_err();
    assert_eq!(error.setting, "min_size");
    drop(first);
    sleep(secs(1)).await;
    builder(&server, &budget).min_idle(5).build().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_a_pool_no_other_has() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = builder(&server, &budget).min_idle(2).build().unwrap();
    let b = pool(&server, &budget);
    let lease = get(&b).await;
    let mut second = pin!(b.get());
    assert!(timeout(secs(10), second.as_mut()).await.is_err());
    assert_eq!((a.status().idle, closed_for_budget(&a)), (2, 0));
    // And it can be had at any time.
    let leases = (get(&a).await, get(&a).await);
    assert!(timeout(secs(10), second.as_mut()).await.is_err());
    drop(lease);
    drop(timeout(NEVER, second).await.unwrap().unwrap());
    drop(leases);
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_reserved_for_a_pool_built_later_is_taken_from_the_others() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let a = pool(&server, &budget);
    drop(join_all([a.get(), a.get(), a.get()]).await);
    let b = builder(&server, &budget).min_idle(2).build().unwrap();
    sleep(secs(10)).await;
    assert_eq!((a.status().idle, b.status().idle), (1, 2));
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_smaller_budget_closes_idle_connections_now_and_leased_ones_as_they_come_back() {
    let (server, budget) = (Server::of(4), Budget::new(4));
    let [a, b] = pools(&server, &budget);
    let leases = (get(&a).await, get(&a).await, get(&b).await);
    drop(get(&b).await);
    budget.resize(2);
    assert_eq!((server.open(), b.status().idle), (3, 0));
    drop(leases.0);
    assert_eq!((server.open(), a.status().idle), (2, 0));
    drop((leases.1, leases.2));
    assert_eq!((server.open(), a.status().idle, b.status().idle), (2, 1, 1));
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_budget_of_none_serves_nobody_until_it_has_some_again() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let a = builder(&server, &budget).min_idle(1).build().unwrap();
    let b = pool(&server, &budget);
    let lease = get(&b).await;
    budget.resize(0);
    sleep(secs(5)).await;
    assert_eq!(server.open(), 1, "the one that is leased");
    drop(lease);
    assert_eq!(server.open(), 0);
    let (of_a, of_b) = (a.get(), b.get());
    let mut both = pin!(futures::future::join(of_a, of_b));
    assert!(timeout(secs(60), both.as_mut()).await.is_err());
    assert_eq!(server.open(), 0);
    budget.resize(2);
    let both = timeout(NEVER, both).await.unwrap();
    assert!(both.0.is_ok() && both.1.is_ok());
    drop(both);
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bigger_budget_serves_the_pools_that_wait() {
    let (server, budget) = (Server::of(3), Budget::new(1));
    let [a, b, c] = pools(&server, &budget);
    let lease = get(&a).await;
    let mut others = pin!(futures::future::join(b.get(), c.get()));
    assert!(timeout(secs(10), others.as_mut()).await.is_err());
    budget.resize(3);
    let leases = timeout(NEVER, others).await.unwrap();
    assert!(leases.0.is_ok() && leases.1.is_ok());
    drop((lease, leases));
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn a_time_out_names_the_bound_that_was_hit() {
    let (server, budget) = (Server::of(1), Budget::new(1).named("database"));
    let [a, b] = pools(&server, &budget);
    let lease = get(&a).await;
    let error = b.get().timeout(secs(1)).await.unwrap_err().to_string();
    let said = "; budget database: 1 of 1 connection, ";
    assert!(error.contains(said), "{error}");
    drop(lease);
    // Its own size is no budget.
    a.resize(1).unwrap();
    let lease = get(&a).await;
    let error = a.get().timeout(secs(1)).await.unwrap_err().to_string();
    assert!(!error.contains("; budget"), "{error}");
    drop(lease);
}

#[tokio::test(start_paused = true)]
async fn a_connection_opened_elsewhere_is_added_only_where_the_budget_has_room() {
    let (server, budget) = (Server::of(2), Budget::new(1));
    let [a, b] = pools(&server, &budget);
    a.add(server.enter()).unwrap();
    assert_eq!(budget.status().connections, 1);
    let refused = b.add(server.enter()).unwrap_err();
    assert!(matches!(refused, AddError::Full(_)));
    drop(refused);
    drop(get(&b).await);
    assert_whole(&server, &budget, [&a, &b]).await;
}
