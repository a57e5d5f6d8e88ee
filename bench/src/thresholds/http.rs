//! What is asked of the HTTP client.

use super::Bound::{AtLeast, AtMost};
use super::Quantity::{Ratio, Value};
use super::{Bound, Threshold};

pub const THRESHOLDS: &[Threshold] = &[
    rate_over_legacy("h1_64", 1.0),
    processor_over_legacy("h1_64", 0.9),
    rate_over_hand("h1_64", 0.78),
    rate_over_legacy("h1_64x10", 1.05),
    processor_over_legacy("h1_64x10", 0.9),
    rate_over_hand("h1_64x10", 0.78),
    rate_over_legacy("h1_1000x10", 1.2),
    processor_over_legacy("h1_1000x10", 0.75),
    over_legacy(
        "h1_1000x10",
        "cenote's p99 over legacy's",
        "p99_ns",
        AtMost(0.6),
    ),
    value(
        "h1_1000x10",
        "connections that cenote opens",
        "opened",
        AtMost(10.0),
    ),
    over_legacy("h2_1", "cenote's p50 over legacy's", "p50_ns", AtMost(0.75)),
    rate_over_legacy("h2_64", 1.15),
    processor_over_legacy("h2_64", 0.88),
    rate_over_legacy("h2_1000", 1.2),
    processor_over_legacy("h2_1000", 0.68),
    processor_over_legacy("h2_1000x4", 0.55),
    value(
        "h2_1000x4",
        "connections that cenote opens",
        "opened",
        AtMost(4.0),
    ),
    value(
        "cold_burst",
        "connections that cenote opens",
        "opened",
        AtMost(1.0),
    ),
    value(
        "cold_burst",
        "requests of cenote that fail",
        "failed",
        AtMost(0.0),
    ),
    Threshold {
        scenario: "cold_burst",
        asks: "cenote's last reply over legacy_http2_only's",
        bound: AtMost(1.5),
        quantity: Ratio(
            ("cold_burst", "cenote", "last_ms"),
            ("cold_burst", "legacy_http2_only", "last_ms"),
        ),
    },
    allocations("h1_allocations", 8.0),
    allocations("h2_allocations", 6.0),
    value(
        "nginx_reload",
        "requests of cenote that fail",
        "failed",
        AtMost(0.0),
    ),
];

const fn rate_over_legacy(scenario: &'static str, bound: f64) -> Threshold {
    let asks = "cenote's rate over legacy's";
    over_legacy(scenario, asks, "req_per_s", AtLeast(bound))
}

const fn processor_over_legacy(scenario: &'static str, bound: f64) -> Threshold {
    let asks = "cenote's processor time a request over legacy's";
    over_legacy(scenario, asks, "cpu_ns_per_req", AtMost(bound))
}

const fn rate_over_hand(scenario: &'static str, bound: f64) -> Threshold {
    Threshold {
        scenario,
        asks: "cenote's rate over by_hand's",
        bound: AtLeast(bound),
        quantity: Ratio(
            (scenario, "cenote", "req_per_s"),
            (scenario, "by_hand", "req_per_s"),
        ),
    }
}

const fn over_legacy(
    scenario: &'static str,
    asks: &'static str,
    metric: &'static str,
    bound: Bound,
) -> Threshold {
    Threshold {
        scenario,
        asks,
        bound,
        quantity: Ratio((scenario, "cenote", metric), (scenario, "legacy", metric)),
    }
}

const fn allocations(scenario: &'static str, bound: f64) -> Threshold {
    let asks = "cenote's allocations a request";
    value(scenario, asks, "allocations_per_call", AtMost(bound))
}

const fn value(
    scenario: &'static str,
    asks: &'static str,
    metric: &'static str,
    bound: Bound,
) -> Threshold {
    Threshold {
        scenario,
        asks,
        bound,
        quantity: Value((scenario, "cenote", metric)),
    }
}
