//! A service is restarted, one server after the other, under load, with the default settings of a pool.

use std::time::Duration;

use cenote::endpoints::{EndpointSet, fixed};
use fastrand::Rng;
use tokio::time::sleep;

use crate::figure::{Figure, Must, Unit};
use crate::load::{AtRandom, Law, Request, on_virtual_time};
use crate::measure::per_second;
use crate::page::chart::{Chart, Series, Shape, Width};
use crate::page::{over_time, rate_axis};
use crate::policy::{self, Policy};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Pace, Service};

const SERVERS: usize = 20;
const PACE: Pace = Pace {
    fixed: Duration::from_millis(15),
    per_unit: Duration::from_millis(5),
};
const DOWN: Duration = Duration::from_secs(2);
/// Before the first and after the last.
const QUIET: Duration = Duration::from_secs(10);
/// How long after the last restart the shares are looked at, until the end.
const BACK: Duration = Duration::from_secs(5);

/// How it is restarted, and how much load is on it.
#[derive(Clone, Copy)]
struct Plan {
    /// From one server's return to the next one's stop.
    between: Duration,
    /// Requests a second, to all.
    rate: f64,
}

impl Plan {
    fn time(self) -> Duration {
        QUIET + (DOWN + self.between) * SERVERS as u32 + QUIET
    }
}

struct Run {
    requests: Vec<Request>,
    /// On each that was stopped, as it was.
    in_flight: usize,
}

pub fn play(seed: u64, length: Length) -> Outcome {
    let plan = length.of(
        Plan {
            between: Duration::from_millis(500),
            rate: 400.0,
        },
        Plan {
            between: Duration::from_secs(3),
            rate: 1_000.0,
        },
    );
    let mut figures = Vec::new();
    let mut plots = Vec::new();
    for policy in policy::ALL {
        let run = on_virtual_time(seed, run(policy, seed, plan));
        figures.extend(judged(policy, plan, &run));
        if policy == policy::POWER_OF_TWO {
            plots.push(traffic(plan, &run.requests));
        }
    }
    Outcome { figures, plots }
}

fn judged(policy: Policy, plan: Plan, run: &Run) -> [Figure; 3] {
    let count = |is_so: &dyn Fn(&Request) -> bool| {
        run.requests.iter().filter(|request| is_so(request)).count()
    };
    let failed = count(&|request| request.server.is_some() && !request.succeeded);
    let refused = count(&|request| request.server.is_none());
    let beyond = failed.abs_diff(run.in_flight) as f64;
    // Whoever was restarted last has been back for long by then.
    let late = |request: &Request| request.began > plan.time() - QUIET + BACK;
    let all = count(&late);
    let least = (0..SERVERS).map(|server| {
        count(&|request| late(request) && request.server == Some(server)) as f64 / all as f64
    });
    let fair = 1.0 / SERVERS as f64;
    let least = least.fold(f64::INFINITY, f64::min) / fair;
    let figure = |what: &str, simulated, must| {
        let what = format!("{}, {what}", policy.name);
        Figure::unpublished(what, simulated, Unit::Number, must)
    };
    [
        figure(
            "calls that failed beyond those in flight on the one stopped",
            beyond,
            Must::BE_NONE,
        ),
        figure("requests without a lease", refused as f64, Must::BE_NONE),
        figure(
            "least share of a server after all, in fair shares",
            least,
            Must::BeAtLeast(0.5),
        ),
    ]
}

async fn run(policy: Policy, seed: u64, plan: Plan) -> Run {
    let service = Service::new(SERVERS, PACE);
    let pool = service
        .pool_of(fixed(EndpointSet::of(0..SERVERS)))
        .balance(policy.balance)
        .seed(seed)
        .build()
        .expect("the settings can work");
    let load = AtRandom {
        rate: plan.rate,
        time: plan.time(),
        law: Law::Exponential,
    };
    let restarts = async {
        let mut in_flight = 0;
        sleep(QUIET).await;
        for server in 0..SERVERS {
            in_flight += service.stop(server);
            sleep(DOWN).await;
            service.start(server);
            sleep(plan.between).await;
        }
        in_flight
    };
    let mut rng = Rng::with_seed(seed);
    let (requests, in_flight) = tokio::join!(load.requests(&pool, &mut rng), restarts);
    Run {
        requests,
        in_flight,
    }
}

/// Those whose traffic is drawn: all of them would hide each other.
const DRAWN: [(usize, &str, &str); 3] = [
    (0, "first", "power-of-two"),
    (9, "tenth", "round-robin"),
    (19, "last", "least-loaded"),
];

fn traffic(plan: Plan, requests: &[Request]) -> Plot {
    let series: Vec<Series> = DRAWN
        .into_iter()
        .map(|(server, name, class)| Series {
            name: name.into(),
            class,
            points: per_second(requests, plan.time(), |request| {
                request.server == Some(server)
            }),
        })
        .collect();
    Plot {
        title: "Requests a second to the first, the tenth and the last server".into(),
        chart: Chart {
            description: "Requests a second to three of the servers over time".into(),
            width: Width::Full,
            x: over_time(plan.time()),
            y: rate_axis(&series),
            shape: Shape::Lines,
            series,
            marks: Vec::new(),
        },
    }
}
