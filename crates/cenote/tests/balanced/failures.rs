use std::sync::{Arc, Mutex};

use cenote::GetError;
use cenote::report::EventKind;

use crate::service::{Answer, Service, ms, pass, secs, set_of, shares, use_once};

/// etcd-client #12, etcd-rs #93: one of three nodes is down, and the client unusable.
#[tokio::test(start_paused = true)]
async fn with_one_of_three_down_from_the_start_no_get_fails_or_waits_for_it() {
    let service = Service::default();
    service.set("b", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "b", "c"]);
    let pool = pool.build().unwrap();
    let began = tokio::time::Instant::now();
    let shares = shares(&pool, 100).await;
    assert!(shares.keys().eq(["a", "c"]), "{shares:?}");
    assert!(
        began.elapsed() < ms(150),
        "{:?} for 100 ms of use",
        began.elapsed()
    );
}

/// influxdb_iox #6508: what failed once never came back, and all load stayed on one.
#[tokio::test(start_paused = true)]
async fn each_endpoint_comes_back_to_its_share_after_a_restart() {
    let service = Service::default();
    let names = ["a", "b", "c"];
    let (_sender, pool) = service.over(&names);
    let pool = pool.build().unwrap();
    shares(&pool, 30).await;
    for name in names {
        service.kill(name);
        let without = shares(&pool, 100).await;
        assert_eq!(without.get(name), None, "{name}: {without:?}");
        service.set(name, Answer::Accept);
        // One step of the back-off, in a pool that is used.
        for _ in 0..30 {
            use_once(&pool).await;
            pass(ms(100)).await;
        }
        let with = shares(&pool, 300).await;
        assert!(with[name] > 60, "{name}: {with:?}");
    }
}

/// asyncpg #1155, porsager/postgres #988: the first host hangs, and eats the whole time-out.
#[tokio::test(start_paused = true)]
async fn a_server_that_swallows_dials_holds_a_caller_up_for_a_quarter_of_a_second() {
    for silent in ["a", "b", "c"] {
        let service = Service::default();
        for name in ["a", "b", "c"] {
            service.set_connect_time(name, ms(10));
        }
        service.set(silent, Answer::Swallow);
        let (_sender, pool) = service.over(&["a", "b", "c"]);
        let pool = pool.build().unwrap();
        let began = tokio::time::Instant::now();
        drop(pool.get().await.unwrap());
        assert!(began.elapsed() <= ms(250 + 10 + 1), "{:?}", began.elapsed());
    }
}

/// rust-postgres #399: errors must name each host, and why.
#[tokio::test(start_paused = true)]
async fn where_none_can_be_reached_the_error_names_every_one() {
    let service = Service::default();
    let names = ["alpha", "beta", "gamma"];
    for name in names {
        service.set(name, Answer::Refuse);
    }
    let (_sender, pool) = service.over(&names);
    let pool = pool.build().unwrap();
    let began = tokio::time::Instant::now();
    let error = pool.get().await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error:?}");
    assert!(
        began.elapsed() < secs(5),
        "early, for it never had a connection"
    );
    let text = error.to_string();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    assert!(error.downcast_ref::<std::io::Error>().is_some());
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_for_good_ends_nobody_s_waiting_for_the_others() {
    let service = Service::default();
    service.set("a", Answer::Refuse);
    service.set_connect_time("b", secs(2));
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    assert_eq!(use_once(&pool).await, "b");
}

/// In a pool that had connections, callers wait until their time is up.
#[tokio::test(start_paused = true)]
async fn after_all_have_died_service_resumes_with_the_first_that_is_back() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    shares(&pool, 20).await;
    service.kill("a");
    service.kill("b");
    let caller = {
        let pool = pool.clone();
        tokio::spawn(async move { use_once(&pool).await })
    };
    pass(secs(1)).await;
    service.set("b", Answer::Accept);
    pass(secs(2)).await;
    assert!(caller.is_finished(), "within one step of the back-off");
    assert_eq!(caller.await.unwrap(), "b");
}

/// talos #12802: an address that stays in the source for ever and is nobody's.
#[tokio::test(start_paused = true)]
async fn one_that_never_connects_is_dialled_at_the_pace_of_its_back_off() {
    let service = Service::default();
    service.set("dead", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "dead"]);
    let pool = pool.build().unwrap();
    for _ in 0..1_000 {
        use_once(&pool).await;
        pass(ms(99)).await;
    }
    let dialled = service.dialled("dead");
    // 100 s at 0 to 2 s.
    assert!((20..250).contains(&dialled), "{dialled}");
}

#[tokio::test(start_paused = true)]
async fn in_a_pool_that_nobody_uses_nothing_is_dialled() {
    let service = Service::default();
    service.set("dead", Answer::Refuse);
    let (_sender, pool) = service.over(&["a", "dead"]);
    let pool = pool.build().unwrap();
    shares(&pool, 50).await;
    pass(secs(10)).await;
    let dialled = service.dialled("dead");
    pass(secs(600)).await;
    assert_eq!(service.dialled("dead"), dialled);
}

#[tokio::test(start_paused = true)]
async fn that_an_endpoint_is_down_and_up_again_is_told() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let told = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let pool = pool
        .on_event(move |event| {
            let up = match event.kind {
                EventKind::EndpointDown => "down",
                EventKind::EndpointUp => "up",
                _ => return,
            };
            let endpoint = event.endpoint.unwrap_or("nameless");
            log.lock().unwrap().push(format!("{endpoint} {up}"));
        })
        .build()
        .unwrap();
    shares(&pool, 30).await;
    service.kill("a");
    shares(&pool, 30).await;
    service.set("a", Answer::Accept);
    for _ in 0..30 {
        use_once(&pool).await;
        pass(ms(100)).await;
    }
    assert_eq!(*told.lock().unwrap(), ["a down", "a up"]);
}

/// fred #56, #358: an address that all users knew is gone, and its name is not looked up again.
#[tokio::test(start_paused = true)]
async fn where_all_are_down_the_source_is_asked_again_at_once() {
    use cenote::endpoints::{Discover, EndpointSet};

    struct Moving {
        is_told: bool,
        is_asked: bool,
    }
    impl Discover for Moving {
        type Key = String;
        type Error = std::convert::Infallible;
        async fn next(&mut self) -> Option<Result<EndpointSet<String>, Self::Error>> {
            if !std::mem::replace(&mut self.is_told, true) {
                return Some(Ok(set_of(&["old"])));
            }
            if !std::mem::replace(&mut self.is_asked, false) {
                std::future::pending::<()>().await;
            }
            Some(Ok(set_of(&["new"])))
        }
        fn refresh(&mut self) {
            self.is_asked = true;
        }
    }
    let service = Service::default();
    service.set("old", Answer::Refuse);
    let source = Moving {
        is_told: false,
        is_asked: false,
    };
    let pool = service.balanced(source).build().unwrap();
    assert_eq!(use_once(&pool).await, "new");
}
