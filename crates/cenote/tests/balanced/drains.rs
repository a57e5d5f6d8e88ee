use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::EndpointSet;
use cenote::report::{Event, EventKind};

use crate::service::{Service, endpoint, ms, pass, secs, set_of, use_once};

/// The endpoints that were told to take too long over their drain, with the leases out and since when.
#[derive(Clone, Default)]
struct Overdue(Arc<Mutex<Vec<(String, usize, Duration)>>>);

impl Overdue {
    /// Hears of the events of a pool.
    fn ear(&self) -> impl Fn(&Event<'_>) + Send + Sync + use<> {
        let told = Arc::clone(&self.0);
        move |event| {
            if let EventKind::EndpointDrainOverdue {
                leases,
                draining_for,
                ..
            } = event.kind
            {
                let name = event.endpoint.expect("it is of an endpoint").to_owned();
                told.lock().unwrap().push((name, leases, draining_for));
            }
        }
    }

    fn take(&self) -> Vec<(String, usize, Duration)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn goes(leases: usize, after: Duration) -> Vec<(String, usize, Duration)> {
    vec![("goes".to_owned(), leases, after)]
}

/// redis-rs #1438, deadpool #372: what is forgotten somewhere stays on the old server, and nobody hears of it.
#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_too_long_is_told_once_while_nobody_calls_and_takes_no_lease_away() {
    let (service, overdue) = (Service::default(), Overdue::default());
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.on_event(overdue.ear()).build().unwrap();
    let leases = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    sender.send(set_of(&["stays"]));
    pass(secs(29)).await;
    assert_eq!(overdue.take(), []);
    pass(secs(2)).await;
    assert_eq!(overdue.take(), goes(2, secs(30)));
    pass(secs(600)).await;
    assert_eq!(overdue.take(), [], "once");
    assert_eq!(service.open("goes"), 2, "its users have them");
    drop(leases);
    pass(ms(1)).await;
    assert_eq!(service.open("goes"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_in_time_is_not_overdue() {
    let (service, overdue) = (Service::default(), Overdue::default());
    // Its last words take longer than its leases.
    service.set_goodbye("goes", secs(4));
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.drain_timeout(secs(2)).on_event(overdue.ear());
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    sender.send(set_of(&["stays"]));
    pass(secs(1)).await;
    drop(lease);
    pass(secs(2)).await;
    assert_eq!(pool.endpoints().unwrap().endpoints.len(), 2, "not gone yet");
    pass(secs(60)).await;
    assert_eq!(overdue.take(), []);
}

/// A deployment that is rolled back: what it has by now is no part of the drain before.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_back_in_time_is_not_overdue_and_drains_anew_when_it_leaves_again() {
    let (service, overdue) = (Service::default(), Overdue::default());
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.on_event(overdue.ear()).build().unwrap();
    let _lease = pool.get().await.unwrap();
    sender.send(set_of(&["stays"]));
    pass(secs(20)).await;
    sender.send(set_of(&["stays", "goes"]));
    pass(secs(20)).await;
    sender.send(set_of(&["stays"]));
    pass(secs(29)).await;
    assert_eq!(overdue.take(), []);
    pass(secs(2)).await;
    assert_eq!(overdue.take(), goes(1, secs(30)));
}

/// An operator who takes an endpoint out by its weight waits for it to be unused.
#[tokio::test(start_paused = true)]
async fn an_endpoint_of_weight_0_that_is_still_used_is_overdue_too() {
    let (service, overdue) = (Service::default(), Overdue::default());
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.drain_timeout(secs(5)).on_event(overdue.ear());
    let pool = pool.build().unwrap();
    let lease = pool.get().await.unwrap();
    let drained = EndpointSet::from([endpoint("goes").weight(0), endpoint("stays")]);
    sender.send(drained);
    pass(secs(6)).await;
    assert_eq!(overdue.take(), goes(1, secs(5)));
    drop(lease);
    sender.send(set_of(&["goes"]));
    pass(ms(1)).await;
    assert_eq!(use_once(&pool).await, "goes");
}

#[tokio::test(start_paused = true)]
async fn without_a_time_out_no_drain_is_overdue() {
    let (service, overdue) = (Service::default(), Overdue::default());
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.drain_timeout(None).on_event(overdue.ear());
    let pool = pool.build().unwrap();
    let _lease = pool.get().await.unwrap();
    sender.send(set_of(&["stays"]));
    pass(secs(24 * 3600)).await;
    assert_eq!(overdue.take(), []);
}

/// Hundreds of calls may be under way on one connection: closed under them, none of their users would know what became of
/// theirs.
#[tokio::test(start_paused = true)]
async fn the_leases_on_a_shared_connection_are_counted_and_it_stays_open_until_the_last_has_ended()
{
    let (service, overdue) = (Service::default(), Overdue::default());
    let (sender, source) = cenote::endpoints::channel();
    sender.send(set_of(&["goes"]));
    let pool = service.shared(source).on_event(overdue.ear());
    let pool = pool.build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..7 {
        leases.push(pool.get().await.unwrap());
    }
    sender.send(set_of(&["stays"]));
    pass(secs(20)).await;
    leases.truncate(3);
    pass(secs(11)).await;
    assert_eq!(overdue.take(), goes(3, secs(30)));
    assert_eq!(service.open("goes"), 1);
    drop(leases);
    pass(ms(1)).await;
    assert_eq!(service.open("goes"), 0);
}

/// It drains from the moment at which it came, whatever drained before it.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_with_weight_0_drains_since_then() {
    let service = Service::default();
    let (sender, pool) = service.over(&["goes"]);
    let pool = pool.build().unwrap();
    assert_eq!(use_once(&pool).await, "goes");
    sender.send(set_of(&["stays"]));
    pass(secs(10)).await;
    sender.send(EndpointSet::from([
        endpoint("comes").weight(0),
        endpoint("stays"),
    ]));
    pass(secs(3)).await;
    let status = pool.endpoints().unwrap();
    let comes = status.endpoints.iter().find(|at| &*at.name == "comes");
    let text = comes.expect("it is in the set").to_string();
    assert!(text.starts_with("comes draining since 3.0s ago"), "{text}");
}
