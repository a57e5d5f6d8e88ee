use std::error::Error;
use std::future::Future as _;
use std::hash::{Hash, Hasher};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cenote::error::SettingsError;
use cenote::report::CloseReason;
use cenote::{GetError, Keyed, Pool};

use crate::Servers;
use crate::server::{Server, Told, words};

#[tokio::test(start_paused = true)]
async fn settings_may_differ_by_key() {
    let server = Server::default();
    let pools = Keyed::builder(move |size: &usize| server.builder().max_size(*size))
        .build()
        .unwrap();
    for size in [1, 2, 5] {
        drop(pools.get(&size).await.unwrap());
        assert_eq!(pools.find(&size).unwrap().status().max_size, size);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_alone_makes_a_pool_with_default_settings() {
    let server = Server::default();
    let pools = Keyed::builder(move |_: &u32| server.clone())
        .build()
        .unwrap();
    drop(pools.get(&1).await.unwrap());
    let pool = pools.find(&1).unwrap();
    assert_eq!((pool.status().max_size, pool.name()), (10, "unnamed[1]"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_at_fault_is_told_with_the_cause_and_leaves_nothing() {
    let server = Server::default();
    let pools = Keyed::builder(move |name: &String| match name.parse::<u16>() {
        Ok(_) => Ok(server.clone()),
        Err(error) => Err(io::Error::other(error)),
    })
    .name("ports")
    .build()
    .unwrap();
    let error = pools.get("many").await.map(drop).unwrap_err();
    assert!(matches!(error, GetError::Setup { .. }));
    assert_eq!(
        error.to_string(),
        "pool ports: cannot be set up for this key: invalid digit found in string"
    );
    assert!(error.downcast_ref::<io::Error>().is_some());
    assert!(pools.is_empty());
    assert!(pools.get("80").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_setting_that_cannot_work_is_named_when_the_key_is_asked_for() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(0)).build().unwrap();
    let error = pools.get(&1).await.map(drop).unwrap_err();
    let setting = error.downcast_ref::<SettingsError>().unwrap();
    assert_eq!(setting.setting, "max_size");
    assert!(error.source().is_none(), "all is said");
}

#[tokio::test(start_paused = true)]
async fn what_panics_as_a_pool_is_made_is_an_error_of_the_caller_that_asked() {
    let (server, calls) = (Server::default(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&calls);
    let pools = Keyed::builder(move |_: &u32| {
        assert!(counted.fetch_add(1, SeqCst) > 0, "told to");
        Pool::builder(server.clone())
    })
    .build()
    .unwrap();
    let error = pools.get(&1).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("told to"), "{error}");
    assert!(pools.get(&1).await.is_ok());
}

/// A key whose comparison panics once.
#[derive(Clone, Debug)]
struct Touchy(u32, Arc<AtomicUsize>);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(self.1.fetch_add(1, SeqCst) != 1, "told to");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl Hash for Touchy {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.hash(hasher);
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_panics_costs_nobody_else_anything() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool.max_size(1)).build().unwrap();
    let key = Touchy(1, Arc::default());
    drop(pools.get(&key).await.unwrap());
    drop(pools.get(&key).await.unwrap());
    let asks = tokio::spawn({
        let (pools, key) = (pools.clone(), key.clone());
        async move { drop(pools.get(&key).await) }
    });
    assert!(asks.await.unwrap_err().is_panic());
    for _ in 0..3 {
        drop(pools.get(&key).await.unwrap());
    }
    assert_eq!((pools.len(), servers.open()), (1, 1));
}

#[test]
fn without_a_runtime_a_get_says_so_and_leaves_no_key() {
    let servers = Servers::new();
    let pools = servers.keyed(|pool| pool).build().unwrap();
    let mut get = std::pin::pin!(pools.get(&1));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match get.as_mut().poll(&mut cx) {
        std::task::Poll::Ready(Err(GetError::NoRuntime { .. })) => {}
        other => panic!("{:?}", other.map(|got| got.map(drop))),
    }
    assert!(pools.is_empty());
}

/// What happens in the pools of all keys is told to one observer, which outlives each of them.
#[tokio::test(start_paused = true)]
async fn one_observer_hears_of_all_keys_after_those_of_each() {
    let servers = Servers::new();
    let told = Told::default();
    let (of_all, of_each) = (told.clone(), told.clone());
    let pools = servers
        .keyed(move |pool| {
            let of_each = of_each.clone();
            pool.on_event(move |event| of_each.note(&format!("each: {}", words(event))))
        })
        .on_event(|_| panic!("told to"))
        .on_event(move |event| of_all.note(&format!("{}: {}", event.pool, words(event))))
        .build()
        .unwrap();
    for key in [1, 2] {
        cenote::OwnedLease::discard(pools.get(&key).await.unwrap());
    }
    assert!(pools.is_empty());
    let expected = [1, 2].map(|key| {
        [
            "each: opened 1".to_owned(),
            format!("tenants[{key}]: opened 1"),
            format!("each: closed 1: {}", CloseReason::Discarded),
            format!("tenants[{key}]: closed 1: {}", CloseReason::Discarded),
        ]
    });
    let mut told = told.take();
    told.retain(|words| !words.contains("waited"));
    assert_eq!(told, expected.concat());
}
