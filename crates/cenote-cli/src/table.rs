//! The tables: what is in them, for the terminal and for the report, and how the terminal shows them.

mod endpoints;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

pub use self::endpoints::{chaos, endpoints, heading, last_errors};
use crate::format;
use crate::results::{Percentiles, Results, Run, error_kinds};

/// A table's cells. The first column names the rows; the others are figures.
pub struct Grid {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    runs: Runs,
}

/// Where a table has its runs.
#[derive(Clone, Copy)]
enum Runs {
    InColumns,
    InRows,
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
    Grid {
        header,
        rows,
        runs: Runs::InColumns,
    }
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
        runs: Runs::InRows,
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
    /// For the terminal. Where `width` is too narrow for it, each run has a table of its own.
    pub fn draw(&self, width: Option<usize>) -> String {
        let drawn = self.table().trim_fmt();
        let fits = |width| drawn.lines().all(|line| line.chars().count() <= width);
        let Some(width) = width.filter(|width| !fits(*width)) else {
            return drawn;
        };
        let blocks: Vec<Self> = match self.runs {
            Runs::InColumns => (1..self.header.len()).map(|n| self.column(n)).collect(),
            Runs::InRows => self.rows.iter().map(|row| self.row(row)).collect(),
        };
        let narrow = |block: &Self| {
            let mut table = block.table();
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width.try_into().unwrap_or(u16::MAX));
            table.trim_fmt()
        };
        let blocks: Vec<String> = blocks.iter().map(narrow).collect();
        blocks.join("\n\n")
    }

    /// One column beside the names.
    fn column(&self, column: usize) -> Self {
        let row = |row: &Vec<String>| vec![row[0].clone(), row[column].clone()];
        Self {
            header: vec![self.header[column].clone(), String::new()],
            rows: self.rows.iter().map(row).collect(),
            runs: Runs::InColumns,
        }
    }

    /// One row, upright beside the header.
    fn row(&self, row: &[String]) -> Self {
        let cells = self.header.iter().zip(row);
        Self {
            header: vec![format!("{} {}", self.header[0], row[0]), String::new()],
            rows: cells
                .skip(1)
                .map(|(name, cell)| vec![name.clone(), cell.clone()])
                .collect(),
            runs: Runs::InColumns,
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(
            TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')),
        );
        table.set_header(&self.header);
        table.add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if let Some(names) = table.column_mut(0) {
            names.set_padding((0, 1));
        }
        table
    }
}

fn figure(percentiles: Option<Percentiles>, pick: impl Fn(&Percentiles) -> f64) -> String {
    percentiles.map_or("-".into(), |percentiles| {
        format::seconds(pick(&percentiles) / 1e6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(runs: Runs) -> Grid {
        let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        Grid {
            header: cells(["size", "exclusive pool of 10", "shared pool of 1"]),
            rows: vec![
                cells(["8", "1,000", "2,000"]),
                cells(["  request: refused by the server (WRONGTYPE)", "3", "4"]),
            ],
            runs,
        }
    }

    #[test]
    fn a_table_that_fits_is_one_table() {
        let grid = grid(Runs::InColumns);
        assert_eq!(grid.draw(None), grid.draw(Some(100)));
        assert!(!grid.draw(Some(100)).contains("\n\n"));
    }

    #[test]
    fn a_table_that_does_not_fit_is_one_for_each_run() {
        for width in [30, 50, 70] {
            for runs in [Runs::InColumns, Runs::InRows] {
                let drawn = grid(runs).draw(Some(width));
                assert_eq!(drawn.matches("\n\n").count(), 1, "{drawn}");
                let longest = drawn.lines().map(|line| line.chars().count()).max();
                assert!(longest <= Some(width), "{drawn}");
            }
        }
    }
}
