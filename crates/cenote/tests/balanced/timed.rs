use std::collections::BTreeMap;
use std::time::Duration;

use cenote::endpoints::{Balance, Ejection, Outcome};
use cenote::{Lease, Pool, SharedLease};

use crate::service::{self as server, Service, To, ms, pass, secs, set_of};

/// How a server answers.
#[derive(Clone, Copy)]
struct Answer {
    takes: Duration,
    outcome: Outcome,
}

const fn good(takes: Duration) -> Answer {
    let outcome = Outcome::Ok;
    Answer { takes, outcome }
}

/// One call, timed; which server it was on.
async fn call(pool: &Pool<To>, answer: impl Fn(&str) -> Answer) -> String {
    let lease = pool.get().await.unwrap();
    let Answer { takes, outcome } = answer(&lease.server);
    pass(takes).await;
    Lease::timed_outcome(&lease, outcome, takes);
    lease.server.clone()
}

/// Of so many calls, four at a time, how many each server has had.
async fn calls(
    pool: &Pool<To>,
    times: usize,
    answer: impl Fn(&str) -> Answer + Copy + Send + 'static,
) -> BTreeMap<String, usize> {
    let users = (0..4).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut served = Vec::new();
            for _ in 0..times / 4 {
                served.push(call(&pool, answer).await);
            }
            served
        })
    });
    let mut shares = BTreeMap::new();
    for user in users.collect::<Vec<_>>() {
        for server in user.await.unwrap() {
            *shares.entry(server).or_default() += 1;
        }
    }
    shares
}

fn pool(service: &Service, names: &[&str]) -> (cenote::endpoints::SetSender<String>, Pool<To>) {
    let (sender, pool) = service.over(names);
    let pool = pool.balance(Balance::PeakEwma).build().unwrap();
    (sender, pool)
}

/// linkerd2 #5017: a fast and a slow endpoint had equal rates.
#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_gets_few_calls_and_some_all_the_same() {
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["fast", "slow"]);
    let answer = |server: &str| match server {
        "slow" => good(ms(50)),
        _ => good(ms(1)),
    };
    calls(&pool, 100, answer).await;
    // Half a minute: what is known of the slow one fades.
    let shares = calls(&pool, 120_000, answer).await;
    assert!(shares["fast"] >= 114_000, "{shares:?}");
    assert!(shares["slow"] >= 2, "it is tried again: {shares:?}");
}

/// What was slow once is tried again as time passes, though nothing else is told of it.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_slow_once_comes_back_to_its_share() {
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["a", "b"]);
    calls(&pool, 100, |_| good(ms(2))).await;
    calls(&pool, 4, |server| match server {
        "b" => good(secs(2)),
        _ => good(ms(2)),
    })
    .await;
    let soon = calls(&pool, 400, |_| good(ms(2))).await;
    assert!(soon.get("b").copied().unwrap_or(0) < 40, "{soon:?}");
    // A hundred seconds of calls.
    calls(&pool, 200_000, |_| good(ms(2))).await;
    let later = calls(&pool, 4_000, |_| good(ms(2))).await;
    assert!(later["b"] > 1_200, "{later:?}");
}

/// linkerd2-proxy #4537: an endpoint that fails at once looks fast, and draws all calls; less than half of its calls fail,
/// and never five in a row, so that it is not ejected.
#[tokio::test(start_paused = true)]
async fn a_call_that_fails_fast_is_no_fast_call() {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["a", "b", "sinkhole"]);
    calls(&pool, 60, |_| good(ms(10))).await;
    let answer = |server: &str| match server {
        "sinkhole" if CALLS.fetch_add(1, Relaxed) % 5 < 2 => Answer {
            takes: ms(1),
            outcome: Outcome::Failed,
        },
        _ => good(ms(10)),
    };
    let shares = calls(&pool, 3_000, answer).await;
    let sinkhole = shares.get("sinkhole").copied().unwrap_or(0);
    assert!(sinkhole < 100, "{shares:?}");
}

/// linkerd2-proxy #167: what is new is taken for slow, and starves.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_nothing_is_known_of_gets_its_share_at_once() {
    let service = Service::default();
    let (sender, pool) = pool(&service, &["a", "b"]);
    calls(&pool, 400, |_| good(ms(5))).await;
    sender.send(set_of(&["a", "b", "new"]));
    calls(&pool, 100, |_| good(ms(5))).await;
    let shares = calls(&pool, 1_200, |_| good(ms(5))).await;
    assert!(shares["new"] > 200, "{shares:?}");
}

/// The calls that failed as it stopped would keep it from its share for a minute.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_restarted_is_judged_anew() {
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["a", "b"]);
    calls(&pool, 200, |_| good(ms(5))).await;
    service.kill("b");
    calls(&pool, 100, |server| Answer {
        takes: ms(5),
        outcome: match server {
            "b" => Outcome::Failed,
            _ => Outcome::Ok,
        },
    })
    .await;
    service.set("b", server::Answer::Accept);
    calls(&pool, 4_000, |_| good(ms(5))).await;
    let shares = calls(&pool, 400, |_| good(ms(5))).await;
    assert!(shares["b"] > 100, "{shares:?}");
}

/// tower takes a call that was given up for a fast one.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_says_nothing() {
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["a", "b"]);
    calls(&pool, 100, |_| good(ms(50))).await;
    let shares = calls(&pool, 200, |server| match server {
        "b" => Answer {
            takes: ms(50),
            outcome: Outcome::Ignore,
        },
        _ => good(ms(50)),
    })
    .await;
    assert!(shares["a"].abs_diff(shares["b"]) < 60, "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn as_long_as_nobody_tells_what_each_carries_decides() {
    let service = Service::default();
    let (_sender, pool) = pool(&service, &["a", "b", "c"]);
    let shares = crate::service::shares(&pool, 300).await;
    assert!(shares.values().all(|share| *share > 60), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn shared_connections_are_chosen_by_the_time_of_their_calls_too() {
    let service = Service::default();
    let (sender, source) = cenote::endpoints::channel();
    sender.send(set_of(&["fast", "slow"]));
    let pool = service
        .shared(source)
        .balance(Balance::PeakEwma)
        .ejection(Ejection::never())
        .build()
        .unwrap();
    let mut shares = BTreeMap::<String, usize>::new();
    for _ in 0..2_000 {
        let lease = pool.get().await.unwrap();
        let takes = match &lease.server[..] {
            "slow" => ms(50),
            _ => ms(1),
        };
        pass(takes).await;
        SharedLease::timed_outcome(&lease, Outcome::Ok, takes);
        *shares.entry(lease.server.clone()).or_default() += 1;
    }
    assert!(shares["fast"] > 1_800, "{shares:?}");
    assert!(shares["slow"] >= 1, "{shares:?}");
}
