//! What is told of the cells that were played: a table for people, JSON for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::bound::Bound;
use crate::cell::{Applies, Cell, Database, Kind};
use crate::outcome::Outcome;
use crate::situation::Situation;
use crate::state::State;

const ROW: usize = 16;
const COLUMN: usize = 15;

/// Rows of situations by columns of states for each database and kind that was played, in seconds, worst of all
/// repetitions; and below, which do not apply and why.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let mut reasons: Vec<&str> = Vec::new();
    for database in Database::ALL {
        for kind in Kind::ALL {
            let of_these = |cell: &Cell| cell.database == database && cell.kind == kind;
            if !outcomes.iter().any(|outcome| of_these(&outcome.cell)) {
                continue;
            }
            line(
                &mut text,
                format_args!("{:<ROW$}", format!("{} {}", database.name(), kind.name())),
                State::ALL.map(|state| state.name().to_owned()),
                "bound",
            );
            for situation in Situation::ALL {
                let cells = State::ALL.map(|state| {
                    let mut shown = String::new();
                    for outcome in outcomes {
                        let cell = outcome.cell;
                        if of_these(&cell) && cell.situation == situation && cell.state == state {
                            shown = worse(shown, shown_of(outcome, &mut reasons));
                        }
                    }
                    shown
                });
                if cells.iter().any(|shown| !shown.is_empty()) {
                    line(
                        &mut text,
                        format_args!("{:<ROW$}", situation.name()),
                        cells,
                        &bound(situation.bound()),
                    );
                }
            }
            text.push('\n');
        }
    }
    for (number, reason) in (1..).zip(reasons) {
        text.push_str(&format!("n/a {number}: {reason}\n"));
    }
    text
}

fn line(text: &mut String, first: std::fmt::Arguments<'_>, cells: [String; 6], last: &str) {
    write!(text, "{first}").expect("a String takes all that is written");
    for cell in cells {
        write!(text, "{cell:>COLUMN$}").expect("a String takes all that is written");
    }
    writeln!(text, "   {last}").expect("a String takes all that is written");
}

fn bound(bound: Bound) -> String {
    let seconds = bound.limit().as_secs();
    match bound {
        Bound::OfBegin(_) => format!("{seconds} s of its begin"),
        Bound::OfEnd(_) => format!("{seconds} s of its end"),
        Bound::Interruption(_) => format!("{seconds} s a call of others"),
    }
}

fn shown_of(outcome: &Outcome, reasons: &mut Vec<&'static str>) -> String {
    if let Some(why) = outcome.not_applicable
        && outcome.is_sound()
    {
        let number = reasons.iter().position(|reason| *reason == why);
        let number = number.unwrap_or_else(|| {
            reasons.push(why);
            reasons.len() - 1
        });
        return format!("n/a {}", number + 1);
    }
    match outcome.measured {
        Some(measured) if outcome.holds() => format!("{:.2}", measured.as_secs_f64()),
        Some(measured) => format!("{:.2} !", measured.as_secs_f64()),
        None => "never !".into(),
    }
}

/// Of two shown for one cell, the one to be told.
fn worse(one: String, other: String) -> String {
    let rank = |shown: &str| {
        let seconds = shown.trim_end_matches(" !").parse::<f64>();
        (shown.ends_with('!'), seconds.unwrap_or(f64::MAX))
    };
    if one.is_empty() || (!other.is_empty() && rank(&other) > rank(&one)) {
        other
    } else {
        one
    }
}

/// The line that says it all: `288 cells: 252 passed, 36 not applicable, 0 failed`. A cell that was played more than
/// once counts once, and has passed if it always has.
#[must_use]
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut cells: Vec<Cell> = outcomes.iter().map(|outcome| outcome.cell).collect();
    cells.sort_unstable();
    cells.dedup();
    let failed = |cell: &Cell| {
        outcomes
            .iter()
            .any(|outcome| outcome.cell == *cell && !outcome.holds())
    };
    let (bad, good): (Vec<Cell>, Vec<Cell>) = cells.iter().copied().partition(failed);
    let applicable = |cell: &&Cell| matches!(cell.applies(), Applies::Within(_));
    let passed = good.iter().filter(applicable).count();
    format!(
        "{} cells: {passed} passed, {} not applicable, {} failed",
        cells.len(),
        good.len() - passed,
        bad.len()
    )
}

/// What is wrong, cell by cell, with how to see it again.
#[must_use]
pub fn complaints(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        for complaint in outcome.complaints() {
            text.push_str(&format!("{}: {complaint}\n", outcome.cell));
        }
    }
    text
}

/// All of it.
#[must_use]
pub fn json(outcomes: &[Outcome]) -> Value {
    let cells = outcomes.iter().map(|outcome| {
        json!({
            "database": outcome.cell.database.name(),
            "kind": outcome.cell.kind.name(),
            "situation": outcome.cell.situation.name(),
            "state": outcome.cell.state.name(),
            "not_applicable": outcome.not_applicable,
            "bound": outcome.not_applicable.is_none().then(|| outcome.bound().to_string()),
            "bound_s": outcome.not_applicable.is_none().then(|| outcome.bound().limit().as_secs_f64()),
            "measured_s": outcome.measured.map(|measured| measured.as_secs_f64()),
            "holds": outcome.holds(),
            "answered": outcome.answered,
            "failed_calls": outcome.failed,
            "most_frequent_failure": outcome.failure,
            "user_in_the_state_was_told": outcome.told,
            "problems": outcome.complaints(),
        })
    });
    json!({ "summary": summary(outcomes), "cells": cells.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn outcome(name: &str, seconds: u64) -> Outcome {
        let cell = Cell::all().into_iter().find(|cell| cell.matches(name));
        let cell = cell.expect("a cell of that name");
        let mut outcome = Outcome::new(cell, cell.situation.bound());
        outcome.measures(Duration::from_secs(seconds));
        outcome
    }

    #[test]
    fn a_cell_that_was_late_once_has_failed() {
        let name = "redis/shared/silent/idle";
        let outcomes = [outcome(name, 2), outcome(name, 30), outcome(name, 3)];
        assert_eq!(
            summary(&outcomes),
            "1 cells: 0 passed, 0 not applicable, 1 failed"
        );
        assert!(table(&outcomes).contains("30.00 !"), "{}", table(&outcomes));
        assert_eq!(
            complaints(&outcomes),
            "redis/shared/silent/idle: 30.0 s, and the bound is 10 s from its beginning\n"
        );
    }

    #[test]
    fn what_does_not_apply_is_told_with_its_reason() {
        let cell = Cell::all()
            .into_iter()
            .find(|cell| cell.matches("postgres/shared/reset/listening"));
        let cell = cell.expect("a cell of that name");
        let Applies::Not(why) = cell.applies() else {
            panic!("it applies");
        };
        let outcomes = [Outcome::not_applicable(cell, why, None)];
        assert_eq!(
            summary(&outcomes),
            "1 cells: 0 passed, 1 not applicable, 0 failed"
        );
        assert!(table(&outcomes).contains(why));
    }
}
