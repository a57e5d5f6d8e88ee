//! How connections leave service: old, broken, discarded or unused; what happens to the leases they carry, and
//! what takes their place.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use cenote::report::CloseReason;
use cenote::shared::SharedPoolBuilder;
use cenote::{Connect, Dial, Multiplex, SharedLease, SharedPool, Verdict};

use crate::server::{Act, Server, Told, ms, pass, secs};

/// Lifetimes without jitter.
fn aging(server: &Server) -> SharedPoolBuilder<Server> {
    server
        .shared()
        .max_lifetime(secs(10))
        .lifetime_jitter(0.0)
        .idle_timeout(None)
}

fn draining(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().draining
}

#[tokio::test(start_paused = true)]
async fn an_old_connection_drains_while_new_leases_go_to_its_successor() {
    let server = Server::default();
    let pool = aging(&server).build().unwrap();
    let old = pool.get().await.unwrap();
    pass(secs(12)).await;
    let new = pool.get().await.unwrap();
    assert_ne!(old.id, new.id);
    assert_eq!(
        (draining(&pool), server.open()),
        (1, 2),
        "its lease goes on"
    );
    drop(old);
    pass(ms(1)).await;
    assert_eq!((draining(&pool), server.open()), (0, 1));
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 1);
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}

/// Its successor is opened first: nobody waits for a dial because of a lifetime.
#[tokio::test(start_paused = true)]
async fn nobody_waits_because_a_connection_has_become_old() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = aging(&server).build().unwrap();
    let mut held = pool.get().await.unwrap();
    for _ in 0..1_000 {
        pass(ms(50)).await;
        held = pool.get().await.unwrap();
    }
    drop(held);
    assert!(pool.counters().closed_by(CloseReason::MaxLifetime) >= 3);
    assert_eq!(pool.counters().waited, 1);
}

/// With the server away, an old connection is better than none.
#[tokio::test(start_paused = true)]
async fn an_old_connection_serves_on_while_no_other_can_be_opened() {
    let server = Server::default();
    let pool = aging(&server).build().unwrap();
    let _held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    pass(secs(60)).await;
    assert_eq!(pool.get().await.unwrap().id, 0);
    server.plan(|plan| plan.connect = Act::Ok);
    pass(secs(10)).await;
    assert_eq!(pool.get().await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn in_a_pool_of_one_an_old_connection_is_replaced_once_it_has_drained() {
    let server = Server::default();
    let pool = aging(&server).max_size(1).build().unwrap();
    let old = pool.get().await.unwrap();
    pass(secs(12)).await;
    let (new, ()) = tokio::join!(pool.get(), async {
        pass(ms(100)).await;
        drop(old);
    });
    assert_eq!(new.unwrap().id, 1);
    assert_eq!(server.most(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_found_dead_at_a_get_is_not_leased_and_is_replaced() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let held = pool.get().await.unwrap();
    held.alive.store(false, SeqCst);
    assert_eq!(pool.get().await.unwrap().id, 1);
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.open(), 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_in_use_is_replaced_before_anybody_asks() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let held = pool.get().await.unwrap();
    held.alive.store(false, SeqCst);
    pass(ms(200)).await;
    assert_eq!((server.connected(), draining(&pool)), (2, 1));
    assert!(pool.try_get().is_ok());
}

/// Whoever has a lease keeps it, and finds out.
#[tokio::test(start_paused = true)]
async fn a_discarded_connection_gets_no_new_leases_and_closes_after_the_last() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    SharedLease::discard(one);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!((other.id, draining(&pool), server.open()), (0, 1, 2));
    drop(other);
    assert_eq!((draining(&pool), server.open()), (0, 1));
    let counters = pool.counters();
    assert_eq!(counters.closed_by(CloseReason::Discarded), 1);
    assert_eq!(server.seen.goodbyes.load(SeqCst), 0, "as it is broken");
}

#[tokio::test(start_paused = true)]
async fn discarding_by_several_holders_is_discarding_once() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    SharedLease::discard(one);
    SharedLease::discard(other);
    pass(ms(10)).await;
    assert_eq!(pool.counters().closed(), 1);
    assert_eq!((server.connected(), server.open()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_unused_for_a_while_is_checked_before_the_next_lease() {
    let server = Server::default();
    let pool = server.shared().keepalive(None).build().unwrap();
    drop(pool.get().await.unwrap());
    pass(ms(600)).await;
    drop(pool.get().await.unwrap());
    assert_eq!(server.seen.checks.load(SeqCst), 0);
    pass(secs(1)).await;
    drop(pool.get().await.unwrap());
    assert_eq!(server.seen.checks.load(SeqCst), 1);
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_its_check_is_replaced() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.check = Act::Fail);
    pass(secs(2)).await;
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::CheckFailed), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_without_leases_are_kept_alive_and_closed_for_idleness() {
    let server = Server::default();
    let pool = server
        .shared()
        .keepalive(secs(5))
        .idle_timeout(secs(12))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(11)).await;
    assert_eq!(server.seen.checks.load(SeqCst), 2);
    pass(secs(3)).await;
    assert_eq!(server.open(), 0);
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_never_idle() {
    let server = Server::default();
    let pool = server.shared().idle_timeout(secs(2)).build().unwrap();
    let _held = pool.get().await.unwrap();
    pass(secs(60)).await;
    assert_eq!(pool.get().await.unwrap().id, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_when_asked_costs_the_connection_only() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.is_open_panics = true);
    drop(held);
    server.plan(|plan| plan.is_open_panics = false);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.status().waiters, 0);
}

/// The event of its end says how many leases a connection carried.
#[tokio::test(start_paused = true)]
async fn a_connection_s_uses_are_the_leases_it_carried() {
    let server = Server::default();
    let told = Told::default();
    let log = told.clone();
    let pool = server
        .shared()
        .on_event(move |event| {
            if let cenote::report::EventKind::Closed { info, .. } = &event.kind {
                log.note(&info.uses.to_string());
            }
        })
        .build()
        .unwrap();
    for _ in 0..7 {
        drop(pool.get().await.unwrap());
    }
    pool.close().await;
    assert_eq!(told.take(), ["7"]);
    assert_eq!(pool.counters().gets, 7);
}

/// A failover leaves sound connections to a server that has become read-only.
#[tokio::test(start_paused = true)]
async fn a_retired_connection_gets_no_new_leases_and_closes_with_a_goodbye() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    SharedLease::retire(&one);
    drop(one);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(server.open(), 2, "the other lease goes on");
    drop(other);
    pass(ms(1)).await;
    assert_eq!(server.open(), 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Retired), 1);
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn evicting_replaces_every_connection_in_service_and_at_rest() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(1));
    let pool = server.shared().min_size(2).build().unwrap();
    pass(secs(1)).await;
    let held = pool.get().await.unwrap();
    pool.evict();
    pass(secs(5)).await;
    assert!(pool.get().await.unwrap().id > 1, "neither of the first two");
    assert_eq!((held.id < 2, draining(&pool)), (true, 1));
    drop(held);
    pass(ms(1)).await;
    assert_eq!(draining(&pool), 0);
    assert_eq!(pool.counters().closed_by(CloseReason::Evicted), 2);
}

/// Numbers its connections; while the first is on its way into service, all are to be replaced.
#[derive(Default)]
struct Numbered {
    opened: AtomicUsize,
    evicts: Arc<OnceLock<SharedPool<Numbered>>>,
}

impl Connect for Numbered {
    type Connection = usize;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<usize, Infallible> {
        Ok(self.opened.fetch_add(1, SeqCst))
    }

    fn verdict(&self, _: &mut usize) -> Verdict {
        Verdict::Reuse
    }
}

impl Multiplex for Numbered {
    fn capacity(&self, conn: &usize) -> usize {
        if let (0, Some(pool)) = (conn, self.evicts.get()) {
            pool.evict();
        }
        8
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_evicted_on_its_way_into_service_serves_nobody() {
    let server = Numbered::default();
    let evicts = Arc::clone(&server.evicts);
    let pool = SharedPool::builder(server).build().unwrap();
    assert!(evicts.set(pool.clone()).is_ok());
    assert_eq!(*pool.get().await.unwrap(), 1, "the second");
}
