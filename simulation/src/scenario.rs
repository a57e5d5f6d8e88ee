//! What can be simulated, by name.

use crate::figure::Figure;
use crate::page::chart::Chart;
use crate::scenarios::{
    beyond_round_robin, ejection, many_keys, name_server, rolling_restart, sinkhole, supermarket,
    two_slow,
};

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Seconds in a debug build.
    Short,
    /// As published, or long enough for as many digits.
    Full,
}

impl Length {
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        match self {
            Self::Short => short,
            Self::Full => full,
        }
    }
}

/// Something that is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    /// Where the published figures are from, or what the bounds are.
    pub source: &'static str,
    play: fn(u64, Length) -> Outcome,
}

/// What came of it.
pub struct Outcome {
    pub figures: Vec<Figure>,
    pub plots: Vec<Plot>,
}

/// A chart and its title.
pub struct Plot {
    pub title: String,
    pub chart: Chart,
}

impl Outcome {
    pub fn holds(&self) -> bool {
        self.figures.iter().all(Figure::holds)
    }
}

impl Scenario {
    pub const ALL: [Self; 8] = [
        Self {
            name: "beyond-round-robin",
            about: "11 servers of 167 ms, 1,000 requests a second, for half of the time one takes 2 s",
            source: "Beyond Round Robin (Buoyant, 2016): answers within 1 s",
            play: beyond_round_robin::play,
        },
        Self {
            name: "supermarket",
            about: "servers with a queue each, calls that take 1 in the mean, one choice of a queue or two",
            source: "M. Mitzenmacher, The power of two choices in randomized load balancing (1996): mean time from arrival to reply",
            play: supermarket::play,
        },
        Self {
            name: "two-slow",
            about: "4 servers, two of 5 ms and two of 2 s",
            source: "both of two drawn are slow in 1 of 6 choices: two choices keep the p99 of round robin, a look at all does not",
            play: two_slow::play,
        },
        Self {
            name: "sinkhole",
            about: "4 servers, three that answer in 100 ms, one that fails in 1 ms",
            source: "finagle, linkerd2-proxy #4537: after 20 requests it never gets more than its fair share",
            play: sinkhole::play,
        },
        Self {
            name: "ejection",
            about: "3 servers, one of which fails, at 10 and at 10,000 requests a second to each",
            source: "linkerd2-proxy #4561: the same failures eject at any rate",
            play: ejection::play,
        },
        Self {
            name: "rolling-restart",
            about: "20 servers that are restarted one after the other, each down for 2 s",
            source: "no request fails but those in flight on the one that is stopped",
            play: rolling_restart::play,
        },
        Self {
            name: "name-server",
            about: "4 servers are replaced by 4 others while the name server is down for 30 s",
            source: "what is known serves as long as it lives, and the new servers as soon as they are known",
            play: name_server::play,
        },
        Self {
            name: "many-keys",
            about: "a pool per key with fewer connections in all than keys want: leases of 2 ms, dials of 20 ms",
            source: "an event simulation of rules by which a permit moves, from which the pool's was chosen: leases a second, longest wait; with none 375 keys were never served, or 15",
            play: many_keys::play,
        },
    ];

    /// With this seed; the same, the same outcome.
    pub fn play(&self, seed: u64, length: Length) -> Outcome {
        (self.play)(seed, length)
    }
}
