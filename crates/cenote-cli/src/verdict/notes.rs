//! What is worth saying of single servers of a run: which were out, which got far from their share, and what to
//! do about it.

use crate::args::Rule;
use crate::format;
use crate::measure::Condition;
use crate::results::{EndpointResult, Run, SetResult};

/// Servers of which the same is said are named up to so many.
const NAMED: usize = 3;

/// Shares by chance differ by less where requests are as many as these.
const ENOUGH_REQUESTS: f64 = 200.0;
/// Within which part and multiple of the share that is due a share is near it.
const USUAL: std::ops::RangeInclusive<f64> = 0.6..=1.6;
/// Answers that take so many times as long as usual explain a small share.
const SLOW: f64 = 1.5;

/// The sentences for `run`; none where there is one server.
pub fn notes(run: &Run) -> Vec<String> {
    let Some(set) = &run.endpoints else {
        return Vec::new();
    };
    [panic(run, set), ejected(set), down(set), far(set)]
        .into_iter()
        .flatten()
        .collect()
}

fn panic(run: &Run, set: &SetResult) -> Option<String> {
    let times = set.panics_s.len().div_ceil(2);
    if times == 0 {
        return None;
    }
    let spans = set.panics_s.chunks(2);
    let lasted: f64 = spans
        .map(|span| span.get(1).unwrap_or(&run.elapsed_s) - span[0])
        .sum();
    Some(format!(
        "Panic mode came {}, for {} in all: more than half of the servers that could be reached failed their \
         requests, and all were used. What they have in common is at fault, or --request-timeout is too short for \
         this load.",
        times_of(times),
        format::seconds(lasted)
    ))
}

fn ejected(set: &SetResult) -> Option<String> {
    let times = |endpoint: &EndpointResult| endpoint.history.times(Condition::Ejected);
    let those = names(set, |endpoint| times(endpoint) > 0)?;
    let all = set.endpoints.iter().map(times).sum();
    Some(format!(
        "Ejected, {} in all: {those}. Requests failed there one after the other, so others got them; the last \
         errors say why.",
        times_of(all)
    ))
}

fn down(set: &SetResult) -> Option<String> {
    let those = names(set, |endpoint| endpoint.history.times(Condition::Down) > 0)?;
    Some(format!(
        "Down for a while: {those}. No connection could be opened there, and the others served meanwhile."
    ))
}

/// Of those that were up all the time, for the others' shares need no explanation.
fn far(set: &SetResult) -> Option<String> {
    let is_steady = |endpoint: &&EndpointResult| {
        let conditions = &endpoint.history.conditions;
        conditions
            .iter()
            .all(|since| since.condition == Condition::Up)
    };
    let all: u64 = set.endpoints.iter().map(|endpoint| endpoint.requests).sum();
    let is_whole = set.endpoints.iter().all(|endpoint| is_steady(&endpoint));
    let is_far = |endpoint: &EndpointResult| {
        let due = endpoint
            .status
            .as_ref()
            .map_or(0.0, |status| status.due_share);
        let ratio = endpoint.share / due.max(f64::EPSILON);
        due * all as f64 >= ENOUGH_REQUESTS && !USUAL.contains(&ratio)
    };
    if !is_whole {
        return None;
    }
    let (few, many): (Vec<_>, Vec<_>) = set
        .endpoints
        .iter()
        .filter(|endpoint| is_far(endpoint))
        .partition(|endpoint| {
            endpoint
                .status
                .as_ref()
                .is_some_and(|status| endpoint.share < status.due_share)
        });
    let Some(least) = few.iter().min_by_key(|endpoint| endpoint.requests) else {
        let most = many.iter().max_by_key(|endpoint| endpoint.requests)?;
        return Some(format!(
            "{} got {} of the requests, and {} was its share: it answers sooner than the others.",
            most.name,
            percent(most.share),
            percent(most.status.as_ref()?.due_share)
        ));
    };
    let (p50, usual) = (least.request_us.map(|p| p.p50)?, usual_p50(set)?);
    let why = match p50 > usual * SLOW {
        true => format!(
            "its answers take {} where {} is usual, {}. Mend it, or give it a smaller weight",
            format::seconds(p50 / 1e6),
            format::seconds(usual / 1e6),
            match set.balance {
                Some(Rule::PeakEwma) => "and --balance peak-ewma goes by that",
                _ => "so its connections come back later and fewer requests find one there",
            }
        ),
        false => "it answers as fast as the others. More --users, or a longer --duration, tells whether it stays \
                  so"
            .into(),
    };
    Some(format!(
        "{} got {} of the requests, and {} was its share: {why}.",
        least.name,
        percent(least.share),
        percent(least.status.as_ref()?.due_share)
    ))
}

/// The median of the servers' medians.
fn usual_p50(set: &SetResult) -> Option<f64> {
    let medians = set
        .endpoints
        .iter()
        .filter_map(|endpoint| endpoint.request_us);
    let mut medians: Vec<f64> = medians.map(|p| p.p50).collect();
    medians.sort_by(f64::total_cmp);
    medians.get(medians.len().saturating_sub(1) / 2).copied()
}

/// Of the servers for which that is so, if there are any.
fn names(set: &SetResult, is_so: impl Fn(&EndpointResult) -> bool) -> Option<String> {
    let names: Vec<&str> = set
        .endpoints
        .iter()
        .filter(|endpoint| is_so(endpoint))
        .map(|endpoint| &*endpoint.name)
        .collect();
    match names.len() {
        0 => None,
        few if few <= NAMED => Some(names.join(", ")),
        many => Some(format!(
            "{} and {} others",
            names[..NAMED].join(", "),
            format::count((many - NAMED) as u64)
        )),
    }
}

fn times_of(times: usize) -> String {
    match times {
        1 => "once".into(),
        times => format!("{} times", format::count(times as u64)),
    }
}

fn percent(share: f64) -> String {
    format!("{} %", format::amount(100.0 * share))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::args::Setup;
    use crate::measure::{History, Latencies, Measured, Since};
    use crate::results::{Percentiles, StatusResult};
    use crate::shown::Shown;

    const UP: &[(f64, Condition)] = &[(0.0, Condition::Up)];

    /// Of three servers, with so many requests that took so many milliseconds.
    fn server(
        name: &str,
        requests: u64,
        millis: f64,
        conditions: &[(f64, Condition)],
    ) -> EndpointResult {
        let p50 = millis * 1e3;
        let since = |(at_s, condition): &(f64, Condition)| Since {
            at_s: *at_s,
            condition: *condition,
        };
        EndpointResult {
            name: name.into(),
            requests,
            share: requests as f64 / 3000.0,
            failed: 0,
            request_us: Some(Percentiles {
                mean: p50,
                p50,
                p90: p50,
                p99: p50,
                p99_9: p50,
                max: p50,
            }),
            status: Some(StatusResult {
                condition: String::new(),
                due_share: 1.0 / 3.0,
                latency_us: None,
                in_flight: 0,
                connections: 10,
                opening: 0,
            }),
            errors: Vec::new(),
            last_error: None,
            history: History {
                points: Vec::new(),
                conditions: conditions.iter().map(since).collect(),
            },
        }
    }

    /// What is said of a run of ten seconds.
    fn said(endpoints: [EndpointResult; 3], panics_s: &[f64]) -> Vec<String> {
        said_by(Rule::PowerOfTwo, endpoints, panics_s)
    }

    /// The same, of a pool that chose by this rule.
    fn said_by(rule: Rule, endpoints: [EndpointResult; 3], panics_s: &[f64]) -> Vec<String> {
        let measured = Measured {
            elapsed: Duration::from_secs(10),
            requests: 3000,
            latencies: Latencies::new(),
            errors: Vec::new(),
            opened: 30,
            unfinished: 0,
            samples: Vec::new(),
            endpoints: None,
        };
        let setup = Setup::Exclusive { pool_size: 10 };
        let mut run = Run::new(setup, measured, &Shown::default());
        run.endpoints = Some(SetResult {
            balance: Some(rule),
            discovery: None,
            panics_s: panics_s.to_vec(),
            endpoints: endpoints.into(),
            notes: Vec::new(),
        });
        notes(&run)
    }

    #[test]
    fn of_servers_that_are_alike_nothing_is_said() {
        let even = |name| server(name, 1000, 2.0, UP);
        assert_eq!(said([even("a"), even("b"), even("c")], &[]), [""; 0]);
    }

    #[test]
    fn a_slow_server_far_from_its_share_is_named_with_why() {
        let fast = |name| server(name, 1450, 2.0, UP);
        let said = said([fast("a"), fast("b"), server("c", 100, 50.0, UP)], &[]);
        assert_eq!(
            said,
            [
                "c got 3.33 % of the requests, and 33.3 % was its share: its answers take 50 ms where 2 ms is usual, so its \
              connections come back later and fewer requests find one there. Mend it, or give it a smaller weight."
            ]
        );
    }

    #[test]
    fn where_the_rule_goes_by_time_a_slow_server_is_named_with_that() {
        let fast = |name| server(name, 1450, 2.0, UP);
        let servers = [fast("a"), fast("b"), server("c", 100, 50.0, UP)];
        let said = said_by(Rule::PeakEwma, servers, &[]);
        assert!(
            said[0].contains("where 2 ms is usual, and --balance peak-ewma goes by that."),
            "{said:?}"
        );
    }

    #[test]
    fn a_fast_server_that_got_more_than_its_share_is_named() {
        let few = |name| server(name, 650, 2.0, UP);
        let said = said([few("a"), few("b"), server("c", 1700, 1.0, UP)], &[]);
        assert!(
            said[0].starts_with("c got 56.7 % of the requests"),
            "{said:?}"
        );
    }

    #[test]
    fn ejections_are_counted_and_explain_a_small_share() {
        let ejected = [
            (0.0, Condition::Up),
            (1.0, Condition::Ejected),
            (2.0, Condition::OnTrial),
            (2.1, Condition::Ejected),
            (4.0, Condition::Up),
        ];
        let good = |name| server(name, 1450, 2.0, UP);
        let said = said([good("a"), good("b"), server("c", 100, 2.0, &ejected)], &[]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with("Ejected, 2 times in all: c. "),
            "{said:?}"
        );
    }

    #[test]
    fn panic_mode_is_said_first_and_how_long_it_lasted() {
        let down = [(0.0, Condition::Up), (3.0, Condition::Down)];
        let bad = |name| server(name, 1000, 2.0, &down);
        let said = said([bad("a"), bad("b"), bad("c")], &[1.0, 2.5, 8.0]);
        assert!(
            said[0].starts_with("Panic mode came 2 times, for 3.5 s in all: "),
            "{said:?}"
        );
        assert!(
            said[1].starts_with("Down for a while: a, b, c. "),
            "{said:?}"
        );
    }
}
