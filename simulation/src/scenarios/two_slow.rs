//! Two of four servers are slow all the time: of two drawn both are slow once in six times, so that two choices have the
//! p99 of a slow server, as round robin has. A look at all four keeps about as many calls in each, so that each gets calls
//! by how many it can do: where slow is slower than a hundredth, less than one call in a hundred comes to wait.

use std::time::Duration;

use fastrand::Rng;

use crate::figure::{Figure, Must, Unit};
use crate::load::{AtRandom, Law, Request, fill, on_virtual_time};
use crate::measure::{quantile, share};
use crate::page::chart::{Chart, Series, Shape, Width};
use crate::page::{percentile_axis, percentile_points, seconds_axis};
use crate::policy::{self, LEAST_LOADED, POWER_OF_TWO, Policy, RANDOM, ROUND_ROBIN};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Pace, Service};

const SERVERS: usize = 4;
/// Those with a lower number are slow.
const SLOW: usize = 2;
const SLOW_TIME: Duration = Duration::from_secs(2);
const FAST_TIME: Duration = Duration::from_millis(5);
const RATE: f64 = 1_000.0;
/// To each server: in turn a slow one has 500 under way.
const CONNECTIONS: usize = 650;

pub fn play(seed: u64, length: Length) -> Outcome {
    let time = length.of(Duration::from_secs(6), Duration::from_secs(300));
    let mut figures = Vec::new();
    let mut series = Vec::new();
    for policy in policy::ALL {
        let requests = on_virtual_time(seed, run(policy, seed, time));
        let mut took: Vec<f64> = requests
            .iter()
            .map(|request| request.took.as_secs_f64())
            .collect();
        let is_slow = |request: &Request| request.server.is_some_and(|server| server < SLOW);
        let (p99, sent) = must(policy);
        figures.push(Figure {
            what: format!("{}, p99", policy.name),
            published: None,
            simulated: quantile(&mut took, 0.99),
            unit: Unit::Seconds,
            must: p99,
        });
        figures.push(Figure {
            what: format!("{}, calls sent to slow servers", policy.name),
            published: published(policy),
            simulated: share(&requests, is_slow),
            unit: Unit::Share,
            must: sent,
        });
        series.push(Series {
            name: policy.name.into(),
            class: policy.class,
            points: percentile_points(&took),
        });
    }
    let chart = Chart {
        description: "Time to the answer by percentile, for each policy".into(),
        width: Width::Full,
        x: percentile_axis(&series),
        y: seconds_axis(&series),
        shape: Shape::Lines,
        series,
        marks: Vec::new(),
    };
    let title = "Time to the answer by percentile".into();
    Outcome {
        figures,
        plots: vec![Plot { title, chart }],
    }
}

/// The part of the calls that two choices send to slow servers.
fn published(policy: Policy) -> Option<f64> {
    (policy == POWER_OF_TWO).then_some(1.0 / 6.0)
}

/// Of the p99, and of what is sent to the slow ones.
fn must(policy: Policy) -> (Must, Must) {
    let slow = Must::BeAtLeast(SLOW_TIME.as_secs_f64());
    let near = |value| Must::Be {
        value,
        tolerance: 0.02,
    };
    match policy {
        ROUND_ROBIN | RANDOM => (slow, near(0.5)),
        POWER_OF_TWO => (slow, near(1.0 / 6.0)),
        LEAST_LOADED => (
            Must::BeAtMost(2.0 * FAST_TIME.as_secs_f64()),
            Must::BeAtMost(0.01),
        ),
        _ => (Must::BeShown, Must::BeShown),
    }
}

async fn run(policy: Policy, seed: u64, time: Duration) -> Vec<Request> {
    let service = Service::new(SERVERS, Pace::always(FAST_TIME));
    for slow in 0..SLOW {
        service.set_pace(slow, Pace::always(SLOW_TIME));
    }
    let pool = service
        .pool()
        .balance(policy.balance)
        .max_per_endpoint(CONNECTIONS)
        .max_connecting(CONNECTIONS)
        .seed(seed)
        .build()
        .expect("the settings can work");
    fill(&pool, SERVERS * CONNECTIONS).await;
    let load = AtRandom {
        rate: RATE,
        time,
        law: Law::None,
    };
    load.requests(&pool, &mut Rng::with_seed(seed)).await
}
