use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use cenote::Pool;
use cenote::endpoints::{Discovery, EmptySets, Endpoint, EndpointSet, channel, fixed};

use crate::service::{Service, To, endpoint, ms, pass, set_of, shares, use_once};

/// pingora #1006: what is the user's of a key runs where the set is followed.
#[tokio::test(start_paused = true)]
async fn a_key_that_panics_once_does_not_freeze_the_membership() {
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

/// Where a key of a caller leads is found by the keys of the endpoints.
#[tokio::test(start_paused = true)]
async fn endpoints_whose_keys_cannot_be_hashed_serve_callers_by_key_all_the_same() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Name(&'static str);
    impl Hash for Name {
        fn hash<H: Hasher>(&self, _: &mut H) {
            panic!("a key's hash");
        }
    }
    let service = Service::default();
    let source = fixed(EndpointSet::of([Name("a"), Name("b")]));
    let pool = Pool::balanced(source, move |at: &Endpoint<Name>| {
        service.connector(at.key.0)
    });
    let pool = pool.build().unwrap();
    drop(pool.get().by_key("user").await.unwrap());
    let served = shares(&pool, 50).await;
    assert!(served.keys().eq(["a", "b"]), "{served:?}");
    let mut served = std::collections::BTreeSet::new();
    for user in 0..50 {
        served.insert(pool.get().by_key(&user).await.unwrap().server.clone());
    }
    assert!(
        served.iter().eq(["a", "b"]),
        "as those without a key: {served:?}"
    );
    let a = pool.endpoint_id(&Name("a")).unwrap();
    assert_eq!(pool.get().at(a).await.unwrap().server, "a");
}

#[tokio::test(start_paused = true)]
async fn while_the_keys_of_endpoints_cannot_be_hashed_callers_keys_lead_where_they_led() {
    static PANICS: AtomicBool = AtomicBool::new(false);
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Name(&'static str);
    impl Hash for Name {
        fn hash<H: Hasher>(&self, state: &mut H) {
            assert!(!PANICS.load(Relaxed), "for now");
            self.0.hash(state);
        }
    }
    async fn homes(pool: &Pool<To>) -> Vec<String> {
        let mut homes = Vec::new();
        for key in 0..30 {
            let lease = pool.get().by_key(&key).await.unwrap();
            pass(ms(1)).await;
            homes.push(lease.server.clone());
        }
        homes
    }
    let service = Service::default();
    let (sender, source) = channel();
    sender.send(EndpointSet::of([Name("a"), Name("b")]));
    let pool = Pool::balanced(source, move |at: &Endpoint<Name>| {
        service.connector(at.key.0)
    });
    let pool = pool.build().unwrap();
    let before = homes(&pool).await;
    PANICS.store(true, Relaxed);
    sender.send(EndpointSet::of([Name("a"), Name("b"), Name("c")]));
    pass(ms(10)).await;
    assert_eq!(homes(&pool).await, before);
    // Callers without a key are served by the newcomer, too.
    let served = shares(&pool, 50).await;
    assert!(served.contains_key("c"), "{served:?}");
    PANICS.store(false, Relaxed);
    sender.send(EndpointSet::of([Name("a"), Name("c")]));
    pass(ms(10)).await;
    let after = homes(&pool).await;
    assert!(after.contains(&"c".to_owned()) && !after.contains(&"b".to_owned()));
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

/// A connector may be dropped with its last connection.
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
        endpoint("a").addresses(["10.0.0.1:1".parse().unwrap()])
    ]));
    pass(ms(1)).await;
    let detached = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Lease::detach(lease)));
    std::mem::forget(pool);
    assert_eq!(detached.ok(), Some(7));
}

/// An error is dropped with what is known of an endpoint that leaves.
#[tokio::test]
async fn an_error_whose_drop_asks_for_the_status_does_not_stand_in_its_own_way() {
    use std::sync::{OnceLock, mpsc};
    use std::time::Duration;

    use cenote::{Connect, Dial, Verdict};

    static POOL: OnceLock<Pool<To>> = OnceLock::new();
    static ANSWERS: OnceLock<mpsc::Sender<bool>> = OnceLock::new();
    #[derive(Debug)]
    struct Asks;
    impl std::fmt::Display for Asks {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("refused")
        }
    }
    impl std::error::Error for Asks {}
    impl Drop for Asks {
        fn drop(&mut self) {
            // Elsewhere, so that the test ends if it gets no answer.
            let (sender, answer) = mpsc::channel();
            std::thread::spawn(move || sender.send(POOL.get().unwrap().endpoints().is_some()));
            let answer = answer.recv_timeout(Duration::from_secs(10));
            ANSWERS.get().unwrap().send(answer.is_ok()).unwrap();
        }
    }
    struct To {
        accepts: bool,
    }
    impl Connect for To {
        type Connection = u8;
        type Error = Asks;
        async fn connect(&self, _: &Dial) -> Result<u8, Asks> {
            match self.accepts {
                true => Ok(7),
                false => Err(Asks),
            }
        }
        fn verdict(&self, _: &mut u8) -> Verdict {
            Verdict::Reuse
        }
    }
    let (sender, source) = channel();
    sender.send(set_of(&["bad", "good"]));
    let pool = Pool::balanced(source, |at: &Endpoint<String>| To {
        accepts: at.key == "good",
    });
    let pool = POOL.get_or_init(|| pool.build().unwrap());
    let (answers, answered) = mpsc::channel();
    ANSWERS.set(answers).unwrap();
    let has_failed = || {
        let status = pool.endpoints().unwrap();
        let mut its = status.endpoints.iter();
        its.any(|at| at.connect_error.is_some())
    };
    while !has_failed() {
        drop(pool.get().await.unwrap());
        tokio::task::yield_now().await;
    }
    sender.send(set_of(&["good"]));
    while has_failed() {
        tokio::task::yield_now().await;
    }
    assert!(answered.try_iter().all(|is_answered| is_answered));
}
