//! Shared pools under one budget: what they keep active is given up for others as what exclusive pools lease.

use super::*;

fn shared(server: &Server, budget: &Budget) -> SharedPool<Server> {
    SharedPool::builder(server.clone())
        .max_size(100)
        .max_connecting(8)
        .seed(1)
        .acquire_timeout(None)
        .idle_timeout(None)
        .max_lifetime(None)
        .check_after_idle(None)
        .budget(budget)
        .build()
        .unwrap()
}

fn shared_pools<const N: usize>(server: &Server, budget: &Budget) -> [SharedPool<Server>; N] {
    std::array::from_fn(|_| shared(server, budget))
}

/// Users of the pools in turn, each of whom has one lease after the other, `hold` each; as (pool, when it began).
async fn turns(
    pools: &[SharedPool<Server>],
    users: usize,
    hold: Duration,
) -> Vec<(usize, Instant)> {
    let turns = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    for user in 0..users {
        let (which, turns) = (user % pools.len(), Arc::clone(&turns));
        let pool = pools[which].clone();
        tasks.spawn(async move {
            loop {
                let lease = pool.get().await.unwrap();
                turns.lock().unwrap().push((which, Instant::now()));
                sleep(hold).await;
                drop(lease);
            }
        });
    }
    sleep(secs(20)).await;
    tasks.shutdown().await;
    std::mem::take(&mut *turns.lock().unwrap())
}

/// For how long each pool served before another did.
fn held(turns: &[(usize, Instant)]) -> Vec<Duration> {
    let mut began = turns[0];
    let mut held = Vec::new();
    for &(which, at) in turns {
        if which != began.0 {
            held.push(at - began.1);
            began = (which, at);
        }
    }
    held
}

/// Active, and used a moment ago: it does not wait to be parked.
#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed_at_once_for_one_that_waits() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let pools = shared_pools::<2>(&server, &budget);
    drop(pools[0].get().await.unwrap());
    for turn in 1..10 {
        let asked = Instant::now();
        drop(
            timeout(NEVER, pools[turn % 2].get())
                .await
                .unwrap()
                .unwrap(),
        );
        assert!(asked.elapsed() < ms(100), "{:?}", asked.elapsed());
    }
    assert_eq!((server.open(), server.dials()), (1, 10));
}

/// Its users give their leases back after the other has asked.
#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_for_one_that_waits_as_its_last_lease_ends() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let [a, b] = shared_pools(&server, &budget);
    let lease = a.get().await.unwrap();
    let mut waiting = pin!(b.get());
    assert!(timeout(secs(5), waiting.as_mut()).await.is_err());
    drop(lease);
    let given_back = Instant::now();
    drop(timeout(NEVER, waiting).await.unwrap().unwrap());
    assert!(given_back.elapsed() < ms(100), "{:?}", given_back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_busy_pool_keeps_a_connection_for_some_dial_times_and_no_longer() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    let pools = shared_pools::<2>(&server, &budget);
    let held = held(&turns(&pools, 6, ms(5)).await);
    assert!(held.len() > 50, "{held:?}");
    // Five to ten dial times of 20 ms, and the dial of the next.
    let bounds = ms(5 * 20)..ms(11 * 20 + 10);
    assert!(held.iter().all(|held| bounds.contains(held)), "{held:?}");
}

/// They are never without a lease.
#[tokio::test(start_paused = true)]
async fn connections_that_many_use_change_hands_too() {
    let (server, budget) = (Server::of(1), Budget::new(1));
    server.capacity.store(3, SeqCst);
    let pools = shared_pools::<2>(&server, &budget);
    let held = held(&turns(&pools, 6, ms(5)).await);
    assert!(held.len() > 50, "{held:?}");
    let shortest = held.iter().min().unwrap();
    assert!(*shortest >= ms(5 * 20), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn every_one_of_more_pools_than_there_are_connections_is_served() {
    const POOLS: usize = 12;
    let (server, budget) = (Server::of(6), Budget::new(6));
    let pools = shared_pools::<POOLS>(&server, &budget);
    let turns = turns(&pools, 120, ms(2)).await;
    let of = |which| turns.iter().filter(|(pool, _)| *pool == which).count();
    let fewest = (0..POOLS).map(of).min().unwrap();
    assert!(
        fewest * 3 > turns.len() / POOLS,
        "{fewest} of {}",
        turns.len()
    );
    // 6 connections, 2 ms a lease, and no more than a third lost to dials.
    assert!(turns.len() > 20 * 2_000, "{}", turns.len());
    assert!(!server.exceeded.load(SeqCst));
}
