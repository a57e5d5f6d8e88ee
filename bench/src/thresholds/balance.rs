//! What is asked of pools over a set of endpoints.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{Ratio, Value};
use super::Threshold;

pub const THRESHOLDS: &[Threshold] = &[
    Threshold {
        scenario: "choose_p2c",
        asks: "tower_p2c's time over cenote_pool's, 10 endpoints",
        bound: AtLeast(4.0),
        quantity: Ratio(
            ("choose_p2c", "tower_p2c", "ns_10"),
            ("choose_p2c", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_p2c",
        asks: "tower_p2c's time over cenote_pool's, 1,000 endpoints",
        bound: AtLeast(4.0),
        quantity: Ratio(
            ("choose_p2c", "tower_p2c", "ns_1000"),
            ("choose_p2c", "cenote_pool", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "choose_p2c",
        asks: "tower_p2c's time over cenote_pool's, 10,000 endpoints",
        bound: AtLeast(3.0),
        quantity: Ratio(
            ("choose_p2c", "tower_p2c", "ns_10000"),
            ("choose_p2c", "cenote_pool", "ns_10000"),
        ),
    },
    Threshold {
        scenario: "choose_p2c",
        asks: "time of each of two tasks over one's, 10 endpoints",
        bound: AtMost(1.3),
        quantity: Ratio(
            ("choose_p2c", "cenote_pool", "ns_10_of_two"),
            ("choose_p2c", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_p2c",
        asks: "time of each of two tasks over one's, 1,000 endpoints",
        bound: AtMost(1.3),
        quantity: Ratio(
            ("choose_p2c", "cenote_pool", "ns_1000_of_two"),
            ("choose_p2c", "cenote_pool", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "choose_p2c",
        asks: "time of each of two tasks over one's, 10,000 endpoints",
        bound: AtMost(1.3),
        quantity: Ratio(
            ("choose_p2c", "cenote_pool", "ns_10000_of_two"),
            ("choose_p2c", "cenote_pool", "ns_10000"),
        ),
    },
    Threshold {
        scenario: "choose_round_robin",
        asks: "time over that of choose_p2c, 10 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_round_robin", "cenote_pool", "ns_10"),
            ("choose_p2c", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_round_robin",
        asks: "time over that of choose_p2c, 1,000 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_round_robin", "cenote_pool", "ns_1000"),
            ("choose_p2c", "cenote_pool", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "choose_round_robin",
        asks: "time over that of choose_p2c, 10,000 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_round_robin", "cenote_pool", "ns_10000"),
            ("choose_p2c", "cenote_pool", "ns_10000"),
        ),
    },
    Threshold {
        scenario: "choose_round_robin",
        asks: "time with 10,000 endpoints over that with 10",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("choose_round_robin", "cenote_pool", "ns_10000"),
            ("choose_round_robin", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_named",
        asks: "time over that of choose_p2c, 10 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_named", "cenote_pool", "ns_10"),
            ("choose_p2c", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_named",
        asks: "time over that of choose_p2c, 1,000 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_named", "cenote_pool", "ns_1000"),
            ("choose_p2c", "cenote_pool", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "choose_named",
        asks: "time over that of choose_p2c, 10,000 endpoints",
        bound: AtMost(1.0),
        quantity: Ratio(
            ("choose_named", "cenote_pool", "ns_10000"),
            ("choose_p2c", "cenote_pool", "ns_10000"),
        ),
    },
    Threshold {
        scenario: "choose_by_key",
        asks: "time over that of choose_p2c, 10 endpoints",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("choose_by_key", "cenote_pool", "ns_10"),
            ("choose_p2c", "cenote_pool", "ns_10"),
        ),
    },
    Threshold {
        scenario: "choose_by_key",
        asks: "time over that of choose_p2c, 1,000 endpoints",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("choose_by_key", "cenote_pool", "ns_1000"),
            ("choose_p2c", "cenote_pool", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "choose_by_key",
        asks: "time over that of choose_p2c, 10,000 endpoints",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("choose_by_key", "cenote_pool", "ns_10000"),
            ("choose_p2c", "cenote_pool", "ns_10000"),
        ),
    },
    Threshold {
        scenario: "shared_choice",
        asks: "cenote_shared: one task, 10,000 connections over 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("shared_choice", "cenote_shared", "ns_10000"),
            ("shared_choice", "cenote_shared", "ns_10"),
        ),
    },
    Threshold {
        scenario: "shared_choice",
        asks: "cenote_shared: each of two tasks, 10,000 connections over 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("shared_choice", "cenote_shared", "ns_10000_of_two"),
            ("shared_choice", "cenote_shared", "ns_10_of_two"),
        ),
    },
    Threshold {
        scenario: "shared_choice",
        asks: "cenote_shared_one: one task, 10,000 connections over 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("shared_choice", "cenote_shared_one", "ns_10000"),
            ("shared_choice", "cenote_shared_one", "ns_10"),
        ),
    },
    Threshold {
        scenario: "shared_choice",
        asks: "cenote_shared_one: each of two tasks, 10,000 connections over 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("shared_choice", "cenote_shared_one", "ns_10000_of_two"),
            ("shared_choice", "cenote_shared_one", "ns_10_of_two"),
        ),
    },
    Threshold {
        scenario: "hand_over",
        asks: "cenote_pool's rate over cenote's, 10 endpoints",
        bound: AtLeast(0.9),
        quantity: Ratio(
            ("hand_over", "cenote_pool", "per_s_10"),
            ("hand_over", "cenote", "per_s_10"),
        ),
    },
    Threshold {
        scenario: "hand_over",
        asks: "cenote_pool's rate over cenote's, 1,000 endpoints",
        bound: AtLeast(0.9),
        quantity: Ratio(
            ("hand_over", "cenote_pool", "per_s_1000"),
            ("hand_over", "cenote", "per_s_1000"),
        ),
    },
    Threshold {
        scenario: "full",
        asks: "cenote_pool's rate with one user too many over that with 1,000",
        bound: AtLeast(0.5),
        quantity: Ratio(
            ("full", "cenote_pool", "per_s_20000_and_1"),
            ("full", "cenote_pool", "per_s_20000_and_1000"),
        ),
    },
    Threshold {
        scenario: "memory",
        asks: "cenote_pool's bytes an endpoint",
        bound: AtMost(1_024.0),
        quantity: Value(("memory", "cenote_pool", "bytes_per_endpoint")),
    },
    Threshold {
        scenario: "idle",
        asks: "cenote_pool's percent of a core",
        bound: AtMost(0.1),
        quantity: Value(("idle", "cenote_pool", "cpu_percent")),
    },
];
