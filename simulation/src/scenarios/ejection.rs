//! An endpoint is ejected after as many failures at ten requests a second as at ten thousand: calls are counted, and no
//! rate is averaged over time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cenote::endpoints::{Balance, EndpointSet, fixed};
use cenote::report::{Event, EventKind};
use fastrand::Rng;
use tokio::sync::Notify;

use crate::figure::{Figure, Must, Unit};
use crate::load::{AtRandom, Law, Request, fill, on_virtual_time};
use crate::scenario::{Length, Outcome};
use crate::service::{Pace, Service};

const SERVERS: usize = 3;
const FAILING: usize = 0;
/// As many as a pool has by default.
const CONNECTIONS: usize = 10;
/// Requests a second to each server.
const RATES: [f64; 2] = [10.0, 10_000.0];
/// As of `Ejection::default`: failures in a row, and calls of which half fail.
const IN_A_ROW: f64 = 5.0;
const OF_WHICH_HALF_FAIL: f64 = 20.0;

pub fn play(seed: u64, _: Length) -> Outcome {
    let mut figures = Vec::new();
    for (what, failing, must) in [
        ("all calls fail", 1.0, IN_A_ROW),
        ("half of the calls fail", 0.5, OF_WHICH_HALF_FAIL),
    ] {
        for rate in RATES {
            figures.push(Figure::unpublished(
                format!("{what}, {rate}/s: calls until it is ejected"),
                on_virtual_time(seed, calls_until_ejected(seed, failing, rate)),
                Unit::Number,
                Must::Be {
                    value: must,
                    tolerance: 0.0,
                },
            ));
        }
    }
    Outcome {
        figures,
        plots: Vec::new(),
    }
}

async fn calls_until_ejected(seed: u64, failing: f64, rate: f64) -> f64 {
    let service = Service::new(SERVERS, Pace::default());
    let ejected = Arc::new(Notify::new());
    let pool = {
        let ejected = Arc::clone(&ejected);
        let observe = move |event: &Event<'_>| {
            if let EventKind::EndpointEjected = event.kind {
                ejected.notify_one();
            }
        };
        service
            .pool_of(fixed(EndpointSet::of(0..SERVERS)))
            .balance(Balance::RoundRobin)
            .on_event(observe)
            .seed(seed)
            .build()
            .expect("the settings can work")
    };
    fill(&pool, SERVERS * CONNECTIONS).await;
    service.set_failing(FAILING, failing);
    let calls = Arc::new(AtomicUsize::new(0));
    let record = {
        let calls = Arc::clone(&calls);
        move |request: Request| {
            if request.server == Some(FAILING) {
                calls.fetch_add(1, Relaxed);
            }
        }
    };
    let load = AtRandom {
        rate: rate * SERVERS as f64,
        time: Duration::from_secs(60),
        law: Law::None,
    };
    let mut rng = Rng::with_seed(seed);
    tokio::select! {
        biased;
        () = ejected.notified() => {}
        () = load.play(&pool, &mut rng, record) => {}
    }
    calls.load(Relaxed) as f64
}
