use cenote::endpoints::{Balance, EndpointSet, Outcome};
use cenote::report::{EjectionCause, EndpointCondition, EndpointStatus};
use cenote::{Lease, Pool};

use crate::service::{Answer, Service, To, endpoint, ms, pass, secs, set_of, shares};

fn of(pool: &Pool<To>, name: &str) -> EndpointStatus {
    let status = pool.endpoints().expect("it is over a set");
    let mut its = status.endpoints.into_iter();
    its.find(|endpoint| &*endpoint.name == name)
        .expect("it is known")
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_is_shown_with_its_condition_share_and_connections() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(EndpointSet::from([
        endpoint("heavy").weight(3),
        endpoint("light"),
        endpoint("backup").priority(1),
    ]));
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    let _lease = pool.get().await.unwrap();
    let (heavy, light) = (of(&pool, "heavy"), of(&pool, "light"));
    assert_eq!(
        (heavy.condition, light.condition),
        (EndpointCondition::Up, EndpointCondition::Up)
    );
    assert!((heavy.share - 0.75).abs() < 0.01 && (light.share - 0.25).abs() < 0.01);
    assert_eq!(heavy.in_flight + light.in_flight, 1);
    assert_eq!((heavy.connections, light.connections), (1, 1));
    let backup = of(&pool, "backup");
    assert_eq!(backup.condition, EndpointCondition::Standby);
    assert_eq!((backup.share, backup.connections), (0.0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_reached_is_shown_with_why_and_until_when() {
    let service = Service::default();
    service.set("b", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    let b = of(&pool, "b");
    assert!(
        matches!(b.condition, EndpointCondition::Down { failures: 1.., .. }),
        "{b}"
    );
    assert!(b.connect_error.is_some());
    let text = pool.inspect().to_string();
    assert!(
        text.contains("b down") && text.contains("refused"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_is_ejected_is_shown_with_why_and_for_how_much_longer_and_then_on_trial() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let mut failed = 0;
    while failed < 5 {
        let lease = pool.get().await.unwrap();
        if lease.server == "b" {
            failed += 1;
            Lease::outcome(&lease, Outcome::Failed);
        }
        pass(ms(1)).await;
    }
    let b = of(&pool, "b");
    assert!(
        matches!(b.condition, EndpointCondition::Ejected { left, .. } if left > ms(400) && left <= secs(1)),
        "{b}"
    );
    assert_eq!((b.share, b.connections), (0.0, 1));
    assert!(b.to_string().contains("5 failures in a row"), "{b}");
    pass(secs(1)).await;
    assert_eq!(of(&pool, "b").condition, EndpointCondition::OnTrial);
}

#[tokio::test(start_paused = true)]
async fn one_dial_that_failed_is_shown_as_one() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    service.set("a", Answer::Refuse);
    assert!(pool.get().timeout(ms(1)).await.is_err());
    let text = of(&pool, "a").to_string();
    assert!(
        text.starts_with("a down, 1 dial failed, next in "),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn why_an_endpoint_is_ejected_is_what_its_last_call_decided() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    let cause = |pool: &Pool<To>| match of(pool, "b").condition {
        EndpointCondition::Ejected { cause, .. } => Some(cause),
        _ => None,
    };
    let (mut causes, mut last) = (Vec::new(), None);
    while causes.len() < 2 {
        let lease = pool.get().await.unwrap();
        let is_bad = lease.server == "b";
        let outcome = if is_bad { Outcome::Failed } else { Outcome::Ok };
        Lease::outcome(&lease, outcome);
        drop(lease);
        pass(ms(10)).await;
        let now = cause(&pool);
        causes.extend(now.filter(|now| last != Some(*now)));
        last = now;
    }
    let expected = [
        EjectionCause::ConsecutiveFailures(5),
        EjectionCause::ProbeFailed,
    ];
    assert_eq!(causes, expected);
    assert!(
        of(&pool, "b")
            .to_string()
            .contains("the call on trial failed")
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_has_left_is_shown_until_its_last_connection_is_gone() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    sender.send(set_of(&["b"]));
    pass(secs(5)).await;
    let a = of(&pool, "a");
    assert!(
        matches!(a.condition, EndpointCondition::Draining { since, .. } if since == secs(5)),
        "{a}"
    );
    let text = a.to_string();
    assert!(
        text.starts_with("a draining since 5.0s ago") && text.contains("1 lease out"),
        "{text}"
    );
    drop(lease);
    pass(ms(1)).await;
    let endpoints = pool.endpoints().unwrap().endpoints;
    let names: Vec<_> = endpoints.iter().map(|endpoint| &*endpoint.name).collect();
    assert_eq!(names, ["b"]);
}

/// Whether what is known is fresh is a question of its own: the set's version and age.
#[tokio::test(start_paused = true)]
async fn how_the_discovery_stands_is_shown() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    pass(secs(3)).await;
    let status = pool.endpoints().unwrap();
    assert_eq!(
        (status.discovery.version, status.discovery.endpoints),
        (1, 1)
    );
    assert!(
        pool.inspect()
            .to_string()
            .contains("1 endpoint of a channel, version 1")
    );
    let one = Pool::builder(service.connector("a")).build().unwrap();
    assert!(one.endpoints().is_none());
}

/// How far this share is from that.
fn differs(share: Option<f64>, expected: f64) -> f64 {
    (share.expect("leases began") - expected).abs()
}

/// envoy #2671: hosts got traffic that, by what was shown of them, should have had none.
#[tokio::test(start_paused = true)]
async fn what_each_got_in_the_last_minute_is_shown_beside_what_it_is_to_get() {
    let service = Service::default();
    let (_sender, pool) = service.over_set(EndpointSet::from([
        endpoint("heavy").weight(3),
        endpoint("light"),
        endpoint("backup").priority(1),
    ]));
    let pool = pool.build().unwrap();
    assert_eq!(pool.endpoints().unwrap().endpoints.len(), 0, "not told yet");
    pass(ms(1)).await;
    assert_eq!(of(&pool, "heavy").share_of_last_minute, None);
    let got = shares(&pool, 400).await;
    for name in ["heavy", "light", "backup"] {
        let expected = got.get(name).copied().unwrap_or(0) as f64 / 400.0;
        let status = of(&pool, name);
        assert!(
            differs(status.share_of_last_minute, expected) < 1e-9,
            "{status}"
        );
    }
    let light = of(&pool, "light").to_string();
    assert!(
        light.contains("25.0 % of the load (2") && light.contains("% in the last minute)"),
        "{light}"
    );
}

/// Nobody looks after a pool that rests.
#[tokio::test(start_paused = true)]
async fn the_last_minute_is_that_before_the_question_in_a_pool_that_rests_too() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    shares(&pool, 10).await;
    sender.send(set_of(&["a", "b"]));
    pass(secs(30)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, Some(1.0));
    while of(&pool, "b").share_of_last_minute == Some(0.0) {
        shares(&pool, 1).await;
    }
    pass(secs(31)).await;
    let b = of(&pool, "b").share_of_last_minute.unwrap();
    assert!(
        b > 0.0,
        "what it got since is in the last minute still: {b}"
    );
    pass(secs(60)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, None);
    assert_eq!(of(&pool, "b").share_of_last_minute, None);
}

/// Nobody asks while the leases are taken, nor soon after.
#[tokio::test(start_paused = true)]
async fn leases_count_as_of_when_they_began_and_not_of_when_somebody_asks() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a"]);
    let pool = pool.build().unwrap();
    shares(&pool, 10).await;
    pass(secs(61)).await;
    assert_eq!(of(&pool, "a").share_of_last_minute, None, "it rested");

    shares(&pool, 10).await;
    // What is open to it stays so.
    sender.send(EndpointSet::from([
        endpoint("a").priority(1),
        endpoint("b"),
    ]));
    pass(ms(100)).await;
    for _ in 0..700 {
        shares(&pool, 1).await;
        pass(ms(99)).await;
    }
    assert_eq!(of(&pool, "a").connections, 1);
    assert_eq!(of(&pool, "a").share_of_last_minute, Some(0.0));
    assert_eq!(of(&pool, "b").share_of_last_minute, Some(1.0));
}

/// A slot that served one endpoint serves another, and its count goes on.
#[tokio::test(start_paused = true)]
async fn what_an_endpoint_got_that_is_gone_is_no_part_of_what_the_next_got() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 90).await;
    sender.send(set_of(&["a"]));
    pass(ms(10)).await;
    let got = of(&pool, "a").share_of_last_minute.unwrap();
    assert!(got < 0.9, "b's leases were some of all: {got}");
    sender.send(set_of(&["a", "c"]));
    pass(ms(10)).await;
    assert_eq!(of(&pool, "c").share_of_last_minute, Some(0.0));
    let before = got * 90.0;
    let now = shares(&pool, 90).await;
    let expected = (before + now["a"] as f64) / 180.0;
    assert!(differs(of(&pool, "a").share_of_last_minute, expected) < 1e-9);
    let expected = now["c"] as f64 / 180.0;
    assert!(differs(of(&pool, "c").share_of_last_minute, expected) < 1e-9);
}

/// Connections come and go faster than anybody looks.
#[tokio::test(start_paused = true)]
async fn leases_count_whose_connections_are_gone() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    let mut got_a = 0;
    for turn in 0..40 {
        let lease = pool.get().await.unwrap();
        got_a += usize::from(lease.server == "a");
        match turn % 3 {
            0 => Lease::discard(lease),
            1 => drop(Lease::detach(lease)),
            _ => drop(lease),
        }
        pass(ms(1)).await;
    }
    let expected = got_a as f64 / 40.0;
    assert!(differs(of(&pool, "a").share_of_last_minute, expected) < 1e-9);
}

#[tokio::test(start_paused = true)]
async fn how_long_calls_take_is_shown_while_they_are_timed_whichever_rule_chooses() {
    let service = Service::default();
    for balance in [Balance::PowerOfTwo, Balance::PeakEwma] {
        let (_sender, pool) = service.over(&["a"]);
        let pool = pool.balance(balance).build().unwrap();
        let lease = pool.get().await.unwrap();
        assert_eq!(of(&pool, "a").latency, None);
        Lease::outcome(&lease, Outcome::Ok);
        assert_eq!(of(&pool, "a").latency, None, "not timed");
        Lease::timed_outcome(&lease, Outcome::Ok, ms(20));
        let a = of(&pool, "a");
        assert_eq!(a.latency.map(|latency| latency.as_millis()), Some(20));
        assert!(a.to_string().contains("calls take 20.0ms"), "{a}");
        pass(secs(50)).await;
        let later = of(&pool, "a").latency.map(|latency| latency.as_millis());
        assert_eq!(later, Some(20), "as it was told last");
        pass(secs(11)).await;
        assert_eq!(of(&pool, "a").latency, None, "nobody times calls any more");
    }
}

/// What is timed is shown, and chosen by where the rule says so only.
#[tokio::test(start_paused = true)]
async fn times_that_are_told_change_no_choice_of_another_rule() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["fast", "slow"]);
    let pool = pool.balance(Balance::LeastLoaded).build().unwrap();
    let mut slow = 0;
    for _ in 0..200 {
        let lease = pool.get().await.unwrap();
        let is_slow = lease.server == "slow";
        slow += u32::from(is_slow);
        let took = if is_slow { secs(2) } else { ms(1) };
        Lease::timed_outcome(&lease, Outcome::Ok, took);
        drop(lease);
        pass(ms(1)).await;
    }
    assert!((60..140).contains(&slow), "{slow}");
    assert_eq!(of(&pool, "slow").latency, Some(secs(2)));
}
