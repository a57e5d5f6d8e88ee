//! In which condition each server was, over time: a bar for each, with what befell it.

use maud::{Markup, html};

use super::scale::Scale;
use crate::measure::{Condition, Since};
use crate::results::{EndpointResult, Run, SetResult};

const WIDTH: f64 = 1140.0;
/// Room for the names.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 20.0;
const ROW: f64 = 24.0;
const BAR: f64 = 14.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 28.0;

/// The bars of the servers that are shown; none where nothing is known of conditions.
pub fn bars(run: &Run, set: &SetResult, most: usize) -> Option<Markup> {
    let shown: Vec<&EndpointResult> = set
        .extremes(most)
        .into_iter()
        .filter(|endpoint| !endpoint.history.conditions.is_empty())
        .collect();
    if shown.is_empty() {
        return None;
    }
    let scale = Scale::up_to(run.elapsed_s);
    let x = |at_s: f64| LEFT + scale.place(at_s) * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + ROW * shown.len() as f64;
    Some(html! {
        svg.full viewBox=(format!("0 0 {WIDTH} {}", bottom + BOTTOM)) role="img" aria-label=(format!("Condition of each server over time, {}", run.full_name())) {
            g.grid {
                @for tick in scale.ticks() {
                    line.tick x1=(x(tick)) x2=(x(tick)) y1=(bottom) y2=(bottom + 4.0) {}
                    text x=(x(tick)) y=(bottom + 17.0) text-anchor="middle" { (format!("{} s", (tick * 100.0).round() / 100.0)) }
                }
                line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(bottom) y2=(bottom) {}
            }
            @for (index, endpoint) in shown.iter().enumerate() {
                @let y = TOP + ROW * index as f64;
                text.name x=(LEFT - 10.0) y=(y + BAR / 2.0) dy="0.32em" text-anchor="end" { (endpoint.name) }
                @for (since, until) in spans(&endpoint.history.conditions, run.elapsed_s) {
                    rect class={ "condition " (class(since.condition)) } x=(x(since.at_s)) y=(y) width=((x(until) - x(since.at_s)).max(0.5)) height=(BAR) {
                        title { (since.condition.name()) (format!(", from {:.2} s to {until:.2} s", since.at_s)) }
                    }
                }
            }
            g.marks {
                @for step in &run.chaos {
                    line x1=(x(step.at_s)) x2=(x(step.at_s)) y1="0" y2=(bottom) {
                        title { (step.action) " " (step.server) }
                    }
                }
            }
        }
    })
}

/// The conditions that occur, with their colours.
pub fn legend(set: &SetResult) -> Markup {
    let all = set
        .endpoints
        .iter()
        .flat_map(|endpoint| &endpoint.history.conditions);
    let mut those: Vec<Condition> = all.map(|since| since.condition).collect();
    // It has no bar.
    those.retain(|condition| *condition != Condition::Gone);
    those.sort();
    those.dedup();
    html! {
        ul.legend {
            @for condition in those {
                li { span class={ "key " (class(condition)) } {} (condition.name()) }
            }
        }
    }
}

/// Each with its end.
fn spans(conditions: &[Since], end_s: f64) -> Vec<(Since, f64)> {
    let ends = conditions.iter().skip(1).map(|next| next.at_s);
    conditions
        .iter()
        .copied()
        .zip(ends.chain([end_s]))
        .collect()
}

fn class(condition: Condition) -> &'static str {
    match condition {
        Condition::Up => "up",
        Condition::Standby => "standby",
        Condition::OnTrial => "on-trial",
        Condition::Ejected => "ejected",
        Condition::Down => "down",
        Condition::Draining => "draining",
        Condition::Gone => "gone",
    }
}
