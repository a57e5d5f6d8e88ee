//! Prints results for people: a table per scenario, then what the thresholds ask and what was reached.

use std::fmt::Write;

use crate::rounds::{Results, Row, Scenario};
use crate::thresholds::Verdict;

/// The tables of all scenarios, subjects down and metrics across.
pub fn render(scenarios: &[Scenario], results: &Results) -> String {
    let mut out = String::new();
    for scenario in scenarios {
        let rows: Vec<&Row> = results
            .rows
            .iter()
            .filter(|row| row.scenario == scenario.name)
            .collect();
        let mut metrics: Vec<&str> = Vec::new();
        let mut subjects: Vec<&str> = Vec::new();
        for row in &rows {
            if !metrics.contains(&row.metric) {
                metrics.push(row.metric);
            }
            if !subjects.contains(&row.subject) {
                subjects.push(row.subject);
            }
        }
        let mut cells = vec![header(&metrics)];
        for subject in subjects {
            let mut line = vec![subject.to_owned()];
            line.extend(metrics.iter().map(|metric| {
                let value = results.value(scenario.name, subject, metric);
                value.map_or_else(|| "-".to_owned(), |value| figure(metric, value))
            }));
            cells.push(line);
        }
        let _ = writeln!(out, "{}: {}", scenario.name, scenario.about);
        out.push_str(&aligned(&cells));
        out.push('\n');
    }
    out
}

/// What the thresholds ask, what was reached, and which cases could not be measured.
pub fn render_verdicts(verdicts: &[Verdict], results: &Results) -> String {
    let mut out = String::new();
    if !verdicts.is_empty() {
        let mut cells = vec![
            ["scenario", "must reach", "bound", "reached", ""]
                .map(str::to_owned)
                .to_vec(),
        ];
        cells.extend(verdicts.iter().map(|verdict| {
            vec![
                verdict.scenario.to_owned(),
                verdict.asks.to_owned(),
                verdict.bound.to_string(),
                format!("{:.3}", verdict.reached),
                if verdict.passes() { "pass" } else { "MISS" }.to_owned(),
            ]
        }));
        out.push_str(&left_aligned(&cells, 2));
    }
    for case in &results.unmeasured {
        let _ = writeln!(
            out,
            "not measured: {} in {}: {}",
            case.subject, case.scenario, case.failure
        );
    }
    out
}

/// How the run went: rounds, time, and whether the machine was its own.
pub fn render_circumstances(results: &Results) -> String {
    let mut out = format!(
        "medians of {} rounds, {:.0} s in all\n",
        results.rounds,
        results.took.as_secs_f64()
    );
    let (disturbed, all) = results.disturbed;
    if disturbed > 0 {
        let _ = writeln!(
            out,
            "others were busy in every round of {disturbed} of {all} cases: repeat on a quiet machine"
        );
    }
    out
}

fn header(metrics: &[&str]) -> Vec<String> {
    let mut line = vec![String::new()];
    line.extend(metrics.iter().map(|&metric| metric.to_owned()));
    line
}

/// Fractions with three decimals, small figures with one, large ones whole and in groups of three digits.
fn figure(metric: &str, value: f64) -> String {
    if ["fairness", "allocations_per_call"].contains(&metric) {
        format!("{value:.3}")
    } else if value.abs() < 1_000.0 && value.fract() != 0.0 {
        format!("{value:.1}")
    } else {
        grouped(value.round() as i64)
    }
}

fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut out = String::new();
    if value < 0 {
        out.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The first column to the left, figures to the right.
fn aligned(cells: &[Vec<String>]) -> String {
    left_aligned(cells, 1)
}

/// The first `left` columns to the left, the others to the right.
fn left_aligned(cells: &[Vec<String>], left: usize) -> String {
    let columns = cells.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cell = |line: &Vec<String>| line.get(column).map_or(0, |cell| cell.chars().count());
        cells.iter().map(cell).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in cells {
        let mut text = String::new();
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let _ = if column < left {
                write!(text, "  {cell:<width$}")
            } else {
                write!(text, "  {cell:>width$}")
            };
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_figures_are_grouped_by_thousands() {
        assert_eq!(figure("ops_per_s", 3_912_345.4), "3,912,345");
    }

    #[test]
    fn small_figures_keep_one_decimal() {
        assert_eq!(figure("ns", 11.26), "11.3");
    }

    #[test]
    fn fairness_keeps_three_decimals() {
        assert_eq!(figure("fairness", 0.9876), "0.988");
    }
}
