//! What the project asks of its own pool, as ratios and bounds over a run's medians.
//!
//! A threshold whose subjects were not all measured is left out, not failed.

use std::fmt;

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

use Bound::{AtLeast, AtMost};
use Quantity::{OverLargest, Ratio, SmallestOver, Value};

const GET_1: Figure = ("get_drop_1", "cenote", "ns");
const GET_2: Figure = ("get_drop_2", "cenote", "ns");

const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "get_drop_1",
        asks: "cenote's time over two_rmw's",
        bound: AtMost(2.0),
        quantity: Ratio(GET_1, ("get_drop_1", "two_rmw", "ns")),
    },
    Threshold {
        scenario: "get_drop_1",
        asks: "time of the faster of bb8 and deadpool over cenote's",
        bound: AtLeast(10.0),
        quantity: SmallestOver(
            &[
                ("get_drop_1", "bb8", "ns"),
                ("get_drop_1", "deadpool", "ns"),
            ],
            GET_1,
        ),
    },
    Threshold {
        scenario: "get_drop_1",
        asks: "cenote_owned's time over cenote's",
        bound: AtMost(1.3),
        quantity: Ratio(("get_drop_1", "cenote_owned", "ns"), GET_1),
    },
    Threshold {
        scenario: "get_drop_2",
        asks: "cenote's time over its own get_drop_1",
        bound: AtMost(2.0),
        quantity: Ratio(GET_2, GET_1),
    },
    Threshold {
        scenario: "get_drop_2",
        asks: "time of the faster of bb8 and deadpool over cenote's",
        bound: AtLeast(25.0),
        quantity: SmallestOver(
            &[
                ("get_drop_2", "bb8", "ns"),
                ("get_drop_2", "deadpool", "ns"),
            ],
            GET_2,
        ),
    },
    Threshold {
        scenario: "contend_64x8",
        asks: "cenote's rate over deadpool's",
        bound: AtLeast(1.5),
        quantity: Ratio(
            ("contend_64x8", "cenote", "ops_per_s"),
            ("contend_64x8", "deadpool", "ops_per_s"),
        ),
    },
    Threshold {
        scenario: "contend_64x8",
        asks: "cenote's fairness",
        bound: AtLeast(0.97),
        quantity: Value(("contend_64x8", "cenote", "fairness")),
    },
    Threshold {
        scenario: "contend_1000x10",
        asks: "cenote's rate over deadpool's",
        bound: AtLeast(1.7),
        quantity: Ratio(
            ("contend_1000x10", "cenote", "ops_per_s"),
            ("contend_1000x10", "deadpool", "ops_per_s"),
        ),
    },
    Threshold {
        scenario: "contend_1000x10",
        asks: "cenote's wait, p99 over p50",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("contend_1000x10", "cenote", "wait_p99_ns"),
            ("contend_1000x10", "cenote", "wait_p50_ns"),
        ),
    },
    Threshold {
        scenario: "contend_1000x10",
        asks: "cenote's fairness",
        bound: AtLeast(0.95),
        quantity: Value(("contend_1000x10", "cenote", "fairness")),
    },
    Threshold {
        scenario: "waiters_flat",
        asks: "cenote's time with 100,000 waiters over that with 10",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("waiters_flat", "cenote", "ns_100000"),
            ("waiters_flat", "cenote", "ns_10"),
        ),
    },
    Threshold {
        scenario: "slots_flat",
        asks: "cenote's time with 10,000 slots over that with 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("slots_flat", "cenote", "ns_10000"),
            ("slots_flat", "cenote", "ns_10"),
        ),
    },
    Threshold {
        scenario: "memory",
        asks: "cenote's bytes per idle slot",
        bound: AtMost(256.0),
        quantity: Value(("memory", "cenote", "bytes_per_idle_slot")),
    },
    Threshold {
        scenario: "memory",
        asks: "cenote's bytes per waiter",
        bound: AtMost(256.0),
        quantity: Value(("memory", "cenote", "bytes_per_waiter")),
    },
    Threshold {
        scenario: "spike",
        asks: "cenote's open connections at the end",
        bound: AtMost(6.0),
        quantity: Value(("spike", "cenote", "connections_open")),
    },
    Threshold {
        scenario: "postgres_1000",
        asks: "cenote's rate over the best of bb8, bb8_untested and deadpool",
        bound: AtLeast(1.0),
        quantity: OverLargest(
            ("postgres_1000", "cenote", "ops_per_s"),
            &[
                ("postgres_1000", "bb8", "ops_per_s"),
                ("postgres_1000", "bb8_untested", "ops_per_s"),
                ("postgres_1000", "deadpool", "ops_per_s"),
            ],
        ),
    },
    Threshold {
        scenario: "postgres_1000",
        asks: "cenote_prepared's rate over the best of deadpool_prepared and sqlx",
        bound: AtLeast(1.0),
        quantity: OverLargest(
            ("postgres_1000", "cenote_prepared", "ops_per_s"),
            &[
                ("postgres_1000", "deadpool_prepared", "ops_per_s"),
                ("postgres_1000", "sqlx", "ops_per_s"),
            ],
        ),
    },
    Threshold {
        scenario: "postgres_1000",
        asks: "cenote's latency, p99 over p50",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("postgres_1000", "cenote", "p99_ns"),
            ("postgres_1000", "cenote", "p50_ns"),
        ),
    },
    Threshold {
        scenario: "postgres_1000",
        asks: "cenote_prepared's latency, p99 over p50",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("postgres_1000", "cenote_prepared", "p99_ns"),
            ("postgres_1000", "cenote_prepared", "p50_ns"),
        ),
    },
];

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
    THRESHOLDS.iter().filter_map(answer).collect()
}

impl Quantity {
    fn of(&self, results: &Results) -> Option<f64> {
        let value =
            |&(scenario, subject, metric): &Figure| results.value(scenario, subject, metric);
        let all = |figures: &[Figure]| figures.iter().map(value).collect::<Option<Vec<f64>>>();
        match self {
            Value(figure) => value(figure),
            Ratio(figure, over) => Some(value(figure)? / value(over)?),
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
