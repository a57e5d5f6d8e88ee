//! The report: one page that needs nothing but itself.

mod axes;
mod chart;
mod conditions;
mod endpoint_plots;
mod label;
mod plots;
mod scale;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::chart::{Chart, legend};
use crate::format;
use crate::results::{Percentiles, Results, Run, SetResult, error_kinds};
use crate::table::{self, Grid};

const STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(results: &Results) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // An empty icon: otherwise browsers ask for one.
                link rel="icon" href="data:,";
                title { "cenote stress: " (results.target) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(results))
                main {
                    (tiles(results))
                    @if results.is_sweep() { (sweep(results)) }
                    (rate(results))
                    (latency(results))
                    (states(results))
                    (servers(results))
                    (figures(results))
                }
                (foot(results))
            }
        }
    };
    page.into_string()
}

fn head(results: &Results) -> Markup {
    html! {
        header {
            p.eyebrow { "cenote stress" }
            h1 { (unbroken(&results.verdict.headline)) }
            @if let Some(reason) = &results.verdict.reason { p.verdict { (unbroken(reason)) "." } }
            p.load { (unbroken(&results.load_line())) }
        }
    }
}

/// Keeps numbers and their units on one line.
fn unbroken(text: &str) -> String {
    let mut unbroken = String::with_capacity(text.len());
    for letter in text.chars() {
        let after_digit = unbroken.ends_with(|before: char| before.is_ascii_digit());
        unbroken.push(match letter {
            ' ' if after_digit => '\u{a0}',
            letter => letter,
        });
    }
    unbroken
}

/// The three figures to remember.
fn tiles(results: &Results) -> Markup {
    let p99 = |p: Option<Percentiles>| p.map_or("-".into(), |p| format::seconds(p.p99 / 1e6));
    html! {
        section.tiles {
            (tile("Requests per second", results, |run| format::amount(run.requests_per_s)))
            (tile("99 % of answers within", results, |run| p99(run.total_us)))
            (tile("Connections opened", results, |run| format::count(run.connections_opened)))
        }
    }
}

/// The exclusive pool's figure, or else the shared one's, and the others beside it.
fn tile(name: &str, results: &Results, figure: impl Fn(&Run) -> String) -> Markup {
    let (without, shared) = (results.no_pool(), results.shared());
    let main = results.best_pool().or(shared).or(without);
    html! {
        @if let Some(run) = main {
            div.tile {
                h2 { (name) }
                p.figure { span class=(plots::class(run)) { (figure(run)) } }
                @if let Some(without) = without.filter(|other| other.mode != run.mode) {
                    p.beside { span.no-pool { (figure(without)) } " without a pool" }
                }
                @if let Some(shared) = shared.filter(|other| other.mode != run.mode) {
                    p.beside { span.shared { (figure(shared)) } " with the shared pool" }
                }
            }
        }
    }
}

fn sweep(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Which size?" }
            p.lead { "The same users on pools of different sizes. Past the point where the server is busy, more connections give nothing." }
            div.pair {
                (plot("Requests per second", &plots::sweep_rate(results)))
                (plot("99 % of answers within", &plots::sweep_latency(results)))
            }
            (grid(&table::sweep(results)))
        }
    }
}

fn rate(results: &Results) -> Markup {
    let chart = plots::rate(results);
    html! {
        section {
            h2 { "Rate over time" }
            p.lead {
                "Requests answered each second."
                @if results.compared().len() > 1 { " Each mode ran on its own, and is drawn from its own start." }
                @if chart.y.scale.is_logarithmic() { " The rate is on a logarithmic scale; what is below its lowest mark lies on it." }
            }
            (plot("Requests per second", &chart))
        }
    }
}

fn latency(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Latency" }
            p.lead { "How long requests took, from the fastest to the slowest: p99 is what 99 of 100 requests stayed within. Time is on a logarithmic scale." }
            div.pair {
                (plot("Waiting for a connection", &plots::latency(results, "Wait for a connection", |l| &l.wait)))
                (plot("The whole request", &plots::latency(results, "Whole request", |l| &l.total)))
            }
        }
    }
}

fn states(results: &Results) -> Markup {
    html! {
        section {
            h2 { "Connections and users over time" }
            p.lead { "What the connections were doing, and how many of the users had none." }
            @for run in results.compared() {
                h3 { span class={ "key " (plots::class(run)) } {} span.name { (run.full_name()) } }
                div.pair {
                    (plot("Connections", &plots::connections(run)))
                    (plot("Users waiting for a connection", &plots::waiters(results, run)))
                }
            }
        }
    }
}

/// Each of several servers, and what befell them.
fn servers(results: &Results) -> Markup {
    html! {
        @if results.seed.is_some() {
            section {
                h2 { "Chaos" }
                p.lead {
                    "What befell the servers, marked on the plots, and how the users felt it until the next: how many requests failed, and "
                    "from when on none did and answers came. A time-out that began before a step may end after it."
                }
                (grid(&table::chaos(results)))
            }
        }
        @for run in results.compared() {
            @if let Some(set) = &run.endpoints { (servers_of(run, set)) }
        }
    }
}

fn servers_of(run: &Run, set: &SetResult) -> Markup {
    const DRAWN: usize = endpoint_plots::DRAWN;
    let left_out = set.endpoints.len().saturating_sub(DRAWN);
    html! {
        section {
            h2 { "Servers" }
            p.lead {
                (table::heading(run, set)) "."
                @if left_out > 0 { " The plots show the " (DRAWN) " with the fewest and the most requests." }
            }
            @for note in &set.notes { p { (unbroken(note)) } }
            (plot("Share of requests", &endpoint_plots::share(run, set)))
            (plot("99 % of answers within, once a user had a connection", &endpoint_plots::p99(run, set)))
            @if let Some(bars) = conditions::bars(run, set, DRAWN) {
                figure {
                    figcaption { span.title { "Condition" } (conditions::legend(set)) }
                    (bars)
                }
            }
            (grid(&table::endpoints(set)))
            @for error in table::last_errors(set) { p.load { (error) } }
        }
    }
}

fn plot(title: &str, chart: &Chart) -> Markup {
    html! {
        figure {
            figcaption {
                span.title { (title) }
                @if chart.series.len() > 1 { (legend(&chart.series)) }
            }
            (chart.draw())
        }
    }
}

fn figures(results: &Results) -> Markup {
    let runs: Vec<&Run> = results.runs.iter().collect();
    let errors = error_kinds(&runs);
    html! {
        section {
            h2 { "All figures" }
            (grid(&table::comparison(results)))
            @if !errors.is_empty() {
                h3 { "What the errors said" }
                dl {
                    @for error in errors {
                        dt { (error.kind) }
                        dd { (error.example) }
                    }
                }
            }
        }
    }
}

fn grid(grid: &Grid) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for cell in &grid.header { th scope="col" { (cell) } } } }
                tbody {
                    @for row in &grid.rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn foot(results: &Results) -> Markup {
    html! {
        footer {
            p {
                "Each user gets a connection, sends a request, reads the answer, gives the connection back and starts again. "
                em { "Wait" } " is the time from asking for a connection to having one; "
                em { "total" } " runs on until the answer is there. Latencies are of requests that succeeded; rates leave out what "
                "was still under way at the end of a run. A user whose request failed pauses for 10 ms."
            }
            p { "Made by cenote " (results.cenote) "." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_units() {
        assert_eq!(
            unbroken("within 5 ms, 99 % of all"),
            "within 5\u{a0}ms, 99\u{a0}% of all"
        );
    }
}
