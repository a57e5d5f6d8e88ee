//! What is asked of a pool per key.

use super::Bound::AtMost;
use super::Quantity::{Difference, Ratio, Value};
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "keyed",
        asks: "cenote_keyed's ns above bare_pools', 1 key",
        bound: AtMost(45.0),
        quantity: Difference(
            ("keyed", "cenote_keyed", "ns_1"),
            ("keyed", "bare_pools", "ns_1"),
        ),
    },
    Threshold {
        scenario: "keyed",
        asks: "cenote_keyed's ns above bare_pools', 1,000 keys",
        bound: AtMost(250.0),
        quantity: Difference(
            ("keyed", "cenote_keyed", "ns_1000"),
            ("keyed", "bare_pools", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "keyed",
        asks: "cenote_keyed's time over bare_pools', 1 key, each of two tasks",
        bound: AtMost(1.2),
        quantity: Ratio(
            ("keyed", "cenote_keyed", "ns_1_of_two"),
            ("keyed", "bare_pools", "ns_1_of_two"),
        ),
    },
    Threshold {
        scenario: "distinct_keys",
        asks: "percent of the heap left over",
        bound: AtMost(5.0),
        quantity: Value(("distinct_keys", "cenote_keyed", "percent_left")),
    },
    Threshold {
        scenario: "idle_keys",
        asks: "bytes a key with one connection",
        bound: AtMost(2_560.0),
        quantity: Value(("idle_keys", "cenote_keyed", "bytes_per_key")),
    },
    Threshold {
        scenario: "idle_keys",
        asks: "wake-ups a second, all together",
        bound: AtMost(2.0),
        quantity: Value(("idle_keys", "cenote_keyed", "wakeups_per_s")),
    },
];
