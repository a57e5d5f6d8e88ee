use std::sync::{Arc, Mutex};

use cenote::endpoints::{Discover, EndpointSet, Outcome};
use cenote::pool::PoolBuilder;
use cenote::report::EventKind;
use cenote::{Lease, Pool};

use crate::service::{Service, To, ms, pass, secs, set_of, shares};

/// What is told of endpoints and of their source, in words.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn of(pool: PoolBuilder<To>) -> (Self, Pool<To>) {
        let log = Self::default();
        let lines = Arc::clone(&log.0);
        let pool = pool.on_event(move |event| {
            let what = match &event.kind {
                EventKind::DiscoveryFailed {
                    source,
                    error,
                    kept,
                    ..
                } => format!("{source}: {error}, {kept} kept"),
                EventKind::DiscoveryRecovered => "recovered".to_owned(),
                EventKind::EndpointDraining { connections, .. } => {
                    format!("draining {connections}")
                }
                EventKind::EndpointDrained => "drained".to_owned(),
                EventKind::EndpointEjected => "ejected".to_owned(),
                EventKind::EndpointProbing => "probing".to_owned(),
                EventKind::EndpointUp => "up".to_owned(),
                _ => return,
            };
            let endpoint = event.endpoint.unwrap_or("source");
            lines.lock().unwrap().push(format!("{endpoint}: {what}"));
        });
        (log, pool.build().unwrap())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_leaves_is_told_as_draining_and_as_drained_once_its_last_connection_is_gone()
 {
    let service = Service::default();
    let (sender, pool) = service.over(&["stays", "goes"]);
    let (log, pool) = Log::of(pool);
    shares(&pool, 20).await;
    let mut leases = vec![pool.get().await.unwrap(), pool.get().await.unwrap()];
    leases.retain(|lease| lease.server == "goes");
    sender.send(set_of(&["stays"]));
    pass(ms(10)).await;
    assert_eq!(log.take(), ["goes: draining 1"]);
    drop(leases);
    pass(ms(10)).await;
    assert_eq!(log.take(), ["goes: drained"]);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_endpoint_is_told_as_probing_before_it_is_up() {
    let service = Service::default();
    let (_sender, pool) = service.over(&["a", "b", "bad"]);
    let (log, pool) = Log::of(pool);
    shares(&pool, 20).await;
    let mut failed = 0;
    while failed < 5 {
        let lease = pool.get().await.unwrap();
        if lease.server == "bad" {
            failed += 1;
            Lease::outcome(&lease, Outcome::Failed);
        }
        pass(ms(1)).await;
    }
    for _ in 0..2_000 {
        let lease = pool.get().await.unwrap();
        Lease::outcome(&lease, Outcome::Ok);
        pass(ms(5)).await;
    }
    assert_eq!(log.take(), ["bad: ejected", "bad: probing", "bad: up"]);
}

/// Tells one set, fails for a while, and tells again.
struct Flaky(u32);

impl Discover for Flaky {
    type Key = String;
    type Error = std::io::Error;

    async fn next(&mut self) -> Option<Result<EndpointSet<String>, std::io::Error>> {
        pass(secs(1)).await;
        self.0 += 1;
        Some(match self.0 {
            2..6 => Err(std::io::Error::other("it is closed")),
            _ => Ok(set_of(&["a", "b"])),
        })
    }

    fn name(&self) -> String {
        "the catalogue".into()
    }
}

/// Kept endpoints that nobody vouches for are what an outage of a name server looks like.
#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_told_once_with_what_is_kept_and_once_when_it_is_back() {
    let service = Service::default();
    let (log, _pool) = Log::of(service.balanced(Flaky(0)));
    pass(secs(20)).await;
    assert_eq!(
        log.take(),
        [
            "source: the catalogue: it is closed, 2 kept",
            "source: recovered"
        ]
    );
}
