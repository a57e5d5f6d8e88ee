use std::sync::{Arc, Mutex};

use cenote::OneWayPool;
use cenote::report::EventKind;

use super::lines::{Lines, UNSPEAKABLE};
use super::send;
use crate::service::{ms, pass, secs, set_of};

/// What tk_pool has metrics for and logs: connections, failures, addresses that are left alone for a while and are back,
/// messages queued and forwarded, and the end.
#[tokio::test(start_paused = true)]
async fn what_happens_to_connections_and_messages_is_told_and_counted() {
    let lines = Lines::default();
    lines.set_down("b", true);
    let told = Arc::new(Mutex::new(Vec::new()));
    let (sender, connections) = lines.connections(&["a", "b"]);
    let kept = Arc::clone(&told);
    let connections = connections.on_event(move |event| {
        let what = match &event.kind {
            EventKind::Opened { .. } => "opened",
            EventKind::ConnectFailed { error, .. } => {
                assert!(error.to_string().contains("refused"), "{error}");
                "connect failed"
            }
            EventKind::EndpointDown => "down",
            EventKind::EndpointUp => "up",
            EventKind::EndpointsChanged { .. } => "changed",
            EventKind::MessageRefused { error, .. } => {
                assert_eq!(*error, "unspeakable");
                "refused"
            }
            EventKind::Closed { reason, .. } => reason.as_str(),
            _ => return,
        };
        let at = event.endpoint.unwrap_or("").to_owned();
        kept.lock().unwrap().push((what, at));
    });
    let pool = OneWayPool::new(connections.build().unwrap());
    let is_told = |what, at: &str| {
        let told = std::mem::take(&mut *told.lock().unwrap());
        let expected = (what, at.to_owned());
        assert!(told.contains(&expected), "{expected:?} is not in {told:?}");
        told
    };

    send(&pool, 0..50).await;
    let first = is_told("opened", "a");
    assert!(first.contains(&("connect failed", "b".into())), "{first:?}");
    assert!(first.contains(&("down", "b".into())), "{first:?}");

    lines.set_down("b", false);
    for message in 50..100 {
        send(&pool, [message]).await;
        pass(ms(100)).await;
    }
    is_told("up", "b");

    send(&pool, [UNSPEAKABLE]).await;
    let told = told.lock().unwrap().clone();
    assert!(told.iter().any(|(what, _)| *what == "refused"), "{told:?}");

    sender.send(set_of(&["a"]));
    pass(ms(10)).await;
    let counters = pool.pool().counters();
    assert_eq!(counters.opened, 2);
    assert!(counters.connect_failed >= 1);
    assert_eq!(counters.closed(), 1);
    let messages = pool.counters();
    assert_eq!((messages.taken, messages.handed_over), (101, 100));
    assert_eq!(
        messages.to_string(),
        "101 messages taken: 100 handed over, 1 refused, 0 returned, 0 queued"
    );

    pool.close().await;
    pass(secs(1)).await;
    assert_eq!(pool.pool().counters().closed(), 2);
}
