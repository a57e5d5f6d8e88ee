//! What is asked of pools in front of a real PostgreSQL.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{OverLargest, Ratio};
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
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
    Threshold {
        scenario: "postgres_1000",
        asks: "cenote_shared's rate over deadpool_prepared's",
        bound: AtLeast(2.0),
        quantity: Ratio(
            ("postgres_1000", "cenote_shared", "ops_per_s"),
            ("postgres_1000", "deadpool_prepared", "ops_per_s"),
        ),
    },
];
