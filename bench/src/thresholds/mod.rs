//! What the project asks of itself, as ratios and bounds over a run's medians.
//!
//! A threshold whose subjects were not all measured is left out, not failed.

mod balance;
mod http;
mod idle;
mod keyed;
mod mux;
mod pool;
mod postgres;
mod redis;

use std::fmt;

use self::Quantity::{Difference, OverLargest, Ratio, SmallestOver, Value};
use crate::rounds::Results;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::AtMost(limit) => write!(out, "<= {limit}"),
            Bound::AtLeast(limit) => write!(out, ">= {limit}"),
        }
    }
}

/// A threshold and what the run reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub scenario: &'static str,
    pub asks: &'static str,
    pub bound: Bound,
    pub reached: f64,
}

impl Verdict {
    pub fn passes(&self) -> bool {
        match self.bound {
            Bound::AtMost(limit) => self.reached <= limit,
            Bound::AtLeast(limit) => self.reached >= limit,
        }
    }
}

/// A figure of the run: which metric of which subject in which scenario.
type Figure = (&'static str, &'static str, &'static str);

/// What is held against the bound.
enum Quantity {
    Value(Figure),
    /// The first over the second.
    Ratio(Figure, Figure),
    /// The first less the second.
    Difference(Figure, Figure),
    /// The smallest of the first over the second: how much faster than the fastest rival.
    SmallestOver(&'static [Figure], Figure),
    /// The first over the largest of the second: how far above the best rival.
    OverLargest(Figure, &'static [Figure]),
}

struct Threshold {
    scenario: &'static str,
    asks: &'static str,
    bound: Bound,
    quantity: Quantity,
}

/// The thresholds the run can answer, with its answers.
pub fn judge(results: &Results) -> Vec<Verdict> {
    let answer = |threshold: &Threshold| {
        Some(Verdict {
            scenario: threshold.scenario,
            asks: threshold.asks,
            bound: threshold.bound,
            reached: threshold.quantity.of(results)?,
        })
    };
    let asked = [
        pool::THRESHOLDS,
        balance::THRESHOLDS,
        keyed::THRESHOLDS,
        postgres::THRESHOLDS,
        mux::THRESHOLDS,
        redis::THRESHOLDS,
        http::THRESHOLDS,
        idle::THRESHOLDS,
    ];
    asked.into_iter().flatten().filter_map(answer).collect()
}

impl Quantity {
    fn of(&self, results: &Results) -> Option<f64> {
        let value =
            |&(scenario, subject, metric): &Figure| results.value(scenario, subject, metric);
        let all = |figures: &[Figure]| figures.iter().map(value).collect::<Option<Vec<f64>>>();
        match self {
            Value(figure) => value(figure),
            Ratio(figure, over) => Some(value(figure)? / value(over)?),
            Difference(figure, less) => Some(value(figure)? - value(less)?),
            SmallestOver(figures, over) => {
                Some(all(figures)?.into_iter().reduce(f64::min)? / value(over)?)
            }
            OverLargest(figure, over) => {
                Some(value(figure)? / all(over)?.into_iter().reduce(f64::max)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Row;
    use std::time::Duration;

    fn results(rows: &[(&'static str, &'static str, &'static str, f64)]) -> Results {
        let row = |&(scenario, subject, metric, value): &(_, _, _, f64)| Row {
            scenario,
            subject,
            metric,
            value,
        };
        Results {
            rows: rows.iter().map(row).collect(),
            unmeasured: Vec::new(),
            rounds: 1,
            took: Duration::ZERO,
            disturbed: (0, 0),
        }
    }

    #[test]
    fn the_faster_rival_counts() {
        let run = results(&[
            ("get_drop_1", "cenote", "ns", 20.0),
            ("get_drop_1", "bb8", "ns", 300.0),
            ("get_drop_1", "deadpool", "ns", 190.0),
        ]);
        let verdicts = judge(&run);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].reached, 9.5);
        assert!(!verdicts[0].passes());
    }

    #[test]
    fn a_threshold_without_its_subjects_is_left_out() {
        assert_eq!(
            judge(&results(&[("spike", "bb8", "connections_open", 50.0)])),
            []
        );
    }

    #[test]
    fn a_bound_is_met_by_its_own_value() {
        let verdicts = judge(&results(&[("spike", "cenote", "connections_open", 6.0)]));
        assert!(verdicts[0].passes());
    }
}
