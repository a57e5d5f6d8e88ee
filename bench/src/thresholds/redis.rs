//! What is asked of one pipelined connection to a real Redis.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{OverLargest, Ratio};
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "redis_1",
        asks: "cenote's p50 over fred's",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("redis_1", "cenote", "p50_ns"),
            ("redis_1", "fred", "p50_ns"),
        ),
    },
    Threshold {
        scenario: "redis_64",
        asks: "cenote's rate over the better of redis_rs and fred",
        bound: AtLeast(1.3),
        quantity: OverLargest(
            ("redis_64", "cenote", "req_per_s"),
            &[
                ("redis_64", "redis_rs", "req_per_s"),
                ("redis_64", "fred", "req_per_s"),
            ],
        ),
    },
    Threshold {
        scenario: "redis_1000",
        asks: "cenote's rate over the better of redis_rs and fred",
        bound: AtLeast(1.5),
        quantity: OverLargest(
            ("redis_1000", "cenote", "req_per_s"),
            &[
                ("redis_1000", "redis_rs", "req_per_s"),
                ("redis_1000", "fred", "req_per_s"),
            ],
        ),
    },
];
