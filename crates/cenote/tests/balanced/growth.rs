use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cenote::Pool;
use cenote::endpoints::{EndpointSet, fixed};
use cenote::report::CloseReason;
use cenote::settings::Backoff;
use tokio::time::Instant;

use crate::service::{Answer, Service, To, ms, pass, secs, set_of, shares, two_levels, use_once};

/// So many users at once, each of leases of 1 ms, for so long; how many each server had.
async fn users(pool: &Pool<To>, users: usize, time: Duration) -> BTreeMap<String, usize> {
    let end = Instant::now() + time;
    let users: Vec<_> = (0..users)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut had = BTreeMap::new();
                while Instant::now() < end {
                    *had.entry(use_once(&pool).await).or_insert(0) += 1;
                }
                had
            })
        })
        .collect();
    let mut all = BTreeMap::new();
    for user in users {
        for (name, had) in user.await.unwrap() {
            *all.entry(name).or_insert(0) += had;
        }
    }
    all
}

/// cilium #12551, with more than one user: connections there are enough of, and all are elsewhere.
#[tokio::test(start_paused = true)]
async fn endpoints_that_are_added_under_load_come_to_their_share() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    users(&pool, 16, secs(2)).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    users(&pool, 16, secs(10)).await;
    let shares = users(&pool, 16, secs(5)).await;
    let all: usize = shares.values().sum();
    let new = shares["c"] + shares["d"];
    assert!(new > all / 4, "half is theirs: {shares:?}");
}

/// The same after a restart (influxdb_iox #6508).
#[tokio::test(start_paused = true)]
async fn under_load_an_endpoint_comes_back_to_its_share_after_a_restart() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    users(&pool, 8, secs(2)).await;
    service.kill("a");
    users(&pool, 8, secs(2)).await;
    service.set("a", Answer::Accept);
    users(&pool, 8, secs(10)).await;
    let shares = users(&pool, 8, secs(5)).await;
    let all: usize = shares.values().sum();
    assert!(shares["a"] > all / 4, "half is its: {shares:?}");
}

/// A backup that has the connections would go on serving.
#[tokio::test(start_paused = true)]
async fn under_load_a_lower_level_serves_no_more_once_the_first_is_back() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(two_levels());
    let pool = pool.build().unwrap();
    users(&pool, 8, secs(1)).await;
    service.kill("first");
    users(&pool, 8, secs(2)).await;
    service.set("first", Answer::Accept);
    users(&pool, 8, secs(10)).await;
    let shares = users(&pool, 8, secs(5)).await;
    let second = shares.get("second").copied().unwrap_or(0);
    assert!(second < shares["first"] / 10, "{shares:?}");
}

/// influxdb_iox #6508 with a bound: room is made in what is full.
#[tokio::test(start_paused = true)]
async fn an_endpoint_comes_back_though_the_others_have_taken_all_of_max_size() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_size(4).build().unwrap();
    users(&pool, 4, secs(1)).await;
    service.kill("a");
    users(&pool, 4, secs(5)).await;
    service.set("a", Answer::Accept);
    users(&pool, 4, secs(10)).await;
    let shares = users(&pool, 4, secs(5)).await;
    assert!(shares.contains_key("a"), "{shares:?}");
}

/// A connection takes its place for as long as its goodbye does.
#[tokio::test(start_paused = true)]
async fn goodbyes_at_one_endpoint_hold_nobody_up_while_another_has_room() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(2).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..4 {
        leases.push(pool.get().await.unwrap());
    }
    service.set_goodbye("a", secs(4));
    pool.evict();
    drop(leases);
    pass(ms(1)).await;
    assert_eq!((service.open("a"), service.open("b")), (2, 0));
    let began = Instant::now();
    let _both = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
}

/// The dial that hangs is not the caller's.
#[tokio::test(start_paused = true)]
async fn a_caller_is_dialled_for_at_once_beside_a_dial_that_hangs() {
    let service = Service::default();
    service.set("silent", Answer::Swallow);
    let (_sender, pool) = service.over(&["a", "silent"]);
    let pool = pool.check_after_idle(None).build().unwrap();
    shares(&pool, 50).await;
    pass(ms(500)).await;
    assert_eq!((service.dialled("silent"), service.dialled("a")), (1, 1));
    let held = pool.get().await.unwrap();
    let began = Instant::now();
    let second = pool.get().await.unwrap();
    assert!(began.elapsed() < ms(100), "{:?}", began.elapsed());
    drop((held, second));
}

/// They have the fewest connections each time they are back.
#[tokio::test(start_paused = true)]
async fn endpoints_that_come_and_go_faster_than_they_are_dialled_keep_no_caller_waiting() {
    let service = Service::default();
    for name in ["stays", "b", "c"] {
        service.set_connect_time(name, ms(10));
    }
    let (sender, pool) = service.over(&["stays"]);
    let pool = pool.build().unwrap();
    shares(&pool, 1).await;
    let flapping = tokio::spawn(async move {
        for comes in ["b", "c"].into_iter().cycle() {
            sender.send(set_of(&["stays", comes]));
            pass(ms(10)).await;
        }
    });
    let callers = futures::future::join_all((0..10).map(|_| pool.get().timeout(secs(1)))).await;
    let served = callers.iter().filter(|caller| caller.is_ok());
    assert_eq!((served.count(), service.open("stays")), (10, 10));
    flapping.abort();
}

/// Dials that nobody waits for leave room for those that callers wait for.
#[tokio::test(start_paused = true)]
async fn a_caller_is_dialled_for_beside_many_dials_that_hang() {
    let service = Service::default();
    let mut names = vec!["a".to_owned()];
    names.extend((0..20).map(|number| format!("silent{number}")));
    for name in &names[1..] {
        service.set(name, Answer::Swallow);
    }
    let pool = service
        .balanced(fixed(EndpointSet::of(names)))
        .build()
        .unwrap();
    shares(&pool, 300).await;
    let held = pool.get().await.unwrap();
    let began = Instant::now();
    let second = pool.get().await.unwrap();
    assert!(began.elapsed() < ms(500), "{:?}", began.elapsed());
    drop((held, second));
}

/// Whatever shares the two have.
#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_gate_is_open_is_dialled_though_another_s_is_not() {
    use cenote::report::EventKind;

    for seed in 0..10 {
        let service = Service::default();
        service.set("b", Answer::Refuse);
        let (_sender, pool) = service.over(&["a", "b"]);
        let retry_at = Arc::new(std::sync::Mutex::new(None));
        let log = Arc::clone(&retry_at);
        let pool = pool
            .acquire_timeout(secs(200))
            .backoff(Backoff::new(secs(60), secs(60)))
            .seed(seed)
            .on_event(move |event| {
                if let EventKind::ConnectFailed { retry_in, .. } = event.kind {
                    if event.endpoint == Some("b") {
                        *log.lock().unwrap() = Some(Instant::now() + retry_in);
                    }
                }
            })
            .build()
            .unwrap();
        let held = pool.get().await.unwrap();
        // It takes no more, and the other is back.
        service.set("a", Answer::Refuse);
        let caller = {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        };
        while service.dialled("b") == 0 {
            pass(ms(1)).await;
        }
        pass(ms(1)).await;
        service.set("b", Answer::Accept);
        caller.await.unwrap();
        let late = Instant::now().duration_since(retry_at.lock().unwrap().unwrap());
        assert!(
            late < secs(5),
            "seed {seed}: {late:?} after the gate was open"
        );
        drop(held);
    }
}

/// Room is made for one that may be back, and each time it is not, another has lost a connection for nothing.
#[tokio::test(start_paused = true)]
async fn in_a_pool_that_is_full_an_endpoint_that_stays_dead_costs_the_others_little() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_size(4).build().unwrap();
    users(&pool, 4, secs(1)).await;
    service.kill("a");
    users(&pool, 4, secs(20)).await;
    let lost = pool.counters().closed_by(CloseReason::Rebalanced);
    assert!((1..=5).contains(&lost), "{lost} in 20 s");
}
