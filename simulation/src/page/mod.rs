//! The page: every scenario with its figures and its charts, in one file that needs nothing but itself.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::chart::{Axis, Series, legend};
use self::scale::Scale;
use crate::figure::Figure;
use crate::format;
use crate::report::{self, Played};
use crate::scenario::Plot;

// Drawn, and styled, as the page of `cenote stress` is.
#[path = "../../../crates/cenote-cli/src/report/chart.rs"]
pub mod chart;
#[path = "../../../crates/cenote-cli/src/report/label.rs"]
pub mod label;
#[path = "../../../crates/cenote-cli/src/report/scale.rs"]
pub mod scale;

const STYLE: &str = include_str!("../../../crates/cenote-cli/src/report/page.css");
/// What is not in the other page.
const MORE_STYLE: &str = include_str!("page.css");

/// The whole page.
pub fn page(seed: u64, played: &[Played]) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // An empty icon: otherwise browsers ask for one.
                link rel="icon" href="data:,";
                title { "cenote: pools over sets of endpoints, simulated" }
                style { (PreEscaped(STYLE)) (PreEscaped(MORE_STYLE)) }
            }
            body {
                header {
                    p.eyebrow { "cargo xtask simulate" }
                    h1 { "Pools over sets of endpoints, simulated" }
                    p.load { (report::summary(played)) " Seed " (seed) "; the same seed gives the same figures." }
                }
                main { @for played in played { (scenario(played)) } }
                footer { p {
                    "The pool is cenote's own, " (env!("CARGO_PKG_VERSION")) ", on a clock that stands still while anything is to be done; "
                    "servers and callers are simulated."
                } }
            }
        }
    };
    page.into_string()
}

fn scenario(Played { scenario, outcome }: &Played) -> Markup {
    html! {
        section {
            h2 { (scenario.name) }
            p.lead { (scenario.about) ". " (scenario.source) "." }
            (figures(&outcome.figures))
            div.pair { @for plot in &outcome.plots { (figure(plot)) } }
        }
    }
}

fn figures(figures: &[Figure]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for cell in report::HEADER { th scope="col" { (cell) } } } }
                tbody {
                    @for figure in figures {
                        tr {
                            @for (index, cell) in report::cells(figure).into_iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } }
                                @else { td.missed[!figure.holds()] { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn figure(Plot { title, chart }: &Plot) -> Markup {
    html! {
        figure {
            figcaption {
                span.title { (title) }
                (legend(&chart.series))
            }
            (chart.draw())
        }
    }
}

/// Seconds since the load began.
pub(crate) fn over_time(time: Duration) -> Axis {
    Axis {
        scale: Scale::up_to(time.as_secs_f64()),
        name: "time since the start",
        write: |seconds| format!("{seconds} s"),
    }
}

/// From 0 to the most there is in a second.
pub(crate) fn rate_axis(series: &[Series]) -> Axis {
    let rates = series.iter().flat_map(|series| &series.points);
    Axis {
        scale: Scale::from_zero(rates.map(|point| point.1).fold(0.0, f64::max)),
        name: "requests/s",
        write: format::amount,
    }
}

/// Decades of seconds around all values.
pub(crate) fn seconds_axis(series: &[Series]) -> Axis {
    let values = series
        .iter()
        .flat_map(|series| &series.points)
        .map(|point| point.1)
        .filter(|value| value.is_finite() && *value > 0.0);
    let (least, most) = values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| {
        (least.min(value), most.max(value))
    });
    Axis {
        scale: match least.is_finite() {
            true => Scale::decades(least, most),
            false => Scale::decades(1e-3, 1.0),
        },
        name: "time",
        write: format::seconds,
    }
}

/// Points between two nines.
const NINE: usize = 25;

/// Of values that are sorted: those at the percentiles, as far into the nines as so many can tell.
pub(crate) fn percentile_points(sorted: &[f64]) -> Vec<(f64, f64)> {
    let told = (sorted.len().max(1) as f64).log10() * NINE as f64;
    (0..=told as usize)
        .map(|step| 1.0 - 10_f64.powf(-(step as f64) / NINE as f64))
        .filter_map(|quantile| {
            let place = (quantile * sorted.len() as f64) as usize;
            Some((quantile, *sorted.get(place)?))
        })
        .collect()
}

pub(crate) fn percentile_axis(series: &[Series]) -> Axis {
    let longest = series.iter().map(|series| series.points.len()).max();
    let steps = longest.unwrap_or(0).saturating_sub(1).max(2 * NINE);
    Axis {
        scale: Scale::Nines {
            nines: steps as f64 / NINE as f64,
        },
        name: "percentile of requests",
        write: |quantile| format!("p{}", (quantile * 1e5).round() / 1e3),
    }
}
