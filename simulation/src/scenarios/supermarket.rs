//! Many queues, and one choice of a queue or two: with two, the tail of the queues is doubly exponential.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use crate::figure::{Figure, Must, Unit};
use crate::format;
use crate::load::{AtRandom, Law, Request, fill, on_virtual_time};
use crate::page::chart::{Axis, Chart, Series, Shape, Width};
use crate::page::scale::Scale;
use crate::policy::{POWER_OF_TWO, Policy, RANDOM};
use crate::scenario::{Length, Outcome, Plot};
use crate::service::{Discipline, Pace, Service};

/// Long against the millisecond of tokio's timer, and short against the second after which the pool looks at all of its
/// connections.
const SERVICE: Duration = Duration::from_millis(100);

/// One figure of the model.
struct Row {
    load: f64,
    policy: Policy,
    choices: i32,
    /// As printed there.
    published: f64,
    tolerance: f64,
    run: Run,
}

/// How it is simulated. The model is of infinitely many servers for two choices, of any number for one.
#[derive(Clone, Copy)]
struct Run {
    servers: usize,
    /// To each server: more than ever queue there.
    connections: usize,
    /// In service times; a quarter of it before anything counts.
    time: u32,
}

/// What was found.
struct Found {
    mean: f64,
    /// How large a part of the servers had at least so many calls.
    tail: Vec<f64>,
}

pub fn play(seed: u64, length: Length) -> Outcome {
    let mut figures = Vec::new();
    let mut plotted = Vec::new();
    for row in rows(length) {
        let found = on_virtual_time(seed, run(&row, seed));
        let choices = match row.choices {
            1 => "one choice",
            _ => "two choices",
        };
        figures.push(Figure {
            what: format!("load {}, {choices}", row.load),
            published: Some(row.published),
            simulated: found.mean,
            unit: Unit::Number,
            must: Must::Be {
                value: mean(row.load, row.choices),
                tolerance: row.published * row.tolerance,
            },
        });
        if row.load == PLOTTED {
            plotted.push((row, choices, found));
        }
    }
    Outcome {
        figures,
        plots: vec![tails(&plotted)],
    }
}

/// The mean of a long queue is known late: it moves with its own square. So queues of one choice, which do not depend on
/// each other, are few and run for long.
fn rows(length: Length) -> Vec<Row> {
    let row = |load, policy, choices, published, tolerance, (servers, connections, time)| Row {
        load,
        policy,
        choices,
        published,
        tolerance,
        run: Run {
            servers,
            connections,
            time,
        },
    };
    match length {
        Length::Short => vec![
            row(0.9, RANDOM, 1, 10.0, 0.2, (20, 160, 1_500)),
            row(0.9, POWER_OF_TWO, 2, 2.61, 0.1, (100, 16, 200)),
        ],
        Length::Full => vec![
            row(0.9, RANDOM, 1, 10.0, 0.05, (20, 250, 50_000)),
            row(0.9, POWER_OF_TWO, 2, 2.61, 0.03, (500, 20, 1_500)),
            row(0.95, RANDOM, 1, 20.0, 0.08, (20, 500, 60_000)),
            row(0.95, POWER_OF_TWO, 2, 3.38, 0.03, (500, 20, 3_000)),
            row(0.99, RANDOM, 1, 100.0, 0.2, (10, 2_500, 400_000)),
            row(0.99, POWER_OF_TWO, 2, 5.43, 0.08, (500, 30, 4_000)),
        ],
    }
}

/// The mean time in service times: the sum over i from 1 of load^((d^i - d)/(d - 1)); of one choice, as a single queue has
/// it.
fn mean(load: f64, choices: i32) -> f64 {
    match choices {
        1 => 1.0 / (1.0 - load),
        _ => (1..20).map(|i| load.powi(2_i32.pow(i) - 2)).sum(),
    }
}

/// How large a part of the servers has at least `calls` calls: load^((d^calls - 1)/(d - 1)).
fn tail(load: f64, choices: i32, calls: usize) -> f64 {
    let calls = i32::try_from(calls).unwrap_or(i32::MAX);
    match choices {
        1 => load.powi(calls),
        _ => load.powf(2_f64.powi(calls) - 1.0),
    }
}

async fn run(row: &Row, seed: u64) -> Found {
    let Run {
        servers,
        connections,
        time,
    } = row.run;
    let pace = Pace {
        fixed: Duration::ZERO,
        per_unit: SERVICE,
    };
    let service = Service::new(servers, pace).working(Discipline::OneByOne);
    let pool = service
        .pool()
        .balance(row.policy.balance)
        .max_per_endpoint(connections)
        .max_connecting(connections)
        .seed(seed)
        .build()
        .expect("the settings can work");
    fill(&pool, servers * connections).await;
    let time = SERVICE * time;
    let counts_from = time / 4;
    let load = AtRandom {
        rate: row.load * servers as f64 / SERVICE.as_secs_f64(),
        time,
        law: Law::Exponential,
    };
    let sum = Arc::new(Mutex::new((Duration::ZERO, 0_u32)));
    let record = {
        let sum = Arc::clone(&sum);
        move |request: Request| {
            if request.began >= counts_from {
                let mut sum = sum.lock().expect("nothing panics under it");
                *sum = (sum.0 + request.took, sum.1 + 1);
            }
        }
    };
    let mut rng = Rng::with_seed(seed);
    let (tail, ()) = tokio::join!(
        watch_tail(&service, counts_from, time),
        load.play(&pool, &mut rng, record)
    );
    let (sum, count) = *sum.lock().expect("nothing panics under it");
    Found {
        mean: sum.as_secs_f64() / f64::from(count) / SERVICE.as_secs_f64(),
        tail,
    }
}

/// Looks at all queues once a service time.
async fn watch_tail(service: &Service, from: Duration, until: Duration) -> Vec<f64> {
    let began = Instant::now();
    let (mut counts, mut looks) = (Vec::<f64>::new(), 0.0);
    sleep(from).await;
    while began.elapsed() < until {
        for server in 0..service.len() {
            let calls = service.in_flight(server);
            if counts.len() <= calls {
                counts.resize(calls + 1, 0.0);
            }
            counts[..=calls].iter_mut().for_each(|count| *count += 1.0);
            looks += 1.0;
        }
        sleep(SERVICE).await;
    }
    counts.iter().map(|count| count / looks).collect()
}

/// The load whose queues are drawn.
const PLOTTED: f64 = 0.9;
/// As far as they are drawn.
const LONGEST: usize = 30;
const RAREST: f64 = 1e-4;

fn tails(found: &[(Row, &'static str, Found)]) -> Plot {
    let drawn = |points: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
        let is_drawn = |point: &(f64, f64)| point.1 >= RAREST;
        points.into_iter().take_while(is_drawn).collect()
    };
    let mut series = Vec::new();
    for (row, choices, found) in found {
        let of_model =
            (0..=LONGEST).map(|calls| (calls as f64, tail(row.load, row.choices, calls)));
        series.push(Series {
            name: match row.choices {
                1 => "model, one".into(),
                _ => "model, two".into(),
            },
            class: "model",
            points: drawn(of_model.collect()),
        });
        let simulated = found.tail.iter().take(LONGEST + 1).enumerate();
        series.push(Series {
            name: (*choices).into(),
            class: row.policy.class,
            points: drawn(
                simulated
                    .map(|(calls, part)| (calls as f64, *part))
                    .collect(),
            ),
        });
    }
    Plot {
        title: format!("Servers with at least so many calls, load {PLOTTED}"),
        chart: Chart {
            description: "The tail of the queues' lengths, simulated and by the model".into(),
            width: Width::Full,
            x: Axis {
                scale: Scale::from_zero(LONGEST as f64),
                name: "calls in the server",
                write: format::amount,
            },
            y: Axis {
                scale: Scale::decades(RAREST, 1.0),
                name: "part of the servers",
                write: |part| format!("{part}"),
            },
            shape: Shape::Lines,
            series,
            marks: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_gives_the_published_figures() {
        for row in rows(Length::Full) {
            let mean = mean(row.load, row.choices);
            assert!(
                (mean - row.published).abs() < 0.01,
                "{mean} for {}",
                row.published
            );
        }
    }
}
