//! The plots of several servers over time: how much of the load each had, and how long its answers took.

use std::collections::BTreeMap;

use super::axes::{spanning, time};
use super::chart::{Axis, Chart, Mark, Series, Shape, Width};
use super::scale::Scale;
use crate::chaos::Felt;
use crate::format;
use crate::measure::Point;
use crate::results::{EndpointResult, Run, SetResult};

/// Lines that can be told apart by their colours. Of more servers those with the fewest and the most requests are
/// drawn.
pub const DRAWN: usize = 8;

const CLASSES: [&str; DRAWN] = ["e0", "e1", "e2", "e3", "e4", "e5", "e6", "e7"];

/// The part of all requests that each server answered.
pub fn share(run: &Run, set: &SetResult) -> Chart {
    // Moments are kept as the numbers that they are, so that those of all servers meet.
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    for point in set
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.history.points)
    {
        *all.entry(point.at_s.to_bits()).or_default() += point.requests;
    }
    let part = |point: &Point| {
        let all = all
            .get(&point.at_s.to_bits())
            .copied()
            .filter(|all| *all > 0)?;
        Some(100.0 * point.requests as f64 / all as f64)
    };
    let series = series(set, part);
    let most = series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point.1)
        .fold(0.0, f64::max);
    Chart {
        description: format!("Share of each server over time, {}", run.full_name()),
        width: Width::Full,
        x: time(run.elapsed_s),
        y: Axis {
            scale: Scale::from_zero(most),
            name: "share of requests",
            write: |percent| format!("{} %", format::amount(percent)),
        },
        shape: Shape::Lines,
        series,
        marks: marks(run),
    }
}

/// How long 99 % of each server's answers took at most.
pub fn p99(run: &Run, set: &SetResult) -> Chart {
    let series = series(set, |point| Some(point.p99_us? / 1e6));
    Chart {
        description: format!(
            "99th percentile of each server's answers over time, {}",
            run.full_name()
        ),
        width: Width::Full,
        x: time(run.elapsed_s),
        y: Axis {
            scale: spanning(&series),
            name: "time",
            write: format::seconds,
        },
        shape: Shape::Lines,
        series,
        marks: marks(run),
    }
}

/// When what befell the servers.
pub fn marks(run: &Run) -> Vec<Mark> {
    let mark = |step: &Felt| Mark {
        x: step.at_s,
        name: step.action.to_string(),
        tip: format!("{} {}", step.action, step.server),
    };
    run.chaos.iter().map(mark).collect()
}

fn series(set: &SetResult, value: impl Fn(&Point) -> Option<f64>) -> Vec<Series> {
    let line = |(endpoint, class): (&EndpointResult, &'static str)| Series {
        name: endpoint.name.clone(),
        class,
        points: endpoint
            .history
            .points
            .iter()
            .map(|point| (point.at_s, value(point).unwrap_or(f64::NAN)))
            .collect(),
    };
    let drawn = set.extremes(DRAWN).into_iter().zip(CLASSES);
    drawn
        .map(line)
        .filter(|series| !series.points.is_empty())
        .collect()
}
