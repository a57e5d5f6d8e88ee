//! Which plots the report has, and the points in them.

use super::axes::{percentile, rate_axis, sizes, spanning, time};
use super::chart::{Axis, Chart, Series, Shape, Width};
use super::endpoint_plots::marks;
use super::scale::Scale;
use crate::args::Mode;
use crate::format;
use crate::measure::{Latencies, Sample};
use crate::results::{Results, Run};
use crate::way::Gauges;
use hdrhistogram::Histogram;

/// The distribution of one latency: how long the fastest part of all requests took, up to the slowest.
pub fn latency(results: &Results, what: &str, pick: fn(&Latencies) -> &Histogram<u64>) -> Chart {
    let runs = results.compared();
    let series: Vec<Series> = runs
        .iter()
        .map(|run| Series {
            name: run.name().into(),
            class: class(run),
            points: curve(pick(&run.latencies)),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    let longest = series
        .iter()
        .map(|series| series.points.len())
        .max()
        .unwrap_or(0);
    Chart {
        description: format!("{what} by percentile, for each mode"),
        width: Width::Half,
        x: Axis {
            scale: Scale::Nines {
                nines: longest.saturating_sub(1).max(2 * NINE) as f64 / NINE as f64,
            },
            name: "percentile of requests",
            write: percentile,
        },
        y: Axis {
            scale: spanning(&series),
            name: "time",
            write: format::seconds,
        },
        shape: Shape::Lines,
        series,
        marks: Vec::new(),
    }
}

/// Successful requests a second, over time.
pub fn rate(results: &Results) -> Chart {
    const BINS: f64 = 60.0;
    const SHORTEST_S: f64 = 0.1;
    let runs = results.compared();
    let longest = runs.iter().map(|run| run.elapsed_s).fold(0.0, f64::max);
    let bin = (longest / BINS).max(SHORTEST_S);
    let series: Vec<Series> = runs
        .iter()
        .map(|run| Series {
            name: run.name().into(),
            class: class(run),
            points: rates(&run.samples, bin),
        })
        .collect();
    Chart {
        description: "Requests per second over time, for each mode".into(),
        width: Width::Full,
        x: time(longest),
        y: rate_axis(&series),
        shape: Shape::Lines,
        series,
        marks: runs.last().map_or_else(Vec::new, |run| marks(run)),
    }
}

/// Connections of one run over time, by what they are doing.
pub fn connections(run: &Run) -> Chart {
    let states: [State; 3] = [
        ("leased", "leased", |gauges| gauges.leased),
        ("opening", "opening", |gauges| gauges.opening),
        ("idle", "idle", |gauges| gauges.idle),
    ];
    let most = run
        .samples
        .iter()
        .map(|s| s.gauges.leased + s.gauges.opening + s.gauges.idle)
        .max()
        .unwrap_or(0);
    let most = most.max(run.pool_size.unwrap_or(0));
    Chart {
        description: format!("Connections over time, {}", run.full_name()),
        width: Width::Half,
        x: time(run.elapsed_s),
        y: Axis {
            scale: Scale::from_zero(most as f64),
            name: "connections",
            write: format::amount,
        },
        shape: Shape::Stacked,
        series: states
            .into_iter()
            .map(|state| over_time(run, state))
            .filter(|series| series.points.iter().any(|point| point.1 > 0.0))
            .collect(),
        marks: Vec::new(),
    }
}

/// Users of one run that wait for a connection, over time; all runs on one scale.
pub fn waiters(results: &Results, run: &Run) -> Chart {
    let most = results.users as f64;
    Chart {
        description: format!(
            "Users waiting for a connection over time, {}",
            run.full_name()
        ),
        width: Width::Half,
        x: time(run.elapsed_s),
        y: Axis {
            scale: Scale::from_zero(most),
            name: "users",
            write: format::amount,
        },
        shape: Shape::Lines,
        series: vec![over_time(
            run,
            ("waiting", "waiters", |gauges| gauges.waiters),
        )],
        marks: Vec::new(),
    }
}

/// Requests a second by pool size.
pub fn sweep_rate(results: &Results) -> Chart {
    let points = results
        .pools()
        .map(|run| (run.pool_size.unwrap_or(0) as f64, run.requests_per_s))
        .collect();
    let mut series = vec![Series {
        name: "exclusive pool".into(),
        class: "exclusive",
        points,
    }];
    series.extend(level(results, |run| Some(run.requests_per_s)));
    Chart {
        description: "Requests per second by pool size".into(),
        width: Width::Half,
        x: sizes(results),
        y: rate_axis(&series),
        shape: Shape::DottedLines,
        series,
        marks: Vec::new(),
    }
}

/// The slowest requests by pool size.
pub fn sweep_latency(results: &Results) -> Chart {
    let p99 = |run: &Run| run.total_us.map(|p| p.p99 / 1e6);
    let points = results
        .pools()
        .filter_map(|run| Some((run.pool_size? as f64, p99(run)?)))
        .collect();
    let mut series = vec![Series {
        name: "exclusive pool".into(),
        class: "exclusive",
        points,
    }];
    series.extend(level(results, p99));
    Chart {
        description: "99th percentile of the whole request by pool size".into(),
        width: Width::Half,
        x: sizes(results),
        y: Axis {
            scale: spanning(&series),
            name: "time",
            write: format::seconds,
        },
        shape: Shape::DottedLines,
        series,
        marks: Vec::new(),
    }
}

/// The class that colours a mode everywhere.
pub fn class(run: &Run) -> &'static str {
    match run.mode {
        Mode::NoPool => "no-pool",
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    }
}

type State = (&'static str, &'static str, fn(&Gauges) -> usize);

fn over_time(run: &Run, (name, class, pick): State) -> Series {
    let points = run
        .samples
        .iter()
        .map(|sample| (sample.at_s, pick(&sample.gauges) as f64))
        .collect();
    Series {
        name: name.into(),
        class,
        points,
    }
}

/// What no pool reached, at every size.
fn level(results: &Results, pick: impl Fn(&Run) -> Option<f64>) -> Option<Series> {
    let value = pick(results.no_pool()?)?;
    let points = results
        .pools()
        .filter_map(|run| Some((run.pool_size? as f64, value)))
        .collect();
    Some(Series {
        name: "no pool".into(),
        class: "no-pool",
        points,
    })
}

/// Points between two nines: enough to look smooth.
const NINE: usize = 25;
const MOST_NINES: usize = 5;

/// Seconds by quantile, as far into the nines as so many requests can tell.
fn curve(nanoseconds: &Histogram<u64>) -> Vec<(f64, f64)> {
    if nanoseconds.is_empty() {
        return Vec::new();
    }
    let told = (nanoseconds.len() as f64).log10() * NINE as f64;
    (0..=(told as usize).min(MOST_NINES * NINE))
        .map(|step| 1.0 - 10f64.powf(-(step as f64) / NINE as f64))
        .map(|quantile| {
            (
                quantile,
                nanoseconds.value_at_quantile(quantile).max(1) as f64 / 1e9,
            )
        })
        .collect()
}

/// Requests a second in bins of `bin_s`, from counts at uneven times.
fn rates(samples: &[Sample], bin_s: f64) -> Vec<(f64, f64)> {
    let Some(last) = samples.last() else {
        return Vec::new();
    };
    // A last look a moment early is no reason to lose the last bin.
    let bins = (last.at_s / bin_s + 0.05).floor() as usize;
    let counts: Vec<f64> = (0..=bins)
        .map(|bin| count_at(samples, bin as f64 * bin_s))
        .collect();
    counts
        .windows(2)
        .enumerate()
        .map(|(bin, pair)| ((bin as f64 + 0.5) * bin_s, (pair[1] - pair[0]) / bin_s))
        .collect()
}

/// Requests until a moment, on a straight line between the samples around it.
fn count_at(samples: &[Sample], at_s: f64) -> f64 {
    let after = samples.partition_point(|sample| sample.at_s < at_s);
    let start = Sample::default();
    let before = after.checked_sub(1).map_or(&start, |index| &samples[index]);
    let Some(after) = samples.get(after) else {
        return before.requests as f64;
    };
    let part = (at_s - before.at_s) / (after.at_s - before.at_s).max(f64::EPSILON);
    before.requests as f64 + part * (after.requests - before.requests) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_from_counts_at_uneven_times() {
        let sample = |at_s, requests| Sample {
            at_s,
            requests,
            ..Sample::default()
        };
        let samples = [sample(0.5, 50), sample(1.25, 125), sample(2.0, 350)];
        let rates = rates(&samples, 1.0);
        assert_eq!(rates, [(0.5, 100.0), (1.5, 250.0)]);
    }

    #[test]
    fn a_curve_goes_no_further_than_its_requests_can_tell() {
        let mut histogram = Histogram::new(3).expect("valid");
        histogram.record_n(1_000_000, 100).expect("in range");
        let curve = curve(&histogram);
        assert_eq!(curve.len(), 2 * NINE + 1);
        assert!(
            curve
                .iter()
                .all(|(_, seconds)| (seconds - 0.001).abs() < 1e-6)
        );
    }
}
