use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cenote::Pool;
use cenote::endpoints::{Discovery, EmptySets, Endpoint, EndpointSet, channel, fixed};

use crate::service::{Service, endpoint, ms, pass, set_of, use_once};

/// pingora #1006: what is the user's of a key runs where the set is followed.
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
