//! All servers are replaced while nobody can say by which: the name server is down from before the first is stopped until
//! long after the last.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::endpoints::{Discover, EndpointSet};
use fastrand::Rng;
use tokio::time::{Instant, sleep, sleep_until};

use crate::figure::{Figure, Must, Unit};
use crate::load::{AtRandom, Law, Request, on_virtual_time};
use crate::measure::{per_second, quantile};
use crate::page::chart::{Chart, Series, Shape, Width};
use crate::page::{over_time, rate_axis};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Pace, Service};

/// Before and after; those after have the higher numbers.
const SERVERS: usize = 4;
const CALL: Duration = Duration::from_millis(10);
const NAMES_DOWN_AT: Duration = Duration::from_secs(20);
/// One server more each second.
const REPLACED_FROM: Duration = Duration::from_secs(25);
const REPLACED_BY: Duration = Duration::from_secs(28);
/// Not when it is asked, which is on the second.
const NAMES_BACK_AT: Duration = Duration::from_millis(50_500);
const END: Duration = Duration::from_secs(70);

/// As a pool has it by default.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// As `Lookup` asks the system: every 30 s, after a failure every second.
const EVERY: Duration = Duration::from_secs(30);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the name server says now; `None`: it is down.
#[derive(Clone)]
struct Names(Arc<Mutex<Option<EndpointSet<usize>>>>);

impl Names {
    fn tell(&self, set: Option<EndpointSet<usize>>) {
        *self.0.lock().expect("nothing panics under it") = set;
    }
}

/// A source that asks it.
struct Lookups {
    names: Names,
    due: Instant,
}

#[derive(Debug)]
struct IsDown;

impl std::fmt::Display for IsDown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name server does not answer")
    }
}

impl std::error::Error for IsDown {}

impl Discover for Lookups {
    type Key = usize;
    type Error = IsDown;

    async fn next(&mut self) -> Option<Result<EndpointSet<usize>, IsDown>> {
        sleep_until(self.due).await;
        let told = self
            .names
            .0
            .lock()
            .expect("nothing panics under it")
            .clone();
        let pause = if told.is_some() { EVERY } else { AFTER_FAILURE };
        self.due = Instant::now() + pause;
        Some(told.ok_or(IsDown))
    }

    fn name(&self) -> String {
        "the name server".into()
    }

    fn refresh(&mut self) {
        self.due = self.due.min(Instant::now() + AFTER_FAILURE);
    }
}

struct Run {
    requests: Vec<Request>,
    /// On each that was stopped, as it was.
    in_flight: usize,
}

pub fn play(seed: u64, length: Length) -> Outcome {
    let rate = length.of(200.0, 400.0);
    let run = on_virtual_time(seed, run(seed, rate));
    Outcome {
        figures: judged(&run).into(),
        plots: vec![traffic(&run.requests)],
    }
}

fn judged(
    Run {
        requests,
        in_flight,
    }: &Run,
) -> [Figure; 4] {
    let failed = |from: Duration, until: Duration| {
        let is_so =
            |request: &&Request| !request.succeeded && (from..until).contains(&request.began);
        requests.iter().filter(is_so).count()
    };
    let first = requests
        .iter()
        .filter(|request| request.succeeded)
        .map(Request::ended)
        .find(|ended| *ended > NAMES_BACK_AT)
        .unwrap_or(END);
    let while_known = failed(Duration::ZERO, REPLACED_BY).saturating_sub(*in_flight);
    let mut refused: Vec<f64> = requests
        .iter()
        .filter(|request| request.server.is_none())
        .map(|request| request.took.as_secs_f64())
        .collect();
    let longest = quantile(&mut refused, 1.0);
    [
        Figure::unpublished(
            "requests that failed while one of the old lived, beyond those in flight on the one stopped",
            while_known as f64,
            Unit::Number,
            Must::BE_NONE,
        ),
        Figure::unpublished(
            "longest wait of a request that was refused meanwhile",
            longest,
            Unit::Seconds,
            Must::BeAtMost(ACQUIRE_TIMEOUT.as_secs_f64()),
        ),
        Figure::unpublished(
            "from the name server's return to the first answer",
            (first - NAMES_BACK_AT).as_secs_f64(),
            Unit::Seconds,
            Must::BeAtMost((AFTER_FAILURE + 5 * CALL).as_secs_f64()),
        ),
        Figure::unpublished(
            "requests that failed from then on",
            failed(first, END) as f64,
            Unit::Number,
            Must::BE_NONE,
        ),
    ]
}

async fn run(seed: u64, rate: f64) -> Run {
    let service = Service::new(2 * SERVERS, Pace::always(CALL));
    for new in SERVERS..2 * SERVERS {
        service.stop(new);
    }
    let names = Names(Arc::new(Mutex::new(Some(EndpointSet::of(0..SERVERS)))));
    let began = Instant::now();
    let source = Lookups {
        names: names.clone(),
        due: began,
    };
    let pool = service
        .pool_of(source)
        .seed(seed)
        .build()
        .expect("the settings can work");
    let load = AtRandom {
        rate,
        time: END,
        law: Law::None,
    };
    let replacement = async {
        sleep(NAMES_DOWN_AT).await;
        names.tell(None);
        sleep_until(began + REPLACED_FROM).await;
        let mut in_flight = 0;
        for old in 0..SERVERS {
            in_flight += service.stop(old);
            service.start(SERVERS + old);
            sleep(Duration::from_secs(1)).await;
        }
        sleep_until(began + NAMES_BACK_AT).await;
        names.tell(Some(EndpointSet::of(SERVERS..2 * SERVERS)));
        in_flight
    };
    let mut rng = Rng::with_seed(seed);
    let (requests, in_flight) = tokio::join!(load.requests(&pool, &mut rng), replacement);
    Run {
        requests,
        in_flight,
    }
}

/// Where requests of each second went.
fn traffic(requests: &[Request]) -> Plot {
    let is_new = |server: usize| server >= SERVERS;
    let line = |name: &str, class, is_so: &dyn Fn(&Request) -> bool| Series {
        name: name.into(),
        class,
        points: per_second(requests, END, is_so),
    };
    let series = vec![
        line("old", "power-of-two", &|request| {
            request.server.is_some_and(|server| !is_new(server))
        }),
        line("new", "least-loaded", &|request| {
            request.server.is_some_and(is_new)
        }),
        line("refused", "round-robin", &|request| {
            request.server.is_none()
        }),
    ];
    Plot {
        title: "Requests that ended in each second".into(),
        chart: Chart {
            description: "Requests a second by where they went, over time".into(),
            width: Width::Full,
            x: over_time(END),
            y: rate_axis(&series),
            shape: Shape::Lines,
            series,
            marks: Vec::new(),
        },
    }
}
