use std::sync::{Arc, Mutex};

use cenote::OneWayPool;
use cenote::one_way::SendError;
use futures::poll;

use super::lines::Lines;
use super::{counts, nowhere};
use crate::service::{ms, pass, secs};

/// tk_pool's default.
#[tokio::test(start_paused = true)]
async fn a_hundred_messages_are_queued_before_a_sender_waits() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    for message in 0..100 {
        pool.send(message).await.unwrap();
    }
    let error = pool.try_send(100).unwrap_err();
    assert_eq!(error, SendError::Full(100));
    let mut waits = pool.send(100);
    pass(secs(1)).await;
    assert!(poll!(&mut waits).is_pending());
    assert_eq!(counts(&pool), [100, 0, 0, 0, 100]);
}

#[tokio::test(start_paused = true)]
async fn the_queue_has_the_length_it_is_given() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&[]);
    let pool = OneWayPool::with_queue(connections.build().unwrap(), 3).unwrap();
    for message in 0..3 {
        pool.try_send(message).unwrap();
    }
    assert_eq!(pool.try_send(3), Err(SendError::Full(3)));
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_none_is_refused() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&[]);
    let error = OneWayPool::with_queue(connections.build().unwrap(), 0).unwrap_err();
    assert!(error.to_string().contains("queue"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn senders_wait_in_the_order_they_came_and_nobody_passes_them() {
    let lines = Lines::default();
    lines.set_down("only", true);
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::with_queue(connections.build().unwrap(), 1).unwrap();
    pool.send(0).await.unwrap();
    let done = Arc::new(Mutex::new(Vec::new()));
    for message in 1..=20 {
        let (pool, done) = (pool.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            pool.send(message).await.unwrap();
            done.lock().unwrap().push(message);
        });
        pass(ms(1)).await;
    }
    assert_eq!(pool.try_send(21), Err(SendError::Full(21)));
    lines.set_down("only", false);
    pass(secs(5)).await;
    assert_eq!(*done.lock().unwrap(), Vec::from_iter(1..=20));
    assert_eq!(lines.heard("only"), Vec::from_iter(0..=20));
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_leaves_is_not_sent_and_passes_its_place_on() {
    let lines = Lines::default();
    lines.set_down("only", true);
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::with_queue(connections.build().unwrap(), 1).unwrap();
    pool.send(0).await.unwrap();
    let (mut leaves, mut is_granted, mut stays) = (pool.send(1), pool.send(2), pool.send(3));
    assert!(poll!(&mut leaves).is_pending());
    assert!(poll!(&mut is_granted).is_pending());
    assert!(poll!(&mut stays).is_pending());
    drop(leaves);
    lines.set_down("only", false);
    pass(secs(5)).await;
    // It has its place, and does not come for it.
    drop(is_granted);
    stays.await.unwrap();
    pass(ms(10)).await;
    assert_eq!(lines.heard("only"), [0, 3]);
    assert_eq!(counts(&pool), [2, 2, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_not_awaited_sends_nothing() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&["only"]);
    drop(pool.send(1));
    pass(ms(10)).await;
    assert_eq!(counts(&pool), [0; 5]);
    assert_eq!(lines.dialled("only"), 0);
}

#[tokio::test(start_paused = true)]
async fn while_the_queue_is_empty_nothing_forwards() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let lines = Lines::default();
    let pool = OneWayPool::new(lines.connections_to("only").build().unwrap());
    let before = tasks();
    for message in 0..100 {
        pool.send(message).await.unwrap();
    }
    assert!(tasks() > before);
    // The pool of connections rests, and has no task either.
    pass(secs(60)).await;
    assert_eq!(lines.heard("only").len(), 100);
    assert_eq!(tasks(), before);
}

#[test]
fn where_there_is_no_runtime_a_sender_has_its_message_back() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    let sent = futures::executor::block_on(pool.send(1));
    assert_eq!(sent, Err(SendError::NoRuntime(1)));
    assert_eq!(pool.try_send(2), Err(SendError::NoRuntime(2)));
    assert_eq!(counts(&pool), [0; 5]);
}

/// As where each test of a program has a runtime of its own, and the pool is in a `static`.
#[test]
fn what_is_queued_survives_the_end_of_a_runtime() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build().unwrap()
    };
    runtime().block_on(async {
        for message in 0..100 {
            pool.send(message).await.unwrap();
        }
        pass(secs(1)).await;
    });
    assert_eq!(pool.counters().queued, 100);
    lines.set_down("only", false);
    runtime().block_on(async {
        // Nobody forwards, and the queue is full: who waits has it begun again.
        pool.send(100).await.unwrap();
        pass(secs(1)).await;
    });
    assert_eq!(lines.heard("only"), Vec::from_iter(0..=100));
}

/// A runtime that ends while the forwarder lets other tasks have their turn.
#[test]
fn what_was_handed_over_before_a_runtime_ended_is_counted_and_has_left_its_place() {
    let lines = Lines::default();
    let pool = OneWayPool::new(lines.connections_to("only").build().unwrap());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for message in 0..100 {
            pool.send(message).await.unwrap();
        }
        while lines.heard("only").is_empty() {
            tokio::task::yield_now().await;
        }
    });
    drop(runtime);
    let heard = lines.heard("only").len() as u64;
    assert!((1..100).contains(&heard), "in the middle of it: {heard}");
    assert_eq!(counts(&pool), [100, heard, 0, 0, 100 - heard]);
}

#[test]
fn a_sender_whose_runtime_is_gone_is_told() {
    let lines = Lines::default();
    lines.set_down("only", true);
    let connections = lines.connections_to("only").build().unwrap();
    let pool = OneWayPool::with_queue(connections, 1).unwrap();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async { pool.send(0).await.unwrap() });
    let mut waits = pool.send(1);
    runtime.block_on(async { assert!(poll!(&mut waits).is_pending()) });
    drop(runtime);
    let told = futures::executor::block_on(waits);
    assert_eq!(told, Err(SendError::NoRuntime(1)));
    assert_eq!(pool.counters().queued, 1);
}
