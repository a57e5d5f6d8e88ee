//! One sentence that says what the pool was worth, from what was measured.

mod notes;

use std::fmt;

use serde::{Serialize, Serializer};

pub use self::notes::notes;
use crate::args::Mode;
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

    /// Goes on with what sharing gave, which is another question than whether to have a pool.
    fn beside(mut self, shared: &Run) -> Self {
        let (connections, rate) = (connections(shared), format::amount(shared.requests_per_s));
        let sharing = match shared.total_us {
            None => format!("{connections} gave no answer in time"),
            Some(total) => format!(
                "{connections} gave {rate} requests/s, 99 % of the answers within {}",
                format::seconds(total.p99 / 1e6)
            ),
        };
        let failed = match shared.failed() {
            0 => String::new(),
            failed => format!(", and {} failed", format::count(failed)),
        };
        let before = self.reason.take().map(|reason| reason + "; ");
        self.because(before.unwrap_or_default() + &sharing + &failed)
    }

    /// The sentence for `results`.
    pub fn of(results: &Results) -> Self {
        let exclusive = results.best_pool();
        let verdict = match (results.no_pool(), exclusive.or(results.shared())) {
            (Some(without), Some(with)) => compare(results, without, with),
            (None, Some(with)) => pool_alone(results, with),
            (Some(_), None) => {
                Self::headline("Only \"no pool\" was measured: there is nothing to compare it with")
            }
            (None, None) => Self::headline("Nothing was measured"),
        };
        match (exclusive, results.shared()) {
            (Some(_), Some(shared)) => verdict.beside(shared),
            _ => verdict,
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
        return Verdict::headline(
            "No request was answered in time: there is nothing to say about the pool",
        );
    }
    let (connections, rate) = (connections(with), format::amount(with.requests_per_s));
    let users = users(results);
    let failed = match with.failed() {
        0 => String::new(),
        failed => format!(", and {} failed", format::count(failed)),
    };
    if !results.is_sweep() {
        return Verdict::headline(format!(
            "{connections} gave {users} {rate} requests/s{failed}"
        ))
        .because("without a run of \"no pool\" there is nothing to compare that with".into());
    }
    if results.best_is_largest() {
        return Verdict::headline(format!(
            "{connections} serve {users} best of the sizes tried"
        ))
        .because(format!(
            "{rate} requests/s{failed}; a larger pool may give more"
        ));
    }
    Verdict::headline(format!("{connections} are enough for {users}")).because(format!(
        "{rate} requests/s{failed}, and no other size that was tried gave noticeably more"
    ))
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
                "No request was answered in time, with a pool or without: there is nothing to compare",
            );
        }
        (0, _) => {
            return Verdict::headline("The pool was worth everything").because(format!(
                "without it no request was answered in time, and with {connections} {users} got {more} requests/s"
            ));
        }
        (_, 0) if with.connections_opened == 0 => {
            return Verdict::headline("The pool could not be tried").because(format!(
                "no connection could be opened for it any more, after {users} got {less} requests/s without"
            ));
        }
        (_, 0) => {
            return Verdict::headline("The pool was worth nothing").because(format!(
                "{users} got no answer in time from {connections}, and {less} requests/s without"
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
    if ratio < *SAME.start() && with.mode == Mode::Shared {
        reason += "; --shared-connections takes more than one";
    } else if ratio < *SAME.start() && !results.is_sweep() {
        reason += "; --sweep finds a better size";
    } else if results.best_is_largest() {
        reason += "; a size larger than those tried may give more";
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
    let (one, many) = match run.mode {
        Mode::Shared => ("shared connection", "shared connections"),
        Mode::NoPool | Mode::Exclusive => ("connection", "connections"),
    };
    let connections = format::plural(run.pool_size.unwrap_or(0) as u64, one, many);
    match run.endpoints {
        Some(_) => format!("{connections} to each server"),
        None => connections,
    }
}

fn users(results: &Results) -> String {
    format::plural(results.users as u64, "user", "users")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command, Setup};
    use crate::measure::{ErrorCount, Latencies, Measured};
    use crate::shown::Shown;

    /// Runs of a second with so many requests.
    fn said(runs: &[(Setup, u64)]) -> String {
        Verdict::of(&results(runs)).to_string()
    }

    fn results(runs: &[(Setup, u64)]) -> Results {
        let Command::Stress(options) = Cli::parse_from(["cenote", "stress"]).command;
        let mut results = Results::new(
            &options.plan().expect("the defaults work"),
            "somewhere".into(),
        );
        results.runs = runs
            .iter()
            .map(|(setup, requests)| run(*setup, *requests))
            .collect();
        results
    }

    fn run(setup: Setup, requests: u64) -> Run {
        let mut latencies = Latencies::new();
        latencies
            .total
            .record_n(5_000_000, requests)
            .expect("in range");
        let errors = match setup {
            Setup::NoPool => vec![ErrorCount {
                kind: "connect: refused".into(),
                count: 7,
                example: String::new(),
            }],
            Setup::Exclusive { .. } | Setup::Shared { .. } => Vec::new(),
        };
        Run::new(
            setup,
            Measured {
                elapsed: Duration::from_secs(1),
                requests,
                latencies,
                errors,
                opened: setup.pool_size().map_or(requests, |size| size as u64),
                unfinished: 0,
                samples: Vec::new(),
                endpoints: None,
            },
            &Shown::default(),
        )
    }

    fn pool(pool_size: usize) -> Setup {
        Setup::Exclusive { pool_size }
    }

    #[test]
    fn a_pool_that_helps_is_worth_a_multiple_of_the_requests() {
        assert_eq!(
            said(&[(Setup::NoPool, 1000), (pool(10), 38_000)]),
            "The pool was worth 38 times the requests: with 10 connections 1,000 users got 38,000 \
             requests/s instead of 1,000, 99 % of the answers within 5 ms instead of 5 ms, for 10 \
             connections opened instead of 1,000, and 0 failed instead of 7."
        );
    }

    #[test]
    fn what_sharing_gave_is_said_beside_the_pool() {
        let shared = Setup::Shared { connections: 1 };
        let said = said(&[(Setup::NoPool, 1000), (pool(10), 38_000), (shared, 90_000)]);
        assert!(
            said.starts_with("The pool was worth 38 times the requests: "),
            "{said}"
        );
        assert!(
            said.ends_with(
                "; 1 shared connection gave 90,000 requests/s, 99 % of the answers within 5 ms."
            ),
            "{said}"
        );
    }

    #[test]
    fn sharing_alone_is_compared_with_no_pool() {
        let shared = Setup::Shared { connections: 2 };
        let said = said(&[(Setup::NoPool, 1000), (shared, 90_000)]);
        assert!(
            said.starts_with(
                "The pool was worth 90 times the requests: with 2 shared connections 1,000 users got"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_pool_that_changes_nothing_is_not_praised() {
        let said = said(&[(Setup::NoPool, 1000), (pool(10), 1030)]);
        assert!(said.starts_with("The pool was worth little: "), "{said}");
    }

    #[test]
    fn a_pool_that_costs_requests_was_too_small() {
        let said = said(&[(Setup::NoPool, 1000), (pool(1), 300)]);
        assert!(
            said.starts_with("The pool was too small to be worth it: "),
            "{said}"
        );
        assert!(said.ends_with("--sweep finds a better size."), "{said}");
    }

    #[test]
    fn a_server_that_was_gone_says_nothing_about_the_pool() {
        let mut results = results(&[(Setup::NoPool, 1000), (pool(10), 0)]);
        results.runs[1].connections_opened = 0;
        let said = Verdict::of(&results).to_string();
        assert!(said.starts_with("The pool could not be tried: "), "{said}");
    }

    #[test]
    fn what_failed_is_said_of_a_pool_alone_too() {
        let mut results = results(&[(pool(10), 1000)]);
        results.runs[0].errors = run(Setup::NoPool, 1).errors;
        let said = Verdict::of(&results).to_string();
        assert!(said.contains("1,000 requests/s, and 7 failed: "), "{said}");
    }

    #[test]
    fn a_sweep_that_was_best_at_its_largest_size_says_that_more_may_be_better() {
        let alone = said(&[(pool(4), 500), (pool(8), 1000)]);
        assert!(alone.ends_with("; a larger pool may give more."), "{alone}");
        let compared = said(&[(Setup::NoPool, 100), (pool(4), 500), (pool(8), 1000)]);
        assert!(
            compared.ends_with("; a size larger than those tried may give more."),
            "{compared}"
        );
    }

    #[test]
    fn where_nothing_worked_without_the_pool_it_was_worth_everything() {
        let said = said(&[(Setup::NoPool, 0), (pool(10), 300)]);
        assert!(
            said.starts_with("The pool was worth everything: "),
            "{said}"
        );
    }

    #[test]
    fn one_mode_alone_is_compared_with_nothing() {
        let alone = said(&[(Setup::NoPool, 1000)]);
        assert!(alone.contains("nothing to compare it with"), "{alone}");
        let alone = said(&[(pool(10), 1000)]);
        assert!(alone.contains("nothing to compare that with"), "{alone}");
    }

    #[test]
    fn a_sweep_names_the_smallest_size_that_is_as_good_as_the_best() {
        let said = said(&[(pool(1), 300), (pool(8), 990), (pool(16), 1000)]);
        assert!(
            said.starts_with("8 connections are enough for 1,000 users: 990"),
            "{said}"
        );
    }
}
