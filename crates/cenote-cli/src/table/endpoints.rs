//! The tables of several servers: one row a server, and one row for each thing that befell them.

use super::{Grid, Runs, figure};
use crate::chaos::Felt;
use crate::format;
use crate::results::{EndpointResult, Results, Run, SetResult, StatusResult};

type Column = (&'static str, fn(&EndpointResult) -> String);

const BY_USERS: [Column; 5] = [
    ("server", |endpoint| endpoint.name.clone()),
    ("share", |endpoint| percent(endpoint.share)),
    ("request p50", |endpoint| {
        figure(endpoint.request_us, |p| p.p50)
    }),
    ("request p99", |endpoint| {
        figure(endpoint.request_us, |p| p.p99)
    }),
    ("errors", |endpoint| format::count(endpoint.failed)),
];

/// What only a pool says.
const BY_POOL: [Column; 4] = [
    ("due share", |endpoint| {
        status(endpoint, |status| percent(status.due_share))
    }),
    ("in flight", |endpoint| {
        status(endpoint, |status| format::count(status.in_flight as u64))
    }),
    ("connections", |endpoint| {
        status(endpoint, |status| format::count(status.connections as u64))
    }),
    ("condition", |endpoint| {
        status(endpoint, |status| status.condition.clone())
    }),
];

fn status(endpoint: &EndpointResult, cell: fn(&StatusResult) -> String) -> String {
    endpoint.status.as_ref().map_or("-".into(), cell)
}

/// Where there are more servers, those with the fewest and the most requests are shown.
const ROWS: usize = 20;

/// The servers of one run, a row each.
pub fn endpoints(set: &SetResult) -> Grid {
    let mut columns = BY_USERS.to_vec();
    if set.discovery.is_some() {
        columns.extend(BY_POOL);
    }
    let row = |endpoint: &&EndpointResult| columns.iter().map(|(_, cell)| cell(endpoint)).collect();
    Grid {
        header: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        rows: set.extremes(ROWS).iter().map(row).collect(),
        runs: Runs::InRows,
    }
}

/// What the table of servers is of, what it leaves out, and what is known of the whole set.
pub fn heading(run: &Run, set: &SetResult) -> String {
    let mut heading = format!("Servers, {}", run.full_name());
    if let Some(balance) = set.balance {
        heading += &format!(", {balance}");
    }
    if let Some(discovery) = &set.discovery {
        heading += &format!(": {}", discovery.text);
    }
    match set.endpoints.len().saturating_sub(ROWS) {
        0 => heading,
        others => format!(
            "{heading}; {} servers between those with the fewest and the most requests are left out",
            format::count(others as u64)
        ),
    }
}

/// The last error of each server in the table, a line each.
pub fn last_errors(set: &SetResult) -> Vec<String> {
    let shown = set.extremes(ROWS);
    let errors = shown.iter().filter_map(|endpoint| {
        let error = endpoint.last_error.as_ref()?;
        Some(format!("{}, last error: {error}", endpoint.name))
    });
    errors.collect()
}

/// What befell the servers, and how each run felt it.
pub fn chaos(results: &Results) -> Grid {
    let runs = results.compared();
    let steps = runs
        .iter()
        .map(|run| &run.chaos)
        .max_by_key(|steps| steps.len());
    let rows = steps
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(index, step)| {
            let name = format!(
                "{} {} {}",
                format::seconds(step.at_s),
                step.action,
                step.server
            );
            let felt = runs
                .iter()
                .map(|run| run.chaos.get(index).map_or("-".into(), cost));
            std::iter::once(name).chain(felt).collect()
        });
    let header = std::iter::once(String::new());
    Grid {
        header: header
            .chain(runs.iter().map(|run| run.full_name()))
            .collect(),
        rows: rows.collect(),
        runs: Runs::InColumns,
    }
}

/// How a step was felt.
fn cost(step: &Felt) -> String {
    let whole = match step.whole_after_s {
        Some(0.0) => return "not felt".into(),
        Some(after) => format!("whole after {}", format::seconds(after)),
        None => "not whole before the next".into(),
    };
    format!("{} failed, {whole}", format::count(step.failed))
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
