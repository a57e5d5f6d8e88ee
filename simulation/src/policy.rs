//! The ways to choose an endpoint that are compared: those that a pool can be set to.

use cenote::endpoints::Balance;

/// One way to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub balance: Balance,
    pub name: &'static str,
    /// The class that colours it in charts.
    pub class: &'static str,
}

pub const ROUND_ROBIN: Policy = Policy {
    balance: Balance::RoundRobin,
    name: "round robin",
    class: "round-robin",
};
pub const RANDOM: Policy = Policy {
    balance: Balance::Random,
    name: "random",
    class: "random",
};
pub const POWER_OF_TWO: Policy = Policy {
    balance: Balance::PowerOfTwo,
    name: "power of two",
    class: "power-of-two",
};
pub const LEAST_LOADED: Policy = Policy {
    balance: Balance::LeastLoaded,
    name: "least loaded",
    class: "least-loaded",
};
pub const PEAK_EWMA: Policy = Policy {
    balance: Balance::PeakEwma,
    name: "peak EWMA",
    class: "peak-ewma",
};

pub const ALL: [Policy; 5] = [ROUND_ROBIN, RANDOM, POWER_OF_TWO, LEAST_LOADED, PEAK_EWMA];
