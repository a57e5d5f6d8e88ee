use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cenote::GetError;
use cenote::endpoints::{Discover, Discovery, EmptySets, EndpointSet, channel, fixed};
use cenote::settings::{Backoff, ConnectFailures};
use tokio::time::Instant;

use crate::service::{
    Answer, Service, endpoint, ms, pass, secs, set_of, shares, use_now_and_then, use_once,
};

/// It is not to be dialled any more, and another is.
#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_that_is_drained_keeps_no_other_from_coming_back() {
    let service = Service::default();
    let weighing =
        |weight| EndpointSet::from([endpoint("a").weight(weight), endpoint("b"), endpoint("c")]);
    let (sender, pool) = service.over_set(weighing(1));
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    service.kill("a");
    shares(&pool, 50).await;
    sender.send(weighing(0));
    pass(ms(1)).await;
    service.kill("b");
    shares(&pool, 20).await;
    service.set("b", Answer::Accept);
    use_now_and_then(&pool, 200).await;
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// The dial fails when the endpoint is known no more.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_removed_while_it_is_dialled_keeps_no_other_from_coming_back() {
    let service = Service::default();
    service.set("dead", Answer::Swallow);
    let (sender, pool) = service.over(&["a", "b", "dead"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    assert_eq!(service.dialled("dead"), 1);
    sender.send(set_of(&["a", "b"]));
    pass(secs(5)).await;
    service.kill("a");
    service.kill("b");
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_once(&pool).await })
    };
    pass(secs(1)).await;
    service.set("a", Answer::Accept);
    caller.await.unwrap();
    service.set("b", Answer::Accept);
    use_now_and_then(&pool, 200).await;
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// Numbers are given again, and nothing else.
#[tokio::test(start_paused = true)]
async fn a_new_endpoint_does_not_begin_with_the_failures_of_one_that_was_removed() {
    let service = Service::default();
    service.set("dead", Answer::Swallow);
    let (sender, pool) = service.over(&["a", "dead"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    sender.send(set_of(&["a"]));
    pass(secs(10)).await;
    sender.send(set_of(&["a", "new"]));
    pass(ms(1)).await;
    let error = pool.inspect().connect_error;
    assert!(error.is_none(), "of new: {error:?}");
}

/// It is suspect until a lease on it proves otherwise, and must have leases for that.
#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_connections_arrived_dead_for_a_while_comes_back() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    service.kill("b");
    service.set("b", Answer::AcceptDead);
    shares(&pool, 50).await;
    service.set("b", Answer::Accept);
    use_now_and_then(&pool, 600).await;
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// Of many endpoints that hang there is always another dial under way.
#[tokio::test(start_paused = true)]
async fn callers_are_told_where_many_endpoints_all_swallow_dials() {
    let service = Service::default();
    let names: Vec<_> = (0..20).map(|number| format!("silent{number}")).collect();
    for name in &names {
        service.set(name, Answer::Swallow);
    }
    let pool = service
        .balanced(fixed(EndpointSet::of(names)))
        .connect_failures(ConnectFailures::FailAfter(2))
        .acquire_timeout(secs(120))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    // Twice 3 s and a back-off for the first 16, the same for the rest.
    assert!(began.elapsed() < secs(30), "{:?}", began.elapsed());
}

/// Where there is no endpoint, none has failed.
#[tokio::test(start_paused = true)]
async fn callers_that_are_to_wait_do_so_when_a_dial_fails_whose_endpoint_is_gone() {
    let service = Service::default();
    service.set("a", Answer::Swallow);
    let (sender, source) = channel();
    sender.send(set_of(&["a"]));
    let discovery = Discovery::builder(source)
        .empty_sets(EmptySets::Obeyed)
        .start();
    let pool = service
        .balanced(discovery.unwrap())
        .connect_failures(ConnectFailures::KeepWaiting)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { pool.get().await.map(|lease| lease.server.clone()) })
    };
    pass(secs(1)).await;
    sender.send(EndpointSet::default());
    pass(secs(10)).await;
    sender.send(set_of(&["b"]));
    assert_eq!(
        caller.await.unwrap().map_err(|error| error.to_string()),
        Ok("b".to_owned())
    );
}

/// No failure comes when it is due, and no sweep.
#[tokio::test(start_paused = true)]
async fn that_connecting_has_failed_for_a_time_is_told_in_time() {
    let service = Service::default();
    service.set("a", Answer::Refuse);
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool
        .connect_failures(ConnectFailures::FailAfterTime(ms(300)))
        .backoff(Backoff::new(secs(20), secs(20)))
        .check_after_idle(None)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let began = Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    assert!(began.elapsed() < ms(400), "{:?}", began.elapsed());
}

/// A name may happen to be part of an error's words: "con" of "connection refused".
#[tokio::test(start_paused = true)]
async fn an_error_names_each_endpoint_whatever_it_is_called() {
    let service = Service::default();
    for name in ["con", "fuse"] {
        service.set(name, Answer::Refuse);
    }
    let (_sender, pool) = service.over(&["con", "fuse"]);
    let pool = pool.build().unwrap();
    let text = pool.get().await.map(drop).unwrap_err().to_string();
    assert!(text.contains("con: ") && text.contains("fuse: "), "{text}");
}

/// One of weight 0 is never dialled, and so not known to be down.
#[tokio::test(start_paused = true)]
async fn where_all_but_drained_ones_are_down_the_source_is_asked_again() {
    struct Asked(bool, Arc<AtomicUsize>);
    impl Discover for Asked {
        type Key = String;
        type Error = std::convert::Infallible;
        async fn next(&mut self) -> Option<Result<EndpointSet<String>, Self::Error>> {
            if std::mem::replace(&mut self.0, true) {
                std::future::pending::<()>().await;
            }
            Some(Ok(EndpointSet::from([
                endpoint("old"),
                endpoint("drained").weight(0),
            ])))
        }
        fn refresh(&mut self) {
            self.1.fetch_add(1, Relaxed);
        }
    }
    let service = Service::default();
    service.set("old", Answer::Refuse);
    let asked = Arc::new(AtomicUsize::new(0));
    let pool = service
        .balanced(Asked(false, asked.clone()))
        .build()
        .unwrap();
    let _ = pool.get().await;
    assert!(asked.load(Relaxed) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_warm_though_one_of_three_endpoints_is_down() {
    let service = Service::default();
    service.set("b", Answer::Refuse);
    for name in ["a", "c"] {
        service.set_connect_time(name, ms(10));
    }
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.min_idle(3).build().unwrap();
    pool.warm().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_says_how_often_connecting_failed_and_when_it_is_tried_again() {
    let service = Service::default();
    service.set("a", Answer::Refuse);
    let (_sender, pool) = service.over(&["a"]);
    let pool = pool
        .connect_failures(ConnectFailures::KeepWaiting)
        .build()
        .unwrap();
    let _ = pool.get().await;
    let snapshot = pool.inspect();
    assert!(snapshot.connect_error.is_some());
    assert!(snapshot.connect_failures > 0, "{snapshot}");
}
