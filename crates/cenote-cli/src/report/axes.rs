//! The axes of the plots: from where to where they go, and how what is on them is written.

use super::chart::{Axis, Series};
use super::scale::Scale;
use crate::format;
use crate::results::Results;

/// Moments of a run of so many seconds.
pub fn time(longest_s: f64) -> Axis {
    Axis {
        scale: Scale::up_to(longest_s),
        name: "time since the start",
        write: since,
    }
}

/// The sizes of the pools.
pub fn sizes(results: &Results) -> Axis {
    let sizes = || {
        results
            .pools()
            .filter_map(|run| run.pool_size)
            .map(|size| size as f64)
    };
    let (min, max) = (
        sizes().fold(f64::INFINITY, f64::min),
        sizes().fold(1.0, f64::max),
    );
    Axis {
        scale: Scale::Doublings {
            min: min.min(max),
            max,
        },
        name: "pool size (connections)",
        write: format::amount,
    }
}

/// From 0, unless that would press a line flat onto the axis: then logarithmic, from a power of ten that leaves
/// the lowest line room to rise and fall.
pub fn rate_axis(series: &[Series]) -> Axis {
    const APART: f64 = 10.0;
    const ROOM: f64 = 3.0;
    let means = series.iter().map(|series| {
        let sum: f64 = series.points.iter().map(|point| point.1).sum();
        sum / series.points.len().max(1) as f64
    });
    let means = means.filter(|mean| *mean > 0.0);
    let (lowest, highest) = means.fold((f64::INFINITY, 0.0), |(lowest, highest), mean| {
        (mean.min(lowest), mean.max(highest))
    });
    let most = series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point.1)
        .fold(0.0, f64::max);
    let (scale, name) = match highest > lowest * APART {
        true => (
            Scale::decades(10f64.powf((lowest / ROOM).log10().floor()), most),
            "requests/s, logarithmic",
        ),
        false => (Scale::from_zero(most), "requests/s"),
    };
    Axis {
        scale,
        name,
        write: format::amount,
    }
}

/// Decades around all values, which are seconds.
pub fn spanning(series: &[Series]) -> Scale {
    let values = || {
        series
            .iter()
            .flat_map(|series| &series.points)
            .map(|point| point.1)
    };
    match values().fold(f64::INFINITY, f64::min) {
        min if min.is_finite() => Scale::decades(min, values().fold(min, f64::max)),
        _ => Scale::decades(1e-3, 1.0),
    }
}

/// What a quantile is called.
pub fn percentile(quantile: f64) -> String {
    if quantile == 0.0 {
        return "min".into();
    }
    // One decimal for each nine beyond two; a little is added because 0.9 has 0.99999 nines.
    let decimals = ((-(1.0 - quantile).log10() + 1e-6) as usize).saturating_sub(2);
    format!("p{:.decimals$}", quantile * 100.0)
}

/// Moments of a run, all in seconds.
fn since(seconds: f64) -> String {
    format!("{} s", (seconds * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(peaks: &[f64]) -> Vec<Series> {
        let line = |peak: &f64| Series {
            name: String::new(),
            class: "",
            points: vec![(0.0, 0.0), (1.0, *peak), (2.0, peak / 2.0)],
        };
        peaks.iter().map(line).collect()
    }

    /// Tried as a new user would: 61 requests/s beside 64,576 were a line on the axis.
    #[test]
    fn rates_far_from_each_other_are_drawn_on_a_logarithmic_axis_where_each_has_room() {
        let scale = rate_axis(&lines(&[61.0, 10_680.0, 64_576.0])).scale;
        let places = [61.0, 10_680.0, 64_576.0].map(|rate| scale.place(rate));
        assert!(places.is_sorted() && places[0] > 0.15, "{places:?}");
        assert!(places[1] - places[0] > 0.15 && places[2] - places[1] > 0.15);
        assert_eq!(scale.place(0.0), 0.0);
    }

    #[test]
    fn rates_of_one_size_are_drawn_from_zero() {
        for peaks in [&[900.0, 100.0][..], &[70.0], &[0.0, 70.0], &[0.0], &[]] {
            let scale = rate_axis(&lines(peaks)).scale;
            assert!(
                matches!(scale, Scale::Linear { .. }),
                "{peaks:?}: {scale:?}"
            );
        }
    }

    #[test]
    fn percentiles_are_written_as_people_say_them() {
        assert_eq!(
            [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999].map(percentile),
            ["min", "p50", "p90", "p99", "p99.9", "p99.99"]
        );
    }
}
