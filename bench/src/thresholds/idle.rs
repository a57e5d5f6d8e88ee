//! What is asked of pools that nobody uses.

use super::Bound::AtMost;
use super::Quantity::Value;
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "idle_pools",
        asks: "cenote's bytes, no connection",
        bound: AtMost(1_500.0),
        quantity: Value(("idle_pools", "cenote", "bytes_empty")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "cenote's bytes, one connection",
        bound: AtMost(2_500.0),
        quantity: Value(("idle_pools", "cenote", "bytes_with_one")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "cenote's percent of a core",
        bound: AtMost(0.1),
        quantity: Value(("idle_pools", "cenote", "cpu_percent")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "cenote's wake-ups a second",
        bound: AtMost(2.0),
        quantity: Value(("idle_pools", "cenote", "wakeups_per_s")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "a shared pool's bytes, one connection",
        bound: AtMost(3_500.0),
        quantity: Value(("idle_pools", "cenote_shared", "bytes_with_one")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "shared pools' percent of a core",
        bound: AtMost(0.1),
        quantity: Value(("idle_pools", "cenote_shared", "cpu_percent")),
    },
    Threshold {
        scenario: "idle_pools",
        asks: "shared pools' wake-ups a second",
        bound: AtMost(2.0),
        quantity: Value(("idle_pools", "cenote_shared", "wakeups_per_s")),
    },
];
