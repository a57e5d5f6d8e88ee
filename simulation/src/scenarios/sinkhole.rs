//! A server that fails at once has the fewest calls under way at any time, and so draws them all where nobody counts how
//! they end.
//!
//! All times are ten times those in which it was reported (0.1 ms beside 10 ms): tokio's timers have no less than a
//! millisecond, and what matters is that one is a hundred times as fast. Ejections last as long as ever, so that in calls
//! they are shorter.

use std::time::Duration;

use cenote::endpoints::{Ejection, EndpointSet, fixed};

use crate::figure::{Figure, Must, Unit};
use crate::format;
use crate::load::{Request, on_virtual_time, users};
use crate::measure::share;
use crate::page::chart::{Axis, Chart, Series, Shape, Width};
use crate::page::scale::Scale;
use crate::policy::{self, LEAST_LOADED, PEAK_EWMA, POWER_OF_TWO, Policy};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Pace, Service};

const SERVERS: usize = 4;
const SINKHOLE: usize = 0;
const GOOD: Duration = Duration::from_millis(100);
const FAILS_IN: Duration = Duration::from_millis(1);
const USERS: usize = 16;
/// So many requests may go anywhere.
const AT_FIRST: usize = 20;
/// Where some of its calls succeed, none are five failures in a row: what it needs is twenty calls *of its own*.
const AT_FIRST_BY_RATE: usize = 100;
/// Less than half, which is what ejects by default.
const PARTLY: f64 = 0.4;
/// Each time it is back: the twenty calls, and one on each of its ten connections that is in flight by then.
const UNTIL_JUDGED: f64 = 0.3;
/// Shares are of so many requests in a row.
const WINDOW: usize = 100;
const FAIR: f64 = 1.0 / SERVERS as f64;

pub fn play(seed: u64, length: Length) -> Outcome {
    let time = length.of(Duration::from_secs(10), Duration::from_secs(200));
    let shares =
        |policy: Policy, trouble: Trouble| on_virtual_time(seed, run(policy, seed, time, trouble));
    let mut figures = Vec::new();
    let mut series = Vec::new();
    for policy in policy::ALL {
        let shares = shares(policy, Trouble::default());
        figures.push(worst(policy.name.into(), &shares, Must::BeAtMost(FAIR)));
        series.push(Series {
            name: policy.name.into(),
            class: policy.class,
            points: points(&shares),
        });
    }
    let partly = Trouble {
        failing: PARTLY,
        at_first: AT_FIRST_BY_RATE,
        ..Trouble::default()
    };
    let strict = Ejection::default().success_rate(0.8, Duration::from_secs(10), 20);
    for policy in [POWER_OF_TWO, LEAST_LOADED] {
        let name = policy.name;
        let mut shown = |what: &str, trouble: Trouble, must: Must| {
            figures.push(worst(
                format!("{name}, {what}"),
                &shares(policy, trouble),
                must,
            ));
        };
        let never = Trouble {
            ejection: Ejection::never(),
            ..Trouble::default()
        };
        let judged_strictly = Trouble {
            ejection: strict,
            ..partly
        };
        shown("without ejection", never, Must::BeShown);
        shown("40 % of its calls fail", partly, Must::BeShown);
        shown(
            "40 % of its calls fail, ejected below 80 %",
            judged_strictly,
            Must::BeAtMost(UNTIL_JUDGED),
        );
    }
    // Until the others have answered, there is nothing to compare it with.
    let judged_by_time = Trouble {
        at_first: USERS * (GOOD.as_millis() / FAILS_IN.as_millis()) as usize,
        ..partly
    };
    figures.push(worst(
        format!("{}, 40 % of its calls fail", PEAK_EWMA.name),
        &shares(PEAK_EWMA, judged_by_time),
        Must::BeAtMost(FAIR),
    ));
    series.push(Series {
        name: "fair".into(),
        class: "model",
        points: vec![(0.0, FAIR), (DRAWN as f64, FAIR)],
    });
    let chart = Chart {
        description: "The part of 100 requests that the sinkhole has, for each policy".into(),
        width: Width::Full,
        x: Axis {
            scale: Scale::from_zero(DRAWN as f64),
            name: "requests",
            write: format::amount,
        },
        y: Axis {
            scale: Scale::up_to(1.0),
            name: "part of the requests that the sinkhole has",
            write: |part| format!("{:.0} %", 100.0 * part),
        },
        shape: Shape::Lines,
        series,
        marks: Vec::new(),
    };
    let title = format!("Share of the sinkhole in {WINDOW} requests");
    Outcome {
        figures,
        plots: vec![Plot { title, chart }],
    }
}

/// How bad the sinkhole is, and what is done about it.
#[derive(Clone, Copy)]
struct Trouble {
    /// How large a part of its calls fails.
    failing: f64,
    ejection: Ejection,
    /// So many requests do not count.
    at_first: usize,
}

impl Default for Trouble {
    fn default() -> Self {
        Self {
            failing: 1.0,
            ejection: Ejection::default(),
            at_first: AT_FIRST,
        }
    }
}

/// With the default settings but for the ejection; the sinkhole's share of the requests, a window after the other.
async fn run(policy: Policy, seed: u64, time: Duration, trouble: Trouble) -> Vec<f64> {
    let service = Service::new(SERVERS, Pace::always(GOOD));
    service.set_pace(SINKHOLE, Pace::always(FAILS_IN));
    service.set_failing(SINKHOLE, trouble.failing);
    let pool = service
        .pool_of(fixed(EndpointSet::of(0..SERVERS)))
        .balance(policy.balance)
        .ejection(trouble.ejection)
        .seed(seed)
        .build()
        .expect("the settings can work");
    let mut requests = users(&pool, USERS, time).await;
    requests.sort_by_key(|request| request.began);
    let later = requests.get(trouble.at_first..).unwrap_or_default();
    let is_there = |request: &Request| request.server == Some(SINKHOLE);
    later
        .chunks_exact(WINDOW)
        .map(|window| share(window, is_there))
        .collect()
}

fn worst(what: String, shares: &[f64], must: Must) -> Figure {
    let what = format!("{what}: most in {WINDOW} requests");
    let most = shares.iter().copied().fold(0.0, f64::max);
    Figure::unpublished(what, most, Unit::Share, must)
}

/// As far as it is drawn.
const DRAWN: usize = 3_000;

fn points(shares: &[f64]) -> Vec<(f64, f64)> {
    let ends = (1..).map(|window| (AT_FIRST + window * WINDOW) as f64);
    let drawn = ends.take_while(|end| *end <= DRAWN as f64);
    drawn.zip(shares.iter().copied()).collect()
}
