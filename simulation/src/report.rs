//! What is told of the scenarios that were played: the table of the terminal, and JSON.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use serde_json::{Value, json};

use crate::figure::{Figure, Must};
use crate::format;
use crate::scenario::{Outcome, Scenario};

/// A scenario and what came of it.
pub struct Played {
    pub scenario: Scenario,
    pub outcome: Outcome,
}

pub const HEADER: [&str; 5] = ["figure", "published", "simulated", "must be", "verdict"];

/// A row below [`HEADER`].
pub fn cells(figure: &Figure) -> [String; 5] {
    let write = |value| figure.unit.write(value);
    [
        figure.what.clone(),
        figure.published.map_or_else(String::new, write),
        write(figure.simulated),
        figure.bound(),
        figure.verdict().into(),
    ]
}

/// The figures of one scenario, under its name.
pub fn table(Played { scenario, outcome }: &Played) -> String {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')));
    table.set_header(HEADER);
    table.add_rows(outcome.figures.iter().map(cells));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let Scenario {
        name,
        about,
        source,
        ..
    } = scenario;
    format!("{name}: {about}\n{source}\n\n{}\n", table.trim_fmt())
}

/// How many figures hold.
pub fn summary(played: &[Played]) -> String {
    let judged = || {
        played
            .iter()
            .flat_map(|played| &played.outcome.figures)
            .filter(|figure| figure.must != Must::BeShown)
    };
    let missed = judged().filter(|figure| !figure.holds()).count();
    let all = format::plural(judged().count() as u64, "figure", "figures");
    match missed {
        0 => format!("{all}, all of which hold."),
        missed => format!("{all}, of which {missed} missed what they must be."),
    }
}

pub fn json(seed: u64, played: &[Played]) -> Value {
    let figure = |figure: &Figure| {
        json!({
            "figure": figure.what,
            "unit": format!("{:?}", figure.unit).to_lowercase(),
            "published": figure.published,
            "simulated": figure.simulated,
            "must_be": figure.bound(),
            "holds": figure.holds(),
        })
    };
    let scenario = |played: &Played| {
        let figures: Vec<Value> = played.outcome.figures.iter().map(figure).collect();
        json!({ "scenario": played.scenario.name, "figures": figures })
    };
    let scenarios: Vec<Value> = played.iter().map(scenario).collect();
    json!({ "seed": seed, "scenarios": scenarios })
}
