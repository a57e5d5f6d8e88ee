//! What is asked of the exclusive pool over connections that do nothing.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{Ratio, SmallestOver, Value};
use super::{Figure, Threshold};

const GET_1: Figure = ("get_drop_1", "cenote", "ns");
const GET_2: Figure = ("get_drop_2", "cenote", "ns");

pub const THRESHOLDS: &[Threshold] = &[
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
        scenario: "open",
        asks: "cenote's time for one of 80,000 over that for one of 1,000",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("open", "cenote", "ns_80000"),
            ("open", "cenote", "ns_1000"),
        ),
    },
    Threshold {
        scenario: "budget",
        asks: "cenote's time with 10,000 pools over that with 10",
        bound: AtMost(2.0),
        quantity: Ratio(
            ("budget", "cenote", "ns_10000"),
            ("budget", "cenote", "ns_10"),
        ),
    },
    Threshold {
        scenario: "full",
        asks: "cenote's rate beside 20,000 leased with one user too many over that with 1,000",
        bound: AtLeast(0.5),
        quantity: Ratio(
            ("full", "cenote", "per_s_20000_and_1"),
            ("full", "cenote", "per_s_20000_and_1000"),
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
];
