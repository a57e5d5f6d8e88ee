use cenote::GetError;
use cenote::error::ConnectError;
use cenote::report::EndpointCondition;
use cenote::settings::ConnectFailures;
use tokio::time::Instant;

use super::{hold, over, shares, use_once, warm};
use crate::service::{Answer, Service, ms, pass, secs};

/// etcd-client #12: one of three is down from the start.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_costs_no_caller_anything() {
    let service = Service::default();
    service.set("down", Answer::Refuse);
    let (_sender, pool) = over(&service, &["a", "b", "down"]);
    let pool = pool.build().unwrap();
    let shares = shares(&pool, 200).await;
    assert_eq!(shares.get("down"), None);
    assert!(shares.values().all(|share| *share > 60), "{shares:?}");
}

/// asyncpg #1155, grpc-rust #2746: a peer that swallows packets.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_swallows_the_dial_costs_no_connections_of_the_others() {
    let service = Service::default();
    service.set("silent", Answer::Swallow);
    let (_sender, pool) = over(&service, &["a", "b", "silent"]);
    let pool = pool.build().unwrap();
    let shares = shares(&pool, 5_000).await;
    assert_eq!(shares.get("silent"), None);
    assert_eq!((service.most_open("a"), service.most_open("b")), (1, 1));
}

/// influxdb_iox #6508: an endpoint that failed once never came back.
#[tokio::test(start_paused = true)]
async fn each_endpoint_comes_back_to_its_share_after_a_restart() {
    let service = Service::default();
    let names = ["a", "b", "c"];
    let (_sender, pool) = over(&service, &names);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    for name in names {
        service.kill(name);
        let during = shares(&pool, 200).await;
        assert_eq!(during.get(name), None, "{during:?}");
        service.set(name, Answer::Accept);
        shares(&pool, 5_000).await;
        let after = shares(&pool, 300).await;
        assert!(
            after.get(name).is_some_and(|share| *share > 60),
            "{after:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn where_no_endpoint_can_be_reached_the_error_names_each() {
    let service = Service::default();
    service.set("a", Answer::Refuse);
    service.set("b", Answer::Refuse);
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool
        .connect_failures(ConnectFailures::FailAfter(1))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    let GetError::Connect { error: cause, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(matches!(cause, ConnectError::Endpoints { .. }));
    let text = format!("{error}");
    assert!(text.contains('a') && text.contains('b'), "{text}");
}

/// The connections of an endpoint that dies end; those that hold leases on them find out by themselves.
#[tokio::test(start_paused = true)]
async fn the_leases_on_a_dead_endpoint_end_and_nothing_is_left_of_it() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "dies"]);
    let pool = pool.build().unwrap();
    warm(&pool).await;
    let held = hold(&pool, 20).await;
    service.kill("dies");
    for _ in 0..50 {
        assert_eq!(use_once(&pool).await, "a");
    }
    drop(held);
    pass(ms(10)).await;
    assert_eq!(service.open("dies"), 0);
    shares(&pool, 500).await;
    let status = pool.endpoints().unwrap();
    let dead = status.endpoints.iter().find(|at| &*at.name == "dies");
    let condition = dead.unwrap().condition;
    assert!(
        matches!(condition, EndpointCondition::Down { .. }),
        "{condition}"
    );
}

/// A waiter that came while all were down is served by the first that is back.
#[tokio::test(start_paused = true)]
async fn who_waits_is_served_by_whichever_endpoint_comes_back_first() {
    let service = Service::default();
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.acquire_timeout(secs(60)).build().unwrap();
    warm(&pool).await;
    service.kill("a");
    service.kill("b");
    let waiters: Vec<_> = (0..20)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { use_once(&pool).await })
        })
        .collect();
    pass(secs(5)).await;
    service.set("b", Answer::Accept);
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), "b");
    }
}

/// As of an exclusive pool: a server of the wrong role is not what callers wait for, and is asked again soon while they do.
#[tokio::test(start_paused = true)]
async fn who_waits_is_served_within_half_a_second_by_one_that_becomes_what_is_wanted() {
    for seed in 0..20 {
        let service = Service::default();
        for name in ["a", "b"] {
            service.set(name, Answer::Unsuitable);
        }
        let (_sender, pool) = over(&service, &["a", "b"]);
        let pool = pool.seed(seed).build().unwrap();
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { use_once(&pool).await }
        });
        pass(secs(3)).await;
        service.set("b", Answer::Accept);
        pass(ms(510)).await;
        assert!(waiter.is_finished(), "within half a second");
        assert_eq!(waiter.await.unwrap(), "b");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_one_that_served_is_that_no_more_the_others_are_looked_at_at_once() {
    let service = Service::default();
    service.set("b", Answer::Unsuitable);
    let (_sender, pool) = over(&service, &["a", "b"]);
    let pool = pool.build().unwrap();
    for _ in 0..20 {
        assert_eq!(use_once(&pool).await, "a");
        pass(ms(50)).await;
    }
    assert!(service.dialled("b") <= 2, "while the other serves");
    service.set("b", Answer::Accept);
    service.end("a", Answer::Unsuitable);
    let began = Instant::now();
    assert_eq!(use_once(&pool).await, "b");
    assert!(began.elapsed() < ms(300), "{:?}", began.elapsed());
}
