use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::{Ejection, Endpoint, EndpointSet, Outcome};
use cenote::report::EventKind;
use cenote::settings::Backoff;
use cenote::{Lease, Pool};
use tokio::time::Instant;

use crate::service::{
    Answer, Service, To, ms, pass, secs, set_of, shares, use_now_and_then, use_once,
};

/// A call; which server it was on. Those on the `bad` ones fail.
async fn call(pool: &Pool<To>, bad: &[&str]) -> String {
    let lease = pool.get().await.unwrap();
    let is_bad = bad.contains(&&*lease.server);
    pass(ms(if is_bad { 1 } else { 10 })).await;
    let outcome = if is_bad { Outcome::Failed } else { Outcome::Ok };
    Lease::outcome(&lease, outcome);
    lease.server.clone()
}

async fn calls(pool: &Pool<To>, calls: usize, bad: &[&str]) -> BTreeMap<String, usize> {
    let mut by_server = BTreeMap::new();
    for _ in 0..calls {
        *by_server.entry(call(pool, bad).await).or_default() += 1;
    }
    by_server
}

fn of(calls: &BTreeMap<String, usize>, server: &str) -> usize {
    calls.get(server).copied().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_calls_fail_gets_none_and_keeps_its_connections() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let during = calls(&pool, 60, &["b"]).await;
    assert_eq!(of(&during, "b"), 5, "five in a row");
    assert_eq!((service.open("b"), service.dialled("b")), (1, 1));
}

/// A server that fails at once looks idle, and draws all calls (finagle, prequal).
#[tokio::test(start_paused = true)]
async fn one_that_fails_fast_never_holds_more_than_its_share() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c", "sinkhole"]);
    let pool = pool.build().unwrap();
    shares(&pool, 40).await;
    let users: Vec<_> = (0..8)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { calls(&pool, 100, &["sinkhole"]).await })
        })
        .collect();
    let mut failed = 0;
    for user in users {
        failed += of(&user.await.unwrap(), "sinkhole");
    }
    assert!(failed <= 20, "{failed} of 800");
}

#[tokio::test(start_paused = true)]
async fn after_its_time_one_call_decides_and_a_success_brings_it_back() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    calls(&pool, 60, &["b"]).await;
    pass(secs(1)).await;
    let after = calls(&pool, 300, &[]).await;
    assert!(of(&after, "b") > 60, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_has_it_out_for_longer() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let began = Instant::now();
    let mut failed_at = Vec::new();
    while began.elapsed() < secs(40) {
        if call(&pool, &["b"]).await == "b" {
            failed_at.push(began.elapsed());
        }
    }
    // Five, then one each after 0.5..1 s, 1..2 s, 2..4 s, and so on.
    assert!((9..=11).contains(&failed_at.len()), "{failed_at:?}");
    let gaps: Vec<_> = failed_at[4..].windows(2).map(|at| at[1] - at[0]).collect();
    assert!(gaps[0] < secs(2) && gaps[3] >= secs(4), "{gaps:?}");
}

/// What is let out on trial is one connection, however many users there are.
#[tokio::test(start_paused = true)]
async fn on_trial_one_call_at_a_time_goes_there() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_per_endpoint(5).build().unwrap();
    let held = futures::future::join_all((0..10).map(|_| pool.get())).await;
    assert_eq!((service.open("a"), service.open("b")), (5, 5));
    for lease in held.into_iter().map(Result::unwrap) {
        if lease.server == "b" {
            Lease::outcome(&lease, Outcome::Failed);
        }
    }
    // Past its ejection, with more users than the other has connections.
    pass(secs(1)).await;
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(pool.get().await.unwrap());
    }
    let on_trial = held.iter().filter(|lease| lease.server == "b");
    assert_eq!(on_trial.count(), 1);
    let next = tokio::time::timeout(ms(100), pool.get()).await;
    assert!(next.is_err(), "the others of that endpoint are kept back");
    for lease in held {
        Lease::outcome(&lease, Outcome::Ok);
    }
    let all = futures::future::join_all((0..10).map(|_| pool.get())).await;
    assert!(all.iter().all(Result::is_ok), "back");
}

/// linkerd2 #7768, #11493: a set of one, and a set of which all fail, are no worse off than without ejection.
#[tokio::test(start_paused = true)]
async fn where_too_many_fail_all_are_used_and_that_is_told() {
    for names in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
        let service = Service::default();
        let (_sender, pool) = service.over(names);
        let told = Arc::new(Mutex::new(0));
        let log = Arc::clone(&told);
        let pool = pool
            .on_event(move |event| {
                if let EventKind::PanicEntered { .. } = event.kind {
                    *log.lock().unwrap() += 1;
                }
            })
            .build()
            .unwrap();
        shares(&pool, 30).await;
        let began = Instant::now();
        calls(&pool, 200, names).await;
        assert!(began.elapsed() < ms(300), "nobody waited");
        let used = shares(&pool, 100).await;
        assert_eq!(used.len(), names.len(), "{used:?}");
        assert!(*told.lock().unwrap() >= 1);
    }
}

/// Drained endpoints are none of those that are left.
#[tokio::test(start_paused = true)]
async fn beside_drained_endpoints_the_last_that_serves_is_not_ejected_for_a_moment() {
    let service = Service::default();
    let names = ["a", "b", "c", "d", "e", "f"].iter().enumerate();
    let (_sender, pool) =
        service.over_set(EndpointSet::from_iter(names.map(|(i, name)| {
            Endpoint::new((*name).to_owned()).weight(u32::from(i < 2))
        })));
    let pool = pool.build().unwrap();
    assert_eq!(shares(&pool, 30).await.len(), 2);
    // Without a pause in which the follower could look.
    let mut failed = BTreeMap::<String, usize>::new();
    while failed.values().sum::<usize>() < 40 {
        let lease = pool.try_get().expect("one serves at any time");
        *failed.entry(lease.server.clone()).or_default() += 1;
        Lease::outcome(&lease, Outcome::Failed);
    }
    assert_eq!(
        failed.values().min(),
        Some(&5),
        "one was ejected: {failed:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_says_for_how_long_it_is_overloaded_is_left_alone_for_as_long() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let began = Instant::now();
    let mut last = Duration::ZERO;
    while began.elapsed() < secs(15) {
        let lease = pool.get().await.unwrap();
        pass(ms(1)).await;
        let outcome = match &*lease.server {
            "b" => {
                last = began.elapsed();
                Outcome::Overloaded {
                    retry_after: Some(secs(20)),
                }
            }
            _ => Outcome::Ok,
        };
        Lease::outcome(&lease, outcome);
    }
    assert!(last < secs(1), "20 calls of which all failed: {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_counts_for_nothing() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    for _ in 0..200 {
        let lease = pool.get().await.unwrap();
        Lease::outcome(&lease, Outcome::Ignore);
    }
    assert_eq!(shares(&pool, 100).await.len(), 2);
}

/// A restart ends all connections of an endpoint; that is one failure, and it is dialled again.
#[tokio::test(start_paused = true)]
async fn connections_that_die_together_eject_nobody() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    let held = futures::future::join_all((0..20).map(|_| pool.get())).await;
    service.kill("a");
    service.set("a", Answer::Accept);
    drop(held);
    assert_eq!(shares(&pool, 100).await.len(), 2);
}

/// A server that accepts, and ends each connection as it is used.
#[tokio::test(start_paused = true)]
async fn connections_that_break_one_after_the_other_eject_their_endpoint() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let mut broken = 0;
    let began = Instant::now();
    while began.elapsed() < secs(3) {
        let lease = pool.get().await.unwrap();
        pass(ms(5)).await;
        if lease.server == "b" {
            broken += 1;
            service.kill("b");
            service.set("b", Answer::Accept);
        }
    }
    assert!(broken < 15, "{broken} in 600 calls");
}

/// A trial that no call could decide would have the endpoint out for good.
#[tokio::test(start_paused = true)]
async fn where_nobody_tells_how_calls_end_an_endpoint_that_was_ejected_comes_back() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    for _ in 0..200 {
        let lease = pool.get().await.unwrap();
        pass(ms(5)).await;
        if lease.server == "b" {
            service.kill("b");
            service.set("b", Answer::Accept);
        }
    }
    let ejected = shares(&pool, 60).await;
    assert_eq!(of(&ejected, "b"), 0, "{ejected:?}");
    use_now_and_then(&pool, 100).await;
    let after = shares(&pool, 300).await;
    assert!(of(&after, "b") > 60, "{after:?}");
}

/// Of one that fails every fifth call, five in a row never come.
#[tokio::test(start_paused = true)]
async fn a_success_rate_ejects_one_that_fails_now_and_then() {
    let calls_of_b = async |ejection: Ejection| {
        let service = Service::default();
        let (_sender, pool) = service.over(&["a", "b", "c"]);
        let pool = pool.ejection(ejection).build().unwrap();
        shares(&pool, 30).await;
        let mut of_b = 0;
        for _ in 0..300 {
            let lease = pool.get().await.unwrap();
            pass(ms(1)).await;
            of_b += usize::from(lease.server == "b");
            let fails = lease.server == "b" && of_b % 5 == 0;
            let outcome = if fails { Outcome::Failed } else { Outcome::Ok };
            Lease::outcome(&lease, outcome);
        }
        of_b
    };
    let default = calls_of_b(Ejection::default()).await;
    assert!(default > 60, "four in five are enough: {default}");
    let strict = Ejection::default().success_rate(0.9, secs(10), 20);
    assert_eq!(calls_of_b(strict).await, 20, "as soon as there are enough");
}

#[tokio::test(start_paused = true)]
async fn fewer_failures_in_a_row_eject_if_that_is_set_and_for_as_long_as_is_set() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let ejection = Ejection::default()
        .consecutive_failures(2)
        .lasting(Backoff::new(secs(20), secs(40)));
    let pool = pool.ejection(ejection).build().unwrap();
    shares(&pool, 30).await;
    let began = Instant::now();
    let mut failed = 0;
    while began.elapsed() < secs(9) {
        failed += of(&calls(&pool, 30, &["b"]).await, "b");
    }
    assert_eq!(failed, 2, "and out for at least ten seconds");
    pass(secs(11)).await;
    let after = calls(&pool, 300, &[]).await;
    assert!(of(&after, "b") > 60, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_ejection_has_none() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.ejection(Ejection::never()).build().unwrap();
    shares(&pool, 30).await;
    let all = calls(&pool, 300, &["b"]).await;
    assert!(of(&all, "b") > 60, "{all:?}");
}

/// envoy #29259: a share of nothing would never become one of something.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_added_starts_slowly_and_comes_to_its_whole_share() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.slow_start(secs(10)).build().unwrap();
    let first = shares(&pool, 200).await;
    assert!(
        first["a"].abs_diff(first["b"]) < 60,
        "the first set starts at once"
    );
    sender.send(set_of(&["a", "b", "c"]));
    use_once(&pool).await;
    let early = shares(&pool, 300).await;
    let share = of(&early, "c");
    assert!((1..60).contains(&share), "{early:?}");
    pass(secs(10)).await;
    let late = shares(&pool, 300).await;
    assert!(of(&late, "c") > 70, "{late:?}");
}

/// While it has a connection it counts as ejected, and without one as down: dialled at the pace of its back-off.
#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_whose_connections_are_dead_on_arrival_is_dialled_at_its_pace() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool
        .max_per_endpoint(1)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    shares(&pool, 40).await;
    service.set_connect_time("b", ms(1));
    let a = pool.endpoint_id(&"a".to_owned()).unwrap();
    let held = pool.get().at(a).await.unwrap();
    service.end("b", Answer::AcceptDead);
    let before = service.dialled("b");
    let callers = [(); 3].map(|()| {
        let pool = pool.clone();
        tokio::spawn(async move { use_once(&pool).await })
    });
    pass(secs(20)).await;
    let dials = service.dialled("b") - before;
    assert!(dials <= 60, "{dials} dials in twenty seconds");
    drop(held);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "a");
    }
}
