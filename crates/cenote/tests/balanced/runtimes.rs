use std::sync::Arc;
use std::time::Duration;

use cenote::endpoints::{Discovery, Endpoint, Outcome, fixed};
use cenote::report::EndpointCondition;
use cenote::{Lease, Pool};
use tokio::runtime::{Builder, Runtime};

use crate::service::{Service, To, secs, set_of, use_once};

/// More than anything here takes.
const LONG: Duration = secs(60);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A discovery that has told this set, and whose runtime has ended.
fn told(names: &[&str]) -> Discovery<String> {
    runtime().block_on(async {
        let mut discovery = Discovery::start(fixed(set_of(names))).unwrap();
        discovery.changed().await.unwrap();
        discovery
    })
}

fn pool(service: &Service, discovery: &Discovery<String>) -> Pool<To> {
    let pool = service.balanced(discovery.clone());
    pool.acquire_timeout(LONG).build().unwrap()
}

/// As with tests, each of which has a runtime of its own, and what they share.
#[test]
fn a_pool_over_a_discovery_whose_runtime_has_ended_serves_at_what_was_told() {
    let (service, discovery) = (Service::default(), told(&["a"]));
    let served = runtime().block_on(async {
        let pool = pool(&service, &discovery);
        use_once(&pool).await
    });
    assert_eq!(served, "a");
}

#[test]
fn a_pool_over_such_a_discovery_that_was_made_outside_a_runtime_serves_on_one() {
    let (service, discovery) = (Service::default(), told(&["a"]));
    let pool = pool(&service, &discovery);
    assert_eq!(runtime().block_on(use_once(&pool)), "a");
}

/// A call, which fails if it is on this server.
async fn fail_on(pool: &Pool<To>, bad: &str) {
    let lease = pool.get().await.unwrap();
    let outcome = match lease.server == bad {
        true => Outcome::Failed,
        false => Outcome::Ok,
    };
    Lease::outcome(&lease, outcome);
}

/// What becomes of endpoints is for the follower, which began where the discovery was started.
#[test]
fn a_pool_whose_first_runtime_has_ended_goes_on_to_follow_on_the_next() {
    let service = Service::default();
    let first = runtime();
    let pool = first.block_on(async {
        let discovery = Discovery::start(fixed(set_of(&["a", "b", "c"]))).unwrap();
        let pool = pool(&service, &discovery);
        use_once(&pool).await;
        pool
    });
    drop(first);
    runtime().block_on(async {
        let is_ejected = || {
            let status = pool.endpoints().unwrap();
            let mut its = status.endpoints.iter();
            its.any(|at| matches!(at.condition, EndpointCondition::Ejected { .. }))
        };
        let ejected = async {
            while !is_ejected() {
                fail_on(&pool, "b").await;
                tokio::task::yield_now().await;
            }
        };
        let ejected = tokio::time::timeout(LONG, ejected).await;
        ejected.expect("the follower says how many may be");
    });
}

#[test]
fn a_pool_that_is_looked_after_on_another_runtime_goes_on_to_follow_though_nobody_calls() {
    let service = Service::default();
    let (first, second) = (runtime(), runtime());
    let discovery = first.block_on(async {
        let mut discovery = Discovery::start(fixed(set_of(&["a"]))).unwrap();
        discovery.changed().await.unwrap();
        discovery
    });
    let pool = second.block_on(async { pool(&service, &discovery) });
    drop(first);
    second.block_on(async {
        let followed = async {
            while pool.endpoints().unwrap().endpoints.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let followed = tokio::time::timeout(LONG, followed).await;
        followed.expect("its keeper has it follow on");
    });
}

/// Between two runtimes the pool has its follower, which has what makes connectors, and the discovery.
#[test]
fn a_pool_that_is_dropped_after_its_runtime_has_ended_leaves_nothing_behind() {
    let service = Service::default();
    let made_of = Arc::new(());
    let first = runtime();
    let pool = first.block_on(async {
        let (service, held) = (service.clone(), Arc::clone(&made_of));
        let pool = Pool::balanced(fixed(set_of(&["a"])), move |at: &Endpoint<String>| {
            let _held = &held;
            service.connector(&at.key)
        });
        let pool = pool.build().unwrap();
        use_once(&pool).await;
        pool
    });
    drop(first);
    assert_eq!(
        Arc::strong_count(&made_of),
        2,
        "it follows on if it is used"
    );
    drop(pool);
    assert_eq!((Arc::strong_count(&made_of), service.all_open()), (1, 0));
}
