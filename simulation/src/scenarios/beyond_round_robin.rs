//! One server of eleven becomes slow for a while, and the question is how many callers notice.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use crate::figure::{Figure, Must, Unit};
use crate::load::{AtRandom, Law, Request, fill, on_virtual_time};
use crate::measure::{quantile, share};
use crate::page::chart::{Chart, Series, Shape, Width};
use crate::page::{over_time, seconds_axis};
use crate::policy::{self, LEAST_LOADED, PEAK_EWMA, POWER_OF_TWO, Policy, RANDOM, ROUND_ROBIN};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Pace, Service};

const SERVERS: usize = 11;
const PACE: Pace = Pace {
    fixed: Duration::from_millis(167),
    per_unit: Duration::from_millis(5),
};
const SLOW: Pace = Pace {
    fixed: Duration::from_secs(2),
    ..PACE
};
const RATE: f64 = 1_000.0;
/// An answer after that is none.
const IN_TIME: Duration = Duration::from_secs(1);
/// To each server: in turn the slow one has 182 under way.
const CONNECTIONS: usize = 300;

/// Which connections there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connections {
    /// More than are ever used, to each server: the policy alone decides.
    Plenty,
    /// Those that the pool opens as callers come.
    AsNeeded,
}

pub fn play(seed: u64, length: Length) -> Outcome {
    // Slow from a quarter on, for half.
    let time = length.of(Duration::from_secs(8), Duration::from_secs(60));
    let runs = |connections: Connections| {
        policy::ALL.map(|policy| {
            (
                policy,
                on_virtual_time(seed, run(policy, seed, time, connections)),
            )
        })
    };
    let in_time = |requests: &[Request]| share(requests, |request| request.took < IN_TIME);
    let plenty = runs(Connections::Plenty);
    let mut figures: Vec<Figure> = plenty
        .iter()
        .map(|(policy, requests)| Figure {
            what: policy.name.into(),
            published: published(*policy),
            simulated: in_time(requests),
            unit: Unit::Share,
            must: must(*policy, length),
        })
        .collect();
    // Whom the policy chooses has no idle connection while it is slow, and is passed over until it has fewer calls than
    // those that serve in its place: every policy is like the least loaded.
    for (policy, requests) in runs(Connections::AsNeeded) {
        figures.push(Figure::unpublished(
            format!("{}, connections opened as needed", policy.name),
            in_time(&requests),
            Unit::Share,
            Must::BeAtLeast(0.99),
        ));
    }
    Outcome {
        figures,
        plots: vec![
            percentile(&plenty, time, "p50", 0.5),
            percentile(&plenty, time, "p99", 0.99),
        ],
    }
}

fn published(policy: Policy) -> Option<f64> {
    match policy {
        ROUND_ROBIN => Some(0.95),
        LEAST_LOADED => Some(0.99),
        PEAK_EWMA => Some(0.999),
        _ => None,
    }
}

/// What follows from the setting, of which the published figures are rounded.
fn must(policy: Policy, length: Length) -> Must {
    match policy {
        // An eleventh of all calls, for half of the time.
        ROUND_ROBIN | RANDOM => Must::Be {
            value: 1.0 - 0.5 / SERVERS as f64,
            tolerance: length.of(0.01, 0.005),
        },
        // As many under way there as elsewhere, which are 8 calls a second instead of 91.
        LEAST_LOADED => Must::Be {
            value: 0.995,
            tolerance: length.of(0.006, 0.003),
        },
        POWER_OF_TWO => Must::BeAtLeast(0.99),
        // Those under way when it becomes slow, and a few that try it again.
        PEAK_EWMA => Must::BeAtLeast(length.of(0.995, 0.9985)),
        _ => Must::BeShown,
    }
}

async fn run(policy: Policy, seed: u64, time: Duration, connections: Connections) -> Vec<Request> {
    let service = Service::new(SERVERS, PACE);
    let pool = service
        .pool()
        .balance(policy.balance)
        .max_per_endpoint(CONNECTIONS)
        .max_connecting(CONNECTIONS)
        .seed(seed)
        .build()
        .expect("the settings can work");
    if connections == Connections::Plenty {
        fill(&pool, SERVERS * CONNECTIONS).await;
    }
    let load = AtRandom {
        rate: RATE,
        time,
        law: Law::Normal,
    };
    let mut rng = Rng::with_seed(seed);
    let disturbance = async {
        sleep(time / 4).await;
        service.set_pace(0, SLOW);
        sleep(time / 2).await;
        service.set_pace(0, PACE);
    };
    tokio::join!(load.requests(&pool, &mut rng), disturbance).0
}

/// One percentile of the requests that began in each second.
fn percentile(runs: &[(Policy, Vec<Request>)], time: Duration, name: &str, part: f64) -> Plot {
    let of_second = |requests: &[Request], second: u64| {
        let began = requests
            .iter()
            .filter(|request| request.began.as_secs() == second);
        let mut took: Vec<f64> = began.map(|request| request.took.as_secs_f64()).collect();
        quantile(&mut took, part)
    };
    let series: Vec<Series> = runs
        .iter()
        .map(|(policy, requests)| Series {
            name: policy.name.into(),
            class: policy.class,
            points: (0..time.as_secs())
                .map(|second| (second as f64, of_second(requests, second)))
                .collect(),
        })
        .collect();
    Plot {
        title: format!("Time to the answer, {name}"),
        chart: Chart {
            description: format!("The {name} of the time to the answer over time, for each policy"),
            width: Width::Half,
            x: over_time(time),
            y: seconds_axis(&series),
            shape: Shape::Lines,
            series,
            marks: Vec::new(),
        },
    }
}
