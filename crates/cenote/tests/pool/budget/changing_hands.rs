//! Whose connection is closed for whom, and that every pool is served.

use super::*;

#[tokio::test(start_paused = true)]
async fn pools_share_what_the_budget_has() {
    let (server, budget) = (Server::of(3), Budget::new(3).named("database"));
    let [a, b] = pools(&server, &budget);
    let leases = (get(&a).await, get(&b).await, get(&b).await);
    assert_eq!(
        budget.status().to_string(),
        "budget database: 3 of 3 connections, 0 pools waiting"
    );
    let mut waiting = pin!(a.get());
    assert!(poll!(waiting.as_mut()).is_pending());
    assert_eq!(budget.status().waiting, 1);
    drop(leases.1);
    let lease = timeout(NEVER, waiting).await.unwrap().unwrap();
    assert_eq!((server.open(), closed_for_budget(&b)), (3, 1));
    drop((lease, leases.0, leases.2));
    assert_whole(&server, &budget, [&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn the_connection_idle_for_longest_in_any_pool_is_closed_for_one_that_waits() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let [a, b, c, d] = pools(&server, &budget);
    for pool in [&b, &a, &c] {
        drop(get(pool).await);
        sleep(secs(1)).await;
    }
    let lease = get(&d).await;
    assert_eq!([&a, &b, &c].map(closed_for_budget), [0, 1, 0]);
    let other = get(&d).await;
    assert_eq!([&a, &b, &c].map(closed_for_budget), [1, 1, 0]);
    drop((lease, other));
    assert_whole(&server, &budget, [&a, &b, &c, &d]).await;
}

/// Pools are looked at in the order of what was seen of them last: one that had nothing idle then has its turn later.
#[tokio::test(start_paused = true)]
async fn a_pool_that_was_busy_when_a_connection_was_looked_for_is_not_passed_over_later() {
    let (server, budget) = (Server::of(2), Budget::new(2));
    let [a, b, c] = pools(&server, &budget);
    let busy = get(&a).await;
    drop(get(&b).await);
    sleep(secs(10)).await;
    let last = get(&c).await;
    assert_eq!([&a, &b].map(closed_for_budget), [0, 1]);
    sleep(secs(10)).await;
    drop(busy);
    sleep(secs(10)).await;
    drop(last);
    sleep(secs(10)).await;
    let lease = get(&b).await;
    assert_eq!([&a, &c].map(closed_for_budget), [1, 0]);
    drop(lease);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_closed_while_the_budget_has_room() {
    let (server, budget) = (Server::of(4), Budget::new(4));
    let [a, b] = pools(&server, &budget);
    drop(join_all([a.get(), a.get()]).await);
    drop(join_all([b.get(), b.get()]).await);
    sleep(secs(60)).await;
    drop(join_all([a.get(), a.get()]).await);
    assert_eq!((closed_for_budget(&a), closed_for_budget(&b)), (0, 0));
    assert_eq!(server.dials(), 4);
}

/// Both pools always have waiters, and there is one connection.
#[tokio::test(start_paused = true)]
async fn a_busy_pool_keeps_a_connection_for_some_dial_times_and_no_longer() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let pools = pools::<2>(&server, &budget);
    let turns = Arc::new(Mutex::new(Vec::<(usize, Instant)>::new()));
    let mut users = JoinSet::new();
    for user in 0..6 {
        let (which, turns) = (user % 2, Arc::clone(&turns));
        let pool = pools[which].clone();
        users.spawn(async move {
            loop {
                let lease = pool.get().await.unwrap();
                turns.lock().unwrap().push((which, Instant::now()));
                sleep(ms(5)).await;
                drop(lease);
            }
        });
    }
    sleep(secs(20)).await;
    users.shutdown().await;
    let turns = turns.lock().unwrap();
    let mut began = turns[0];
    let mut held = Vec::new();
    for &(which, at) in &*turns {
        if which != began.0 {
            held.push(at - began.1);
            began = (which, at);
        }
    }
    assert!(held.len() > 50, "{held:?}");
    // Five to ten dial times of 20 ms, and the dial of the next.
    let bounds = ms(5 * 20)..ms(11 * 20 + 10);
    assert!(held.iter().all(|held| bounds.contains(held)), "{held:?}");
}

/// As in the simulation of the policy, at a small scale: more pools than connections, all of them saturated.
#[tokio::test(start_paused = true)]
async fn every_one_of_more_pools_than_there_are_connections_is_served() {
    const POOLS: usize = 12;
    let (server, budget) = (Server::of(6), Budget::new(6));
    let pools = pools::<POOLS>(&server, &budget);
    let mut rng = Rng::with_seed(1);
    let longest = Arc::new(Mutex::new(Duration::ZERO));
    let mut users = JoinSet::new();
    for user in 0..120 {
        let pool = pools[user % POOLS].clone();
        let (mut rng, longest) = (rng.fork(), Arc::clone(&longest));
        users.spawn(async move {
            loop {
                let asked = Instant::now();
                let lease = pool.get().await.unwrap();
                let waited = asked.elapsed();
                {
                    let mut longest = longest.lock().unwrap();
                    *longest = waited.max(*longest);
                }
                sleep(ms(rng.u64(1..4))).await;
                drop(lease);
            }
        });
    }
    sleep(secs(10)).await;
    let gets: Vec<_> = pools.iter().map(|pool| pool.counters().gets).collect();
    users.shutdown().await;
    let fewest = gets.iter().min().unwrap();
    let all: u64 = gets.iter().sum();
    assert!(fewest * 3 > all / POOLS as u64, "{gets:?}");
    // 6 connections, 2 ms a lease, and no more than a third lost to dials.
    assert!(all > 10 * 2_000, "{all}");
    let longest = *longest.lock().unwrap();
    assert!(longest < secs(2), "{longest:?}");
    assert_whole(&server, &budget, &pools).await;
}

#[tokio::test(start_paused = true)]
async fn both_bounds_hold_and_each_makes_room_only_where_it_helps() {
    let (server, budget) = (Server::of(3), Budget::new(3));
    let group = Budget::within(&budget, 1);
    let outside = pool(&server, &budget);
    let [a, b] = pools(&server, &group);
    drop(get(&outside).await);
    sleep(secs(1)).await;
    drop(get(&a).await);
    // The one outside is the longest idle, but would make no room in the group.
    let lease = get(&b).await;
    assert_eq!([&outside, &a].map(closed_for_budget), [0, 1]);
    assert_eq!(
        (group.status().connections, budget.status().connections),
        (1, 2)
    );
    drop(lease);
    assert_whole(&server, &budget, [&outside, &a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_its_pool_has_no_use_for_any_more_goes_to_the_next() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let [a, b, c] = pools(&server, &budget);
    let lease = get(&a).await;
    let mut first = Box::pin(b.get());
    assert!(poll!(first.as_mut()).is_pending());
    sleep(ms(1)).await;
    let mut second = pin!(c.get());
    assert!(poll!(second.as_mut()).is_pending());
    drop(first);
    drop(lease);
    drop(timeout(NEVER, second).await.unwrap().unwrap());
    assert_eq!(b.counters().opened, 0);
    assert_whole(&server, &budget, [&a, &b, &c]).await;
}

/// The second comes while the connection that is closed for the first says its goodbye, and has an older caller.
#[tokio::test(start_paused = true)]
async fn a_pool_whose_permit_went_to_an_older_waiter_is_served_after_it() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    *server.goodbye_time.lock().unwrap() = ms(200);
    let failing = Server {
        panics: Arc::new(AtomicBool::new(true)),
        ..server.clone()
    };
    let [a, b] = pools(&server, &budget);
    let older = builder(&failing, &budget)
        .backoff(Backoff::new(ms(50), ms(50)))
        .build()
        .unwrap();
    let mut oldest = pin!(older.get());
    assert!(timeout(ms(21), oldest.as_mut()).await.is_err());
    failing.panics.store(false, SeqCst);
    // While the older one's pool waits until it may dial again.
    a.add(server.enter()).unwrap();
    let mut first = pin!(b.get());
    assert!(poll!(first.as_mut()).is_pending());
    let lease = timeout(NEVER, oldest).await.unwrap().unwrap();
    assert_eq!(b.counters().opened, 0);
    drop(lease);
    drop(timeout(NEVER, first).await.unwrap().unwrap());
    assert_whole(&server, &budget, [&a, &b, &older]).await;
}

/// Checks take connections away for a while; none is lost sight of.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_being_checked_is_found_when_it_is_idle_again() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let a = builder(&server, &budget)
        .check_after_idle(ms(50))
        .before_get(|_, _| {
            Box::pin(async {
                sleep(ms(300)).await;
                Ok(())
            })
        })
        .build()
        .unwrap();
    let b = pool(&server, &budget);
    drop(get(&a).await);
    sleep(secs(1)).await;
    // Its caller leaves, and the check goes on.
    assert!(timeout(ms(10), a.get()).await.is_err());
    drop(get(&b).await);
    assert_whole(&server, &budget, [&a, &b]).await;
}
