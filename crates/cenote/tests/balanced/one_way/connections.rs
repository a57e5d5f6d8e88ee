use std::collections::BTreeMap;

use cenote::OneWayPool;
use cenote::endpoints::{Endpoint, EndpointSet};
use cenote::report::CloseReason;

use super::lines::{BUFFER, Lines, Pool};
use super::send;
use crate::service::{ms, pass, secs, set_of};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// So many messages that no connection has room, until there are as many connections as may be.
async fn fill(pool: &Pool) {
    for _ in 0..100 {
        while pool.try_send(0).is_ok() {}
        pass(ms(20)).await;
    }
}

fn stop_reading(lines: &Lines) {
    for name in NAMES {
        lines.stop_reading(name);
    }
}

fn open(lines: &Lines) -> BTreeMap<&'static str, usize> {
    NAMES.map(|name| (name, lines.open(name))).into()
}

/// tk_pool grows only when none is ready; every endpoint has a connection here once it was chosen.
#[tokio::test(start_paused = true)]
async fn while_connections_have_room_each_endpoint_has_one() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&NAMES);
    for round in 0..100 {
        send(&pool, round * 100..(round + 1) * 100).await;
    }
    assert_eq!(open(&lines), NAMES.map(|name| (name, 1)).into());
}

#[tokio::test(start_paused = true)]
async fn when_none_has_room_there_are_more_up_to_the_bound_of_each_endpoint() {
    let lines = Lines::default();
    stop_reading(&lines);
    let (_sender, connections) = lines.connections(&NAMES);
    let pool = OneWayPool::new(connections.max_per_endpoint(3).build().unwrap());
    fill(&pool).await;
    assert_eq!(open(&lines), NAMES.map(|name| (name, 3)).into());
    assert_eq!(pool.counters().handed_over, 9 * BUFFER as u64);
    assert_eq!(pool.counters().queued, 100);
}

/// tk_pool, `aligner::normal`: the fewest first.
#[tokio::test(start_paused = true)]
async fn the_endpoint_with_the_fewest_connections_has_the_next() {
    let lines = Lines::default();
    stop_reading(&lines);
    let (_sender, connections) = lines.connections(&NAMES);
    let pool = OneWayPool::new(connections.max_per_endpoint(5).build().unwrap());
    for _ in 0..200 {
        let _ = pool.try_send(0);
        pass(ms(20)).await;
        let open = open(&lines);
        let (least, most) = (open.values().min(), open.values().max());
        assert!(most.unwrap() - least.unwrap() <= 1, "{open:?}");
    }
    assert_eq!(open(&lines)["a"], 5);
}

/// tk_pool, `aligner::blacklisting`: one that was down is filled up first.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_back_catches_up_before_others_have_more() {
    let lines = Lines::default();
    stop_reading(&lines);
    lines.set_down("a", true);
    let (_sender, connections) = lines.connections(&NAMES);
    let pool = OneWayPool::new(connections.max_per_endpoint(9).build().unwrap());
    for _ in 0..6 * BUFFER {
        let _ = pool.try_send(0);
        pass(ms(300)).await;
    }
    let before = open(&lines);
    assert!(
        before["a"] == 0 && before["b"] >= 3 && before["c"] >= 3,
        "{before:?}"
    );
    lines.set_down("a", false);
    while lines.open("a") == 0 {
        let _ = pool.try_send(0);
        pass(ms(100)).await;
    }
    catches_up(&lines, &pool, "a", 3).await;
}

/// tk_pool, `aligner::update`.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_catches_up_before_others_have_more() {
    let lines = Lines::default();
    stop_reading(&lines);
    let (sender, connections) = lines.connections(&["a", "b"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(9).build().unwrap());
    for _ in 0..6 * BUFFER {
        let _ = pool.try_send(0);
        pass(ms(300)).await;
    }
    sender.send(set_of(&NAMES));
    catches_up(&lines, &pool, "c", 3).await;
}

/// An SRV target that moves is the same endpoint, and its connections have room still.
#[tokio::test(start_paused = true)]
async fn connections_to_an_address_that_is_gone_end_and_no_message_is_lost() {
    let at = |address: &str| {
        let endpoint = Endpoint::new("log".to_owned()).addresses([address.parse().unwrap()]);
        EndpointSet::from([endpoint])
    };
    let [before, after] = ["10.0.0.1:514", "10.0.0.2:514"];
    let lines = Lines::default();
    let (sender, connections) = lines.connections_over(at(before));
    let pool = OneWayPool::new(connections.build().unwrap());
    send(&pool, 0..100).await;
    sender.send(at(after));
    for message in 100..600 {
        send(&pool, [message]).await;
    }
    assert_eq!((lines.open(before), lines.open(after)), (0, 1));
    let heard = [lines.heard(before), lines.heard(after)].concat();
    assert_eq!(heard, (0..600).collect::<Vec<_>>(), "in order");
}

/// Until this endpoint has so many connections, no other has one more.
async fn catches_up(lines: &Lines, pool: &Pool, name: &str, connections: usize) {
    let others = || -> usize {
        let others = open(lines).into_iter().filter(|(other, _)| *other != name);
        others.map(|(_, open)| open).sum()
    };
    let before = others();
    for _ in 0..1_000 {
        let _ = pool.try_send(0);
        pass(ms(10)).await;
        if lines.open(name) >= connections {
            return;
        }
        assert_eq!(others(), before);
    }
    panic!("{:?}", open(lines));
}

/// tk_pool keeps all that failed in a heap whose greatest is looked at first: an address is back when the last to fail
/// is due.
#[tokio::test(start_paused = true)]
async fn each_endpoint_that_failed_is_dialled_again_at_its_own_time() {
    let lines = Lines::default();
    lines.set_down("returns", true);
    lines.set_down("fails on", true);
    let (_sender, connections) = lines.connections(&["returns", "fails on"]);
    let pool = OneWayPool::new(connections.build().unwrap());
    send(&pool, 0..10).await;
    pass(secs(20)).await;
    lines.set_down("returns", false);
    // Two seconds is the longest pause by default; the other goes on failing all the while.
    let before = lines.dialled("fails on");
    for _ in 0..40 {
        pass(ms(100)).await;
    }
    assert_eq!(lines.heard("returns"), Vec::from_iter(0..10));
    send(&pool, 10..20).await;
    pass(secs(10)).await;
    assert!(lines.dialled("fails on") > before);
}

/// tk_pool begins a dial each time it is polled while it waits.
#[tokio::test(start_paused = true)]
async fn a_herd_of_senders_is_no_herd_of_dials() {
    let lines = Lines::default();
    lines.set_connect_time("only", secs(1));
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(50).build().unwrap());
    let senders: Vec<_> = (0..1_000)
        .map(|message| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.send(message).await.unwrap() })
        })
        .collect();
    pass(ms(900)).await;
    // A second, for the first takes longer than dials do.
    assert!(lines.dialled("only") <= 2);
    for sender in senders {
        sender.await.unwrap();
    }
    pass(secs(1)).await;
    assert_eq!(lines.heard("only").len(), 1_000);
    assert!(lines.dialled("only") <= 2);
}

/// tk_pool reads addresses only as it sends: an idle pool keeps those that were removed.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_leaves_is_closed_while_nobody_sends() {
    let lines = Lines::default();
    let (sender, pool) = lines.pool(&["stays", "goes"]);
    send(&pool, 0..50).await;
    assert_eq!(lines.open("goes"), 1);
    sender.send(set_of(&["stays"]));
    pass(ms(10)).await;
    assert_eq!((lines.open("stays"), lines.open("goes")), (1, 0));
    send(&pool, 50..100).await;
    assert_eq!(pool.counters().handed_over, 100);
}

/// tk_pool aborts it. Here it goes on, for it is the pool's, and what it brings is closed.
#[tokio::test(start_paused = true)]
async fn a_dial_to_an_endpoint_that_leaves_serves_nobody() {
    let lines = Lines::default();
    lines.set_connect_time("goes", secs(1));
    let (sender, pool) = lines.pool(&["goes"]);
    send(&pool, 0..10).await;
    assert_eq!(lines.dialled("goes"), 1);
    sender.send(set_of(&["comes"]));
    pass(secs(5)).await;
    assert_eq!(lines.heard("comes"), Vec::from_iter(0..10));
    assert_eq!((lines.heard("goes").len(), lines.open("goes")), (0, 0));
    let counters = pool.pool().counters();
    assert_eq!(counters.closed_by(CloseReason::EndpointGone), 1);
}

/// An established connection that ends is no reason to leave its address alone.
#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_connection_ended_is_connected_to_again_at_once() {
    let lines = Lines::default();
    let (_sender, pool) = lines.pool(&["only"]);
    send(&pool, 0..10).await;
    lines.cut("only");
    send(&pool, 10..20).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..20));
    assert_eq!(lines.dialled("only"), 2);
}
