//! A shared pool whose connections carry one lease each, as HTTP/1.1's do: it opens what its callers need, as many at once as
//! it may, and none ahead.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::shared::SharedPoolBuilder;
use cenote::{SharedLease, SharedPool};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, SLOW, Server, ms, pass, secs};

/// Of a server whose connections carry one lease each.
fn exclusive(server: &Server) -> SharedPoolBuilder<Server> {
    server.plan(|plan| plan.capacity = Some(1));
    server.shared().max_size(10).max_connecting(4)
}

#[tokio::test(start_paused = true)]
async fn one_caller_after_the_other_has_the_same_connection() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    for _ in 0..5 {
        drop(pool.get().await.unwrap());
        pass(ms(100)).await;
    }
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn none_is_opened_before_somebody_waits() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    pass(secs(5)).await;
    assert_eq!(server.dials(), 2);
    drop(held);
}

/// vlang #27643: callers who had waited for a connection that turned out to be for one of them dialled all at once.
#[tokio::test(start_paused = true)]
async fn once_one_has_shown_that_it_carries_one_lease_the_others_are_opened_several_at_once() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    let mut herd = pin!(join_all((0..8).map(|_| pool.get())));
    assert!(poll!(&mut herd).is_pending());
    pass(ms(1)).await;
    assert_eq!(pool.status().opening, 1, "what they carry is not known");
    // Then one after the other, half as long apart as a dial takes, up to as many as may be.
    pass(2 * SLOW + SLOW / 4).await;
    assert_eq!(pool.status().opening, 2);
    herd.await;
    pass(secs(1)).await;
    assert_eq!(server.dials(), 8);
}

/// A server that carries many and takes nothing for a while is not stormed by those who wait.
#[tokio::test(start_paused = true)]
async fn while_one_that_carries_many_is_not_ready_another_is_opened_alone() {
    let server = Server::default();
    let pool = server.shared().max_size(10).max_connecting(4);
    let pool = pool.build().unwrap();
    let held = pool.get().await.unwrap();
    held.capacity.store(0, SeqCst);
    held.signals.ask_again();
    pass(ms(1)).await;
    server.plan(|plan| plan.connect = Act::Slow);
    let mut herd = pin!(join_all((0..8).map(|_| pool.get())));
    assert!(poll!(&mut herd).is_pending());
    pass(SLOW - ms(1)).await;
    assert_eq!(pool.status().opening, 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_opened_than_callers_wait() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    let _held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    let mut two = pin!(join_all((0..2).map(|_| pool.get())));
    assert!(poll!(&mut two).is_pending());
    two.await;
    pass(secs(1)).await;
    assert_eq!(server.dials(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_bound_holds_with_those_being_opened() {
    let server = Server::default();
    let pool = exclusive(&server).max_size(3).build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    let herd = join_all((0..8).map(|_| async { drop(pool.get().await) }));
    let mut herd = pin!(herd);
    assert!(poll!(&mut herd).is_pending());
    herd.await;
    drop(held);
    assert_eq!(server.most(), 3);
}

/// Each reply that ends its connection would cost a dial for nobody.
#[tokio::test(start_paused = true)]
async fn one_that_goes_is_replaced_when_the_next_asks() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    SharedLease::discard(pool.get().await.unwrap());
    let held = pool.get().await.unwrap();
    server.restart();
    drop(held);
    pass(secs(5)).await;
    assert_eq!((server.dials(), server.open()), (2, 0));
    drop(pool.get().await.unwrap());
    assert_eq!(server.dials(), 3);
}

/// Its place is free for those who wait.
#[tokio::test(start_paused = true)]
async fn one_that_goes_while_callers_wait_is_replaced_for_them() {
    let server = Server::default();
    let pool = exclusive(&server).max_size(1).build().unwrap();
    let held = pool.get().await.unwrap();
    let mut next = pin!(pool.get());
    assert!(poll!(&mut next).is_pending());
    SharedLease::discard(held);
    drop(next.await.unwrap());
    assert_eq!((server.dials(), server.most()), (2, 1));
}

/// hyper #4134: every miss dialled at once, though a connection came back.
#[tokio::test(start_paused = true)]
async fn what_comes_back_serves_the_next_before_what_is_being_opened() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    let mut next = pin!(pool.get());
    assert!(poll!(&mut next).is_pending());
    let id = held.id;
    drop(held);
    let lease = next.await.unwrap();
    assert_eq!(lease.id, id);
}

/// vertx #1219: a caller that had left still caused a dial.
#[tokio::test(start_paused = true)]
async fn no_dial_is_begun_for_callers_that_were_served_meanwhile() {
    let server = Server::default();
    let pool = exclusive(&server).build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    let mut herd = pin!(join_all((0..5).map(|_| async { drop(pool.get().await) })));
    assert!(poll!(&mut herd).is_pending());
    while server.dials() < 2 {
        tokio::task::yield_now().await;
    }
    drop(held);
    herd.await;
    pass(secs(5)).await;
    assert_eq!(server.dials(), 2, "that which had begun goes on");
}

/// A connection that has idled long before its first use has died of that: connecting works.
#[tokio::test(start_paused = true)]
async fn one_that_dies_unused_after_a_while_is_no_failed_dial() {
    let server = Server::default();
    let pool: SharedPool<Server> = exclusive(&server).build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Slow);
    {
        let mut left = pin!(pool.get());
        assert!(poll!(&mut left).is_pending());
    }
    pass(SLOW + secs(10)).await;
    server.restart();
    server.plan(|plan| plan.connect = Act::Ok);
    drop(held);
    drop(pool.get().await.unwrap());
    assert_eq!(pool.counters().connect_failed, 0);
}
