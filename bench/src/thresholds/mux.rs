//! What is asked of the engine of one shared connection.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{Ratio, Value};
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "mux_1",
        asks: "cenote_mux's p50 over tokio_tower's",
        bound: AtMost(0.8),
        quantity: Ratio(
            ("mux_1", "cenote_mux", "p50_ns"),
            ("mux_1", "tokio_tower", "p50_ns"),
        ),
    },
    Threshold {
        scenario: "mux_64",
        asks: "cenote_mux's rate over channel_mux's",
        bound: AtLeast(1.3),
        quantity: Ratio(
            ("mux_64", "cenote_mux", "req_per_s"),
            ("mux_64", "channel_mux", "req_per_s"),
        ),
    },
    Threshold {
        scenario: "mux_64",
        asks: "cenote_mux's p99 over channel_mux's",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("mux_64", "cenote_mux", "p99_ns"),
            ("mux_64", "channel_mux", "p99_ns"),
        ),
    },
    Threshold {
        scenario: "mux_1000",
        asks: "cenote_mux's rate over noria_stack's",
        bound: AtLeast(15.0),
        quantity: Ratio(
            ("mux_1000", "cenote_mux", "req_per_s"),
            ("mux_1000", "noria_stack", "req_per_s"),
        ),
    },
    Threshold {
        scenario: "mux_1000",
        asks: "cenote_mux's rate over channel_mux's",
        bound: AtLeast(2.0),
        quantity: Ratio(
            ("mux_1000", "cenote_mux", "req_per_s"),
            ("mux_1000", "channel_mux", "req_per_s"),
        ),
    },
    Threshold {
        scenario: "mux_1000",
        asks: "cenote_mux's rate over batch_limit's",
        bound: AtLeast(0.3),
        quantity: Ratio(
            ("mux_1000", "cenote_mux", "req_per_s"),
            ("mux_1000", "batch_limit", "req_per_s"),
        ),
    },
    Threshold {
        scenario: "mux_1000",
        asks: "cenote_mux's latency, p99 over p50",
        bound: AtMost(4.0),
        quantity: Ratio(
            ("mux_1000", "cenote_mux", "p99_ns"),
            ("mux_1000", "cenote_mux", "p50_ns"),
        ),
    },
    Threshold {
        scenario: "mux_allocations",
        asks: "cenote_mux's allocations a call",
        bound: AtMost(1.0),
        quantity: Value(("mux_allocations", "cenote_mux", "allocations_per_call")),
    },
];
