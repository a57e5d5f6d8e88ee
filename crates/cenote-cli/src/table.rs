//! The tables: what is in them, for the terminal and for the report, and how the terminal shows them.

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use crate::format;
use crate::results::{Percentiles, Results, Run, error_kinds};

/// A table's cells. The first column names the rows; the others are figures.
pub struct Grid {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

type Column = (&'static str, fn(&Run) -> String);
type Figure = (&'static str, fn(&Percentiles) -> f64);

const FIGURES: [Figure; 5] = [
    ("p50", |p| p.p50),
    ("p90", |p| p.p90),
    ("p99", |p| p.p99),
    ("p99.9", |p| p.p99_9),
    ("max", |p| p.max),
];

const SWEEP: [Column; 7] = [
    ("pool size", |run| {
        run.pool_size
            .map_or("-".into(), |size| format::count(size as u64))
    }),
    ("requests/s", |run| format::amount(run.requests_per_s)),
    ("wait p50", |run| figure(run.wait_us, |p| p.p50)),
    ("wait p99", |run| figure(run.wait_us, |p| p.p99)),
    ("total p99", |run| figure(run.total_us, |p| p.p99)),
    ("opened", |run| format::count(run.connections_opened)),
    ("errors", |run| format::count(run.failed())),
];

/// The runs side by side, one figure a row.
pub fn comparison(results: &Results) -> Grid {
    let runs = results.compared();
    let mut rows = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> String| {
        rows.push(
            std::iter::once(name.to_owned())
                .chain(runs.iter().map(|run| cell(run)))
                .collect(),
        );
    };
    row("requests/s", &|run| format::amount(run.requests_per_s));
    row("requests", &|run| format::count(run.requests));
    for (name, pick) in FIGURES {
        row(&format!("wait   {name}"), &|run| figure(run.wait_us, pick));
    }
    for (name, pick) in FIGURES {
        row(&format!("total  {name}"), &|run| figure(run.total_us, pick));
    }
    row("connections opened", &|run| {
        format::count(run.connections_opened)
    });
    row("errors", &|run| format::count(run.failed()));
    for error in error_kinds(&runs) {
        row(&format!("  {}", error.kind), &|run| {
            format::count(run.error_count(&error.kind))
        });
    }
    if runs.iter().any(|run| run.unfinished > 0) {
        row("unfinished at the end", &|run| {
            format::count(run.unfinished as u64)
        });
    }
    let header = std::iter::once(String::new())
        .chain(runs.iter().map(|run| run.full_name()))
        .collect();
    Grid { header, rows }
}

/// One row for each pool size.
pub fn sweep(results: &Results) -> Grid {
    let mut columns = SWEEP.to_vec();
    if results.pools().any(|run| run.unfinished > 0) {
        columns.push(("unfinished", |run| format::count(run.unfinished as u64)));
    }
    Grid {
        header: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
        rows: results
            .pools()
            .map(|run| columns.iter().map(|(_, cell)| cell(run)).collect())
            .collect(),
    }
}

/// An example message of each kind of error, a line each.
pub fn examples(results: &Results) -> Vec<String> {
    let all: Vec<&Run> = results.runs.iter().collect();
    error_kinds(&all)
        .iter()
        .map(|error| format!("{}, for example: {}", error.kind, error.example))
        .collect()
}

impl Grid {
    /// For the terminal.
    pub fn draw(self) -> String {
        let mut table = Table::new();
        table.load_style(
            TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')),
        );
        table.set_header(self.header);
        table.add_rows(self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if let Some(names) = table.column_mut(0) {
            names.set_padding((0, 1));
        }
        table.trim_fmt()
    }
}

fn figure(percentiles: Option<Percentiles>, pick: impl Fn(&Percentiles) -> f64) -> String {
    percentiles.map_or("-".into(), |percentiles| {
        format::seconds(pick(&percentiles) / 1e6)
    })
}
