//! What leases without the lock must not change: growth, shrinking, and all that is told.

use std::convert::Infallible;
use std::task::Waker;
use std::time::Duration;

use tokio::time::sleep;

use crate::connect::{Connect, Multiplex, Verdict};
use crate::dial::Dial;
use crate::endpoints::{Balance, EndpointSet, fixed};
use crate::report::Sharing;
use crate::shared::permits::Answer;
use crate::shared::roster::Unlisted;
use crate::shared::{SharedLease, SharedPool, SharedPoolBuilder};

/// Leases that a connection carries; from three on it is busy.
const EACH: usize = 4;

struct Server;

impl Connect for Server {
    type Connection = ();
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<(), Infallible> {
        Ok(())
    }

    fn verdict(&self, (): &mut ()) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Server {
    fn capacity(&self, (): &()) -> usize {
        EACH
    }
}

/// A pool of two connections, whose roster is out.
async fn of_two(builder: SharedPoolBuilder<Server>) -> SharedPool<Server> {
    let pool = builder.build().expect("its settings are possible");
    let mut leases = Vec::new();
    while sharing(&pool).serving < 2 {
        leases.push(lease(&pool).await);
        tokio::task::yield_now().await;
    }
    drop(leases);
    goes_out(&pool).await;
    pool
}

/// Parks no connection that is not used, and spares one after a second.
fn patient() -> SharedPoolBuilder<Server> {
    let builder = SharedPool::builder(Server).max_size(2);
    let builder = builder.check_after_idle(Duration::from_secs(1_000));
    builder.shrink_after(Duration::from_secs(1))
}

async fn goes_out(pool: &SharedPool<Server>) {
    while !has_roster(pool) {
        drop(lease(pool).await);
        tokio::task::yield_now().await;
    }
}

fn has_roster(pool: &SharedPool<Server>) -> bool {
    pool.core.state().has_roster()
}

fn sharing(pool: &SharedPool<Server>) -> Sharing {
    let sharing = pool.status().sharing;
    sharing.expect("the pool is a shared one")
}

async fn lease(pool: &SharedPool<Server>) -> SharedLease<Server> {
    pool.get().await.expect("the server is up")
}

/// A lease that is asked for under the lock.
fn asked(pool: &SharedPool<Server>, unlisted: Unlisted) -> SharedLease<Server> {
    match pool.core.ask(Waker::noop(), None, unlisted) {
        Ok(Answer::Granted(grant)) => pool.core.admit(grant).expect("the server is up"),
        _ => panic!("a connection has room"),
    }
}

async fn leases(pool: &SharedPool<Server>, count: usize) -> Vec<SharedLease<Server>> {
    let mut leases = Vec::new();
    for _ in 0..count {
        leases.push(lease(pool).await);
    }
    leases
}

#[tokio::test(start_paused = true)]
async fn leases_begin_and_end_while_the_roster_stays_out() {
    let pool = of_two(SharedPool::builder(Server).max_size(2)).await;
    drop(leases(&pool, 2 * EACH).await);
    drop(pool.try_get().unwrap());
    assert!(has_roster(&pool));
}

/// Of two threads one waited most often while the other handed it out, and called it in at once.
#[tokio::test(start_paused = true)]
async fn a_caller_that_waited_for_the_lock_while_the_roster_went_out_leaves_it_out() {
    let pool = of_two(patient()).await;
    let gets = pool.core.state().gets;
    let lease = asked(&pool, Unlisted::NotOut);
    assert!(has_roster(&pool));
    assert_eq!(sharing(&pool).in_flight, 1);
    assert_eq!(pool.core.state().gets, gets + 1);
    drop(lease);
    assert_eq!(sharing(&pool).in_flight, 0);
}

/// It drew from this very roster: what it found is for the state to decide, as that an endpoint lacks a connection.
#[tokio::test(start_paused = true)]
async fn a_caller_that_drew_in_vain_has_the_state_decide() {
    let pool = of_two(patient()).await;
    let lease = asked(&pool, Unlisted::Undecided);
    assert!(!has_roster(&pool));
    drop(lease);
}

/// Connections that carry a few leases each are seldom free on average, and two callers at once were enough to have every
/// lease take the lock.
#[tokio::test(start_paused = true)]
async fn the_roster_goes_out_while_half_of_the_connections_have_room() {
    let pool = of_two(patient()).await;
    let held = leases(&pool, 2 * EACH - 1).await;
    assert_eq!(sharing(&pool).in_flight, 7);
    for _ in 0..100 {
        drop(lease(&pool).await);
    }
    assert!(has_roster(&pool));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn each_is_counted_though_nobody_had_the_lock() {
    let pool = of_two(SharedPool::builder(Server).max_size(2)).await;
    let before = pool.core.state().gets;
    let held = leases(&pool, 3).await;
    drop(lease(&pool).await);
    assert_eq!(pool.load(), 3);
    assert!(has_roster(&pool), "load is asked for each request");
    assert_eq!(sharing(&pool).in_flight, 3);
    assert_eq!(pool.counters().gets, before + 4);
    drop(held);
    assert_eq!(pool.load(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_whose_connections_become_busy_grows_all_the_same() {
    let pool = of_two(SharedPool::builder(Server).max_size(3)).await;
    let held = leases(&pool, 4).await;
    assert!(has_roster(&pool));
    let busy = leases(&pool, 2).await;
    sleep(ms(10)).await;
    assert_eq!(sharing(&pool).serving, 3);
    drop((held, busy));
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_room_waits_for_the_next_lease_that_ends() {
    let pool = of_two(SharedPool::builder(Server).max_size(2)).await;
    let mut held = leases(&pool, 2 * EACH).await;
    assert!(has_roster(&pool));
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { drop(lease(&pool).await) }
    });
    sleep(ms(10)).await;
    assert_eq!(pool.status().waiters, 1);
    held.pop();
    waiter.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_load_that_needs_both_connections_now_and_then_keeps_both() {
    let pool = of_two(patient()).await;
    for _ in 0..100 {
        goes_out(&pool).await;
        drop(leases(&pool, EACH).await);
        assert!(has_roster(&pool));
        sleep(ms(100)).await;
    }
    assert_eq!(sharing(&pool).serving, 2);
}

#[tokio::test(start_paused = true)]
async fn a_light_load_spares_one_of_them() {
    let pool = of_two(patient()).await;
    for _ in 0..100 {
        goes_out(&pool).await;
        drop(lease(&pool).await);
        assert!(has_roster(&pool));
        sleep(ms(100)).await;
        if sharing(&pool).serving == 1 {
            break;
        }
    }
    assert_eq!(sharing(&pool).serving, 1);
}

/// They are no load of those that serve.
#[tokio::test(start_paused = true)]
async fn leases_on_what_drains_keep_no_connection_from_being_spared() {
    let pool = of_two(patient().max_size(3)).await;
    let held = leases(&pool, 4).await;
    SharedLease::retire(&held[0]);
    let id = SharedLease::info(&held[0]).id;
    let is_draining = |lease: &SharedLease<Server>| SharedLease::info(lease).id == id;
    let (draining, others): (Vec<_>, Vec<_>) = held.into_iter().partition(is_draining);
    drop(others);
    while sharing(&pool).serving < 2 {
        sleep(ms(10)).await;
    }
    assert_eq!((sharing(&pool).in_flight, draining.len()), (2, 2));
    for _ in 0..100 {
        goes_out(&pool).await;
        drop(lease(&pool).await);
        assert!(has_roster(&pool));
        sleep(ms(100)).await;
        if sharing(&pool).serving == 1 {
            break;
        }
    }
    assert_eq!(sharing(&pool).serving, 1);
}

/// After a burst, growth may wait for as long as each endpoint has what it may have.
#[tokio::test(start_paused = true)]
async fn the_roster_goes_out_though_one_more_connection_cannot_be_opened() {
    let pool = SharedPool::balanced(fixed(EndpointSet::of(0..2)), |_| Server);
    let pool = of_two(pool.max_per_endpoint(1)).await;
    drop(leases(&pool, 2 * EACH).await);
    assert_eq!(pool.core.state().growing, 1);
    for _ in 0..100 {
        drop(lease(&pool).await);
    }
    assert!(has_roster(&pool));
}

#[tokio::test(start_paused = true)]
async fn the_rule_that_goes_through_endpoints_in_turn_has_no_roster() {
    for (rule, has_one) in [(Balance::PowerOfTwo, true), (Balance::RoundRobin, false)] {
        let pool = SharedPool::balanced(fixed(EndpointSet::of(0..2)), |_| Server);
        let pool = pool.balance(rule).build().unwrap();
        for _ in 0..100 {
            drop(lease(&pool).await);
            tokio::task::yield_now().await;
        }
        assert_eq!(has_roster(&pool), has_one, "{rule:?}");
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
