//! What a review of the first version found: each of these fails there.

#![allow(unused_imports, dead_code, reason = "each test came by itself")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cenote::endpoints::{Discover, Discovery, EmptySets, Endpoint, EndpointSet, channel, fixed};
use cenote::settings::{Backoff, ConnectFailures};
use cenote::{GetError, Pool};
use tokio::time::Instant;

use crate::service::{Answer, Service, To, ms, pass, secs, set_of, shares, use_once};

/// So many users at once, each of leases of 1 ms, for so long; how many each server had.
async fn users(
    pool: &Pool<To>,
    users: usize,
    time: Duration,
) -> std::collections::BTreeMap<String, usize> {
    let end = Instant::now() + time;
    let users: Vec<_> = (0..users)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                let mut had = std::collections::BTreeMap::new();
                while Instant::now() < end {
                    *had.entry(use_once(&pool).await).or_insert(0) += 1;
                }
                had
            })
        })
        .collect();
    let mut all = std::collections::BTreeMap::new();
    for user in users {
        for (name, had) in user.await.unwrap() {
            *all.entry(name).or_insert(0) += had;
        }
    }
    all
}

/// `SetDials::wanted` gives the drained one first, for ever, and `open_at` refuses it.
#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_that_is_drained_keeps_no_other_from_coming_back() {
    let service = Service::default();
    let (sender, source) = channel();
    let weighing = |weight| {
        EndpointSet::from([
            Endpoint::new("a".to_owned()).weight(weight),
            Endpoint::new("b".to_owned()),
            Endpoint::new("c".to_owned()),
        ])
    };
    sender.send(weighing(1));
    let pool = service.balanced(source).build().unwrap();
    shares(&pool, 50).await;
    service.kill("a");
    shares(&pool, 50).await;
    sender.send(weighing(0));
    pass(ms(1)).await;
    service.kill("b");
    shares(&pool, 20).await;
    service.set("b", Answer::Accept);
    for _ in 0..200 {
        use_once(&pool).await;
        pass(ms(50)).await;
    }
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// The dial fails after `SetDials::forget`, so that its number is failing for ever, without a target to dial.
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
    for _ in 0..200 {
        use_once(&pool).await;
        pass(ms(50)).await;
    }
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// As above: the next endpoint has the number, and with it the outage of another.
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

/// A success while `unproven_since` is set tells the follower nothing: the endpoint stays spare, so it has no lease, so it
/// is never proven.
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
    for _ in 0..600 {
        use_once(&pool).await;
        pass(ms(50)).await;
    }
    let shares = shares(&pool, 100).await;
    assert!(shares.contains_key("b"), "{shares:?}");
}

/// Which endpoint is dialled is chosen by those open; whether it may be, by those closing as well.
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

/// `fewest` leaves out all of share 0 where any candidate has one, gated as that may be.
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

/// influxdb_iox #6508 with a bound: what is full is not made room in.
#[tokio::test(start_paused = true)]
async fn an_endpoint_comes_back_though_the_others_have_taken_all_of_max_size() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.max_size(4).build().unwrap();
    users(&pool, 4, secs(1)).await;
    service.kill("a");
    users(&pool, 4, secs(5)).await;
    service.set("a", Answer::Accept);
    users(&pool, 4, secs(60)).await;
    let shares = users(&pool, 4, secs(5)).await;
    assert!(shares.contains_key("a"), "{shares:?}");
}

/// cilium #12551, with more than one user: an endpoint is dialled for its share only while it has no connection at all.
#[tokio::test(start_paused = true)]
async fn endpoints_that_are_added_under_load_come_to_their_share() {
    let service = Service::default();
    let (sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    users(&pool, 16, secs(2)).await;
    sender.send(set_of(&["a", "b", "c", "d"]));
    users(&pool, 16, secs(60)).await;
    let shares = users(&pool, 16, secs(5)).await;
    let all: usize = shares.values().sum();
    let new = shares["c"] + shares["d"];
    assert!(new > all / 4, "half is theirs: {shares:?}");
}

/// The same after a restart.
#[tokio::test(start_paused = true)]
async fn under_load_an_endpoint_comes_back_to_its_share_after_a_restart() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b"]);
    let pool = pool.build().unwrap();
    users(&pool, 8, secs(2)).await;
    service.kill("a");
    users(&pool, 8, secs(2)).await;
    service.set("a", Answer::Accept);
    users(&pool, 8, secs(60)).await;
    let shares = users(&pool, 8, secs(5)).await;
    let all: usize = shares.values().sum();
    assert!(shares["a"] > all / 4, "half is its: {shares:?}");
}

/// And a backup goes on serving all but one lease at a time.
#[tokio::test(start_paused = true)]
async fn under_load_a_lower_level_serves_no_more_once_the_first_is_back() {
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(EndpointSet::from([
        Endpoint::new("first".to_owned()),
        Endpoint::new("second".to_owned()).priority(1),
    ]));
    let pool = service.balanced(source).build().unwrap();
    users(&pool, 8, secs(1)).await;
    service.kill("first");
    users(&pool, 8, secs(2)).await;
    service.set("first", Answer::Accept);
    users(&pool, 8, secs(60)).await;
    let shares = users(&pool, 8, secs(5)).await;
    let second = shares.get("second").copied().unwrap_or(0);
    assert!(second < shares["first"] / 10, "{shares:?}");
}

/// `may_grow` counts the dial that hangs as the caller's.
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

/// Dials that nobody waits for take all of `max_connecting`.
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

/// Told only by the last dial, and of many endpoints that hang there is always another under way.
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

/// `all_tell` of no endpoint at all is `Tell::Now`, whatever the policy.
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

/// `Dialer::tell_at` knows nothing of a set's, so a look forgets it until the next sweep.
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

/// A name that happens to be part of an error's words is left out: "con" of "connection refused", 1 of "error 111".
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

/// One of weight 0, never dialled and so not down, keeps the source from being asked.
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
                Endpoint::new("old".to_owned()),
                Endpoint::new("drained".to_owned()).weight(0),
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

/// Threads keep the pickers of four pools; a fifth with a seed begins anew with each choice, and so chooses the same.
#[tokio::test(start_paused = true)]
async fn many_pools_with_seeds_on_one_thread_spread_their_leases() {
    let service = Service::default();
    let names: Vec<_> = (0..8).map(|number| format!("s{number}")).collect();
    let pools: Vec<_> = (0..8)
        .map(|_| {
            let source = fixed(EndpointSet::of(names.clone()));
            service.balanced(source).build().unwrap()
        })
        .collect();
    let mut had = vec![std::collections::BTreeMap::<String, usize>::new(); pools.len()];
    for _ in 0..200 {
        for (pool, had) in pools.iter().zip(&mut had) {
            *had.entry(use_once(pool).await).or_default() += 1;
        }
    }
    for had in had {
        assert_eq!(had.len(), 8, "{had:?}");
    }
}

/// pingora #1006: the user's `Clone`, `Ord` or `Drop` of a key runs in the follower, uncaught.
#[tokio::test(start_paused = true)]
async fn a_key_that_panics_once_does_not_freeze_the_membership() {
    use std::sync::atomic::AtomicBool;

    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Name(&'static str);
    impl Clone for Name {
        fn clone(&self) -> Self {
            assert!(!PANICS.swap(false, Relaxed), "once");
            Self(self.0)
        }
    }
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(EndpointSet::of([Name("a")]));
    let made = service.clone();
    let pool = Pool::balanced(source, move |at: &Endpoint<Name>| made.connector(at.key.0));
    let pool = pool.build().unwrap();
    assert_eq!(use_once(&pool).await, "a");
    PANICS.store(true, Relaxed);
    sender.send(EndpointSet::of([Name("a"), Name("b")]));
    pass(ms(10)).await;
    assert!(!PANICS.load(Relaxed));
    sender.send(EndpointSet::of([Name("c")]));
    pass(ms(10)).await;
    assert_eq!(use_once(&pool).await, "c");
}

/// The follower is dropped unrun, and nobody is told: `build` says that the pool is there.
#[test]
fn a_pool_built_outside_of_the_runtime_of_its_source_works_or_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let service = Service::default();
    let builder = {
        let _within = runtime.enter();
        service.balanced(fixed(set_of(&["a"])))
    };
    if let Ok(pool) = builder.build() {
        runtime.block_on(async { assert_eq!(use_once(&pool).await, "a") });
    }
}

/// "Callers hear of it only where no endpoint can be reached."
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

#[tokio::test(start_paused = true)]
async fn that_an_endpoint_without_a_connector_is_down_is_told_with_its_name() {
    use cenote::report::EventKind;

    let service = Service::default();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&told);
    let _pool = Pool::balanced(fixed(set_of(&["poison"])), move |at: &Endpoint<String>| {
        assert_ne!(at.key, "poison");
        service.connector(&at.key)
    })
    .on_event(move |event| {
        if matches!(event.kind, EventKind::EndpointDown) {
            log.lock().unwrap().push(event.endpoint.map(str::to_owned));
        }
    })
    .build()
    .unwrap();
    pass(ms(1)).await;
    assert_eq!(*told.lock().unwrap(), [Some("poison".to_owned())]);
}

/// A connector may be dropped with its last connection, and `detach` drops it where its panic is the user's.
#[tokio::test(start_paused = true)]
async fn a_connector_whose_drop_panics_takes_no_connection_from_who_detaches_it() {
    use cenote::{Connect, Dial, Lease, Verdict};

    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "a connector's drop");
        }
    }
    impl Connect for Panics {
        type Connection = u8;
        type Error = std::io::Error;
        async fn connect(&self, _: &Dial) -> std::io::Result<u8> {
            Ok(7)
        }
        fn verdict(&self, _: &mut u8) -> Verdict {
            Verdict::Reuse
        }
    }
    let (sender, source) = channel();
    sender.send(set_of(&["a"]));
    let discovery = Discovery::builder(source)
        .empty_sets(EmptySets::Obeyed)
        .start();
    let pool = Pool::balanced(discovery.unwrap(), |_: &Endpoint<String>| Panics)
        .build()
        .unwrap();
    let lease = pool.get().await.unwrap();
    sender.send(EndpointSet::from([
        Endpoint::new("a".to_owned()).addresses(["10.0.0.1:1".parse().unwrap()])
    ]));
    pass(ms(1)).await;
    let detached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Lease::detach(lease)));
    std::mem::forget(pool);
    assert_eq!(detached.ok(), Some(7));
}

/// From the shelf the one that idles for longest is leased, whatever level and share its endpoint has.
#[tokio::test(start_paused = true)]
async fn after_a_wait_a_lower_level_serves_none_while_the_first_has_an_idle_connection() {
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(EndpointSet::from([
        Endpoint::new("first".to_owned()),
        Endpoint::new("second".to_owned()).priority(1),
    ]));
    let pool = service
        .balanced(source)
        .max_per_endpoint(20)
        .build()
        .unwrap();
    let mut leases = Vec::new();
    for _ in 0..40 {
        leases.push(pool.get().await.unwrap());
    }
    assert!(pool.get().timeout(ms(10)).await.is_err());
    // Ten of each come back, the second's before the first's.
    for name in ["second", "first"] {
        for _ in 0..10 {
            let place = leases.iter().position(|lease| lease.server == name);
            drop(leases.swap_remove(place.unwrap()));
        }
    }
    let shares = shares(&pool, 10).await;
    assert_eq!(shares.get("second"), None, "{shares:?}");
}
