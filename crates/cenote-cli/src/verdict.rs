//! One sentence that says what the pool was worth, from what was measured.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::format;
use crate::results::{Percentiles, Results, Run};

/// Rates closer than this are the same: two runs of one thing differ by as much.
const SAME: std::ops::RangeInclusive<f64> = 0.95..=1.05;

/// A sentence, in two parts: what to remember, and what it rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub headline: String,
    pub reason: Option<String>,
}

impl Verdict {
    fn headline(headline: impl Into<String>) -> Self {
        Self {
            headline: headline.into(),
            reason: None,
        }
    }

    fn because(self, reason: String) -> Self {
        Self {
            reason: Some(reason),
            ..self
        }
    }

    /// The sentence for `results`.
    pub fn of(results: &Results) -> Self {
        match (results.no_pool(), results.best_pool()) {
            (Some(without), Some(with)) => compare(results, without, with),
            (None, Some(with)) => pool_alone(results, with),
            (Some(_), None) => {
                Self::headline("Only `no pool` was measured: there is nothing to compare it with")
            }
            (None, None) => Self::headline("Nothing was measured"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{}: {reason}.", self.headline),
            None => write!(f, "{}.", self.headline),
        }
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn pool_alone(results: &Results, with: &Run) -> Verdict {
    if with.requests == 0 {
        return Verdict::headline("No request succeeded: there is nothing to say about the pool");
    }
    let (connections, rate) = (connections(with), format::amount(with.requests_per_s));
    let users = users(results);
    if results.is_sweep() {
        return Verdict::headline(format!("{connections} are enough for {users}")).because(
            format!("{rate} requests/s, and no other size that was tried gave noticeably more"),
        );
    }
    Verdict::headline(format!("{connections} gave {users} {rate} requests/s"))
        .because("without a run of `no pool` there is nothing to compare that with".into())
}

fn compare(results: &Results, without: &Run, with: &Run) -> Verdict {
    let (users, connections) = (users(results), connections(with));
    let (more, less) = (
        format::amount(with.requests_per_s),
        format::amount(without.requests_per_s),
    );
    match (without.requests, with.requests) {
        (0, 0) => {
            return Verdict::headline(
                "No request succeeded, with a pool or without: there is nothing to compare",
            );
        }
        (0, _) => {
            return Verdict::headline("The pool was worth everything").because(format!(
                "without it no request succeeded, and with {connections} {users} got {more} requests/s"
            ));
        }
        (_, 0) => {
            return Verdict::headline("Through the pool nothing worked").because(format!(
                "{users} got no answer from {connections}, and {less} requests/s without"
            ));
        }
        _ => {}
    }
    let ratio = with.requests_per_s / without.requests_per_s;
    let headline = match ratio {
        same if SAME.contains(&same) => "The pool was worth little".into(),
        slower if slower < 1.0 => "The pool was too small to be worth it".into(),
        faster => format!(
            "The pool was worth {} times the requests",
            format::amount(faster)
        ),
    };
    let mut reason = format!(
        "with {connections} {users} got {more} requests/s instead of {less}, {}, for {} opened instead of {}",
        latency(without.total_us, with.total_us),
        format::plural(with.connections_opened, "connection", "connections"),
        format::count(without.connections_opened)
    );
    if without.failed() + with.failed() > 0 {
        reason += &format!(
            ", and {} failed instead of {}",
            format::count(with.failed()),
            format::count(without.failed())
        );
    }
    if ratio < *SAME.start() && !results.is_sweep() {
        reason += "; --sweep finds a better size";
    }
    Verdict::headline(headline).because(reason)
}

fn latency(without: Option<Percentiles>, with: Option<Percentiles>) -> String {
    let p99 = |p: Option<Percentiles>| p.map_or("nothing".into(), |p| format::seconds(p.p99 / 1e6));
    format!(
        "99 % of the answers within {} instead of {}",
        p99(with),
        p99(without)
    )
}

fn connections(run: &Run) -> String {
    format::plural(
        run.pool_size.unwrap_or(0) as u64,
        "connection",
        "connections",
    )
}

fn users(results: &Results) -> String {
    format::plural(results.users as u64, "user", "users")
}
