use cenote::OneWayPool;
use cenote::endpoints::{Balance, EndpointSet};
use cenote::shared::Choice;

use super::lines::{BUFFER, DREADFUL, Lines, UNSPEAKABLE};
use super::{counts, send};
use crate::service::{endpoint, ms, pass, secs, set_of, two_levels};

#[tokio::test(start_paused = true)]
async fn messages_of_one_sender_are_handed_over_in_their_order() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&["only"]);
    send(&pool, 0..1_000).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..1_000));
}

/// tk_pool goes from one to the next.
#[tokio::test(start_paused = true)]
async fn told_so_messages_go_to_one_endpoint_after_the_other() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&["a", "b", "c"]);
    let connections = connections.balance(Balance::RoundRobin).build().unwrap();
    let pool = OneWayPool::new(connections);
    for message in 0..10 {
        send(&pool, [message]).await;
    }
    let before = ["a", "b", "c"].map(|name| lines.heard(name).len());
    send(&pool, 0..300).await;
    let after = ["a", "b", "c"].map(|name| lines.heard(name).len());
    for (before, after) in before.into_iter().zip(after) {
        assert_eq!(after - before, 100);
    }
}

#[tokio::test(start_paused = true)]
async fn told_so_the_connections_of_an_endpoint_take_turns() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&["only"]);
    let connections = connections.choice(Choice::RoundRobin).max_per_endpoint(2);
    let pool = OneWayPool::new(connections.build().unwrap());
    lines.stop_reading("only");
    send(&pool, 0..2 * BUFFER as u32).await;
    pass(secs(1)).await;
    assert_eq!(lines.open("only"), 2, "the first had no room");
    lines.read("only");
    pass(ms(10)).await;
    lines.stop_reading("only");
    send(&pool, 0..2).await;
    send(&pool, 2..4).await;
    // Each has had two.
    assert_eq!(pool.counters().queued, 0);
    send(&pool, [4]).await;
    assert_eq!(pool.counters().queued, 1);
}

/// A slow server must not hold up the messages for others.
#[tokio::test(start_paused = true)]
async fn a_connection_without_room_gets_none_and_others_serve() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&["slow", "fast"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(1).build().unwrap());
    for message in 0..50 {
        send(&pool, [message]).await;
    }
    let before = lines.heard("slow").len();
    assert!(before > 0);
    lines.stop_reading("slow");
    send(&pool, 50..1_050).await;
    assert_eq!(counts(&pool), [1_050, 1_050, 0, 0, 0]);
    assert_eq!(lines.heard("fast").len() + before + BUFFER, 1_050);
}

#[tokio::test(start_paused = true)]
async fn while_no_connection_has_room_messages_wait_and_nobody_asks_again_and_again() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(1).build().unwrap());
    lines.stop_reading("only");
    send(&pool, 0..10).await;
    pass(secs(60)).await;
    assert_eq!(lines.asked("only"), BUFFER);
    assert_eq!(counts(&pool), [10, BUFFER as u64, 0, 0, 10 - BUFFER as u64]);
    lines.read("only");
    pass(ms(10)).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..10));
}

#[tokio::test(start_paused = true)]
async fn connections_to_one_endpoint_are_opened_and_have_room_again_in_the_same_way() {
    let lines = Lines::default();
    let connections = lines.connections_to("only").max_size(3).build().unwrap();
    let pool = OneWayPool::new(connections);
    send(&pool, 0..50).await;
    assert_eq!(lines.open("only"), 1);
    lines.stop_reading("only");
    send(&pool, 50..100).await;
    pass(secs(1)).await;
    assert_eq!(lines.open("only"), 3);
    assert_eq!(pool.counters().handed_over, 50 + 3 * BUFFER as u64);
    lines.read("only");
    pass(ms(10)).await;
    let mut heard = lines.heard("only");
    heard.sort_unstable();
    assert_eq!(heard, Vec::from_iter(0..100));
}

/// tk_pool: a failed `start_send` loses the item and counts it as forwarded.
#[tokio::test(start_paused = true)]
async fn a_message_that_a_dead_connection_does_not_take_goes_to_another_and_is_counted_once() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&["a", "b"]);
    send(&pool, 0..50).await;
    lines.cut("a");
    lines.cut("b");
    send(&pool, 50..100).await;
    pass(secs(1)).await;
    let mut heard = [lines.heard("a"), lines.heard("b")].concat();
    heard.sort_unstable();
    assert_eq!(heard, Vec::from_iter(0..100));
    assert_eq!(counts(&pool), [100, 100, 0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_sent_holds_up_no_other() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&["only"]);
    send(&pool, [1, UNSPEAKABLE, 2, DREADFUL, 3]).await;
    pass(secs(1)).await;
    assert_eq!(lines.heard("only"), [1, 2, 3]);
    assert_eq!(counts(&pool), [5, 3, 2, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_queued_during_an_outage_is_forwarded_after_it() {
    let lines = Lines::default();
    lines.set_down("only", true);
    let (_sender, pool) = lines.pool(&["only"]);
    send(&pool, 0..100).await;
    pass(secs(60)).await;
    assert_eq!(pool.counters().handed_over, 0);
    lines.set_down("only", false);
    pass(secs(3)).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..100));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_before_there_is_any_endpoint_goes_to_the_first() {
    let lines = Lines::default();
    let (sender, pool) = lines.pool(&[]);
    send(&pool, 0..10).await;
    pass(secs(60)).await;
    sender.send(set_of(&["first"]));
    pass(secs(1)).await;
    assert_eq!(lines.heard("first"), Vec::from_iter(0..10));
}

/// tk_pool uses the first priority level of SRV records and no other.
#[tokio::test(start_paused = true)]
async fn a_lower_level_has_the_messages_while_the_first_cannot_be_reached() {
    let lines = Lines::default();
    lines.set_down("first", true);
    let (_sender, connections) = lines.connections_over(two_levels());
    let pool = OneWayPool::new(connections.build().unwrap());
    send(&pool, 0..10).await;
    pass(secs(1)).await;
    assert_eq!(lines.heard("second"), Vec::from_iter(0..10));
    lines.set_down("first", false);
    for message in 10..60 {
        send(&pool, [message]).await;
        pass(ms(100)).await;
    }
    let before = lines.heard("second").len();
    send(&pool, 60..100).await;
    assert_eq!(lines.heard("second").len(), before);
    assert_eq!(pool.counters().handed_over, 100);
}

/// Nor does it look at their weights.
#[tokio::test(start_paused = true)]
async fn messages_are_shared_by_weight() {
    let lines = Lines::default();
    let set = EndpointSet::from([endpoint("heavy").weight(3), endpoint("light").weight(1)]);
    let (_sender, connections) = lines.connections_over(set);
    let pool = OneWayPool::new(connections.build().unwrap());
    for message in 0..20 {
        send(&pool, [message]).await;
    }
    let before = lines.heard("heavy").len();
    send(&pool, 20..1_020).await;
    let heavy = lines.heard("heavy").len() - before;
    assert!((650..850).contains(&heavy), "{heavy}");
}

/// The pool of tk_pool ends with the stream of its addresses.
#[tokio::test(start_paused = true)]
async fn messages_go_on_when_nothing_tells_the_endpoints_any_more() {
    let lines = Lines::default();
    let (sender, pool) = lines.pool(&["only"]);
    send(&pool, 0..10).await;
    drop(sender);
    pass(secs(1)).await;
    let endpoints = pool.pool().endpoints().unwrap();
    assert!(endpoints.discovery.has_ended);
    send(&pool, 10..20).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..20));
}
