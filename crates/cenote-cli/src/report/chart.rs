//! A chart as inline SVG: lines or stacked bands over one axis, each named where it ends. Colours are
//! classes, so that one drawing serves the light page and the dark one; values under the pointer are
//! native tooltips, so that no script is needed.

use maud::{Markup, html};

use super::label::{LINE_HEIGHT, Label, spread, width_of};
use super::scale::Scale;

const HEIGHT: f64 = 270.0;
const LEFT: f64 = 60.0;
/// Room for the names of series, at least.
const RIGHT: f64 = 108.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 44.0;
/// Between the end of a line and its name.
const NAME_GAP: f64 = 8.0;

/// An axis: its scale, its name with unit, and how its values are written.
pub struct Axis {
    pub scale: Scale,
    pub name: &'static str,
    pub write: fn(f64) -> String,
}

/// One line or band.
pub struct Series {
    pub name: String,
    /// The class that colours it.
    pub class: &'static str,
    /// A value that is no number is a gap.
    pub points: Vec<(f64, f64)>,
}

/// How series stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Lines,
    /// Lines with a dot at each point.
    DottedLines,
    /// Bands on top of each other; all series have the same x values.
    Stacked,
}

/// How much of the page a chart takes; text is of one size in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    Half,
    Full,
}

/// A moment at which something happened.
#[derive(Clone)]
pub struct Mark {
    pub x: f64,
    /// In a word.
    pub name: String,
    /// In whole.
    pub tip: String,
}

/// A chart.
pub struct Chart {
    /// For those who can't see it.
    pub description: String,
    pub width: Width,
    pub x: Axis,
    pub y: Axis,
    pub shape: Shape,
    pub series: Vec<Series>,
    pub marks: Vec<Mark>,
}

impl Chart {
    pub fn draw(&self) -> Markup {
        let tops = self.tops();
        html! {
            svg class=[(self.width == Width::Full).then_some("full")] viewBox=(format!("0 0 {} {HEIGHT}", self.whole_width())) role="img" aria-label=(self.description) {
                (self.grid())
                (self.marks())
                // The lowest band last: its edge counts where those above have no height.
                @for (series, top) in self.series.iter().zip(&tops).rev() {
                    @match self.shape {
                        Shape::Stacked => { (self.band(series, top)) }
                        _ => { (self.line(series)) }
                    }
                }
                (self.names(&tops))
                (self.probes())
            }
        }
    }

    /// Where the plot ends and the names begin.
    fn right(&self) -> f64 {
        self.whole_width() - self.room_for_names()
    }

    fn whole_width(&self) -> f64 {
        match self.width {
            Width::Half => 560.0,
            Width::Full => 1140.0,
        }
    }

    fn room_for_names(&self) -> f64 {
        let widths = self.series.iter().map(|series| width_of(&series.name));
        widths.fold(RIGHT, |room, width| room.max(width + 2.0 * NAME_GAP))
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.scale.place(value) * (self.right() - LEFT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// For each series its upper edge: its values, on those below where they are stacked.
    fn tops(&self) -> Vec<Vec<f64>> {
        let mut below: Vec<f64> = Vec::new();
        let mut tops = Vec::new();
        for series in &self.series {
            let values = series.points.iter().map(|point| point.1);
            let top: Vec<f64> = match self.shape {
                Shape::Stacked => values
                    .enumerate()
                    .map(|(i, v)| v + below.get(i).unwrap_or(&0.0))
                    .collect(),
                _ => values.collect(),
            };
            below.clone_from(&top);
            tops.push(top);
        }
        tops
    }

    fn grid(&self) -> Markup {
        let (bottom, right) = (HEIGHT - BOTTOM, self.right());
        html! {
            g class="grid" {
                @for tick in self.y.scale.ticks() {
                    @let y = px(self.y(tick));
                    line x1=(LEFT) x2=(right) y1=(y) y2=(y) {}
                    text x=(LEFT - 8.0) y=(y) dy="0.32em" text-anchor="end" { ((self.y.write)(tick)) }
                }
                @for tick in self.x.scale.ticks() {
                    @let x = px(self.x(tick));
                    line.tick x1=(x) x2=(x) y1=(bottom) y2=(bottom + 4.0) {}
                    text x=(x) y=(bottom + 17.0) text-anchor="middle" { ((self.x.write)(tick)) }
                }
                line.axis x1=(LEFT) x2=(right) y1=(bottom) y2=(bottom) {}
                text.name x=(right) y=(HEIGHT - 6.0) text-anchor="end" { (self.x.name) }
                text.name x="0" y=(TOP - 18.0) { (self.y.name) }
            }
        }
    }

    fn marks(&self) -> Markup {
        html! {
            g class="marks" {
                @for mark in &self.marks {
                    @let x = px(self.x(mark.x));
                    line x1=(x) x2=(x) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                    text x=(x) y=(TOP - 5.0) text-anchor="middle" { (mark.name) title { (mark.tip) } }
                }
            }
        }
    }

    fn line(&self, series: &Series) -> Markup {
        html! {
            path class={ "line " (series.class) } d=(self.path(series.points.iter().copied())) {}
            @if self.shape == Shape::DottedLines {
                @for (x, y) in &series.points {
                    circle class={ "dot " (series.class) } cx=(px(self.x(*x))) cy=(px(self.y(*y))) r="3.5" {}
                }
            }
        }
    }

    fn band(&self, series: &Series, tops: &[f64]) -> Markup {
        let upper = || {
            series
                .points
                .iter()
                .zip(tops)
                .map(|(point, top)| (point.0, *top))
        };
        let lower = series
            .points
            .iter()
            .zip(tops)
            .map(|(point, top)| (point.0, top - point.1));
        let around = self.path(upper().chain(lower.rev()));
        html! {
            path class={ "band " (series.class) } d={ (around) "Z" } {}
            path class={ "line " (series.class) } d=(self.path(upper())) {}
        }
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut is_apart = true;
        for (x, y) in points {
            if y.is_nan() {
                is_apart = true;
                continue;
            }
            path.push(if is_apart { 'M' } else { 'L' });
            is_apart = false;
            path.push_str(&format!("{} {}", px(self.x(x)), px(self.y(y))));
        }
        path
    }

    /// Each series' name beside its end, moved apart where they would touch.
    fn names(&self, tops: &[Vec<f64>]) -> Markup {
        let mut names: Vec<Label<'_>> = Vec::new();
        for (series, top) in self.series.iter().zip(tops) {
            let ends = series.points.iter().zip(top).rev();
            let Some((point, end)) = ends.into_iter().find(|(point, _)| !point.1.is_nan()) else {
                continue;
            };
            let middle = match self.shape {
                // A band that has vanished by then is named by the legend alone.
                Shape::Stacked if point.1 <= 0.0 => continue,
                Shape::Stacked => end - point.1 / 2.0,
                _ => *end,
            };
            names.push(self.placed(series, self.x(point.0), self.y(middle)));
        }
        names.sort_by(|a, b| a.y.total_cmp(&b.y));
        spread(&mut names, HEIGHT - BOTTOM - LINE_HEIGHT / 2.0);
        html! {
            @for Label { x, y, anchor, text, class } in names {
                text class={ "label " (class) } x=(px(x)) y=(px(y)) dy="0.32em" text-anchor=(anchor) { (text) }
            }
        }
    }

    /// The name of a line that ends at (x, y): beside it. A line that ends before the plot does may have
    /// another there: then above its end, or below.
    fn placed<'a>(&self, series: &'a Series, x: f64, y: f64) -> Label<'a> {
        let name = |x, y, anchor| Label {
            x,
            y,
            anchor,
            text: &series.name,
            class: series.class,
        };
        let free = |name: &Label<'_>| {
            let half = LINE_HEIGHT / 2.0;
            !self.is_crossed(name.span(), (name.y - half, name.y + half))
        };
        let places = [
            name(x, y - LINE_HEIGHT, "end"),
            name(x, y + LINE_HEIGHT, "end"),
        ];
        let beside = name(x + NAME_GAP, y, "start");
        if free(&beside) {
            return beside;
        }
        places.into_iter().find(free).unwrap_or(beside)
    }

    /// Whether a line passes through a rectangle.
    fn is_crossed(&self, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> bool {
        let crosses = |from: &(f64, f64), to: &(f64, f64)| {
            let ((x1, y1), (x2, y2)) = (
                (self.x(from.0), self.y(from.1)),
                (self.x(to.0), self.y(to.1)),
            );
            if x2 < left || x1 > right {
                return false;
            }
            let at = |x: f64| y1 + (x.clamp(x1, x2) - x1) / (x2 - x1).max(f64::EPSILON) * (y2 - y1);
            let (a, b) = (at(left), at(right));
            a.min(b) < bottom && a.max(b) > top
        };
        self.shape != Shape::Stacked
            && self
                .series
                .iter()
                .flat_map(|series| series.points.windows(2))
                .any(|pair| crosses(&pair[0], &pair[1]))
    }

    /// Invisible columns that show the values under the pointer.
    fn probes(&self) -> Markup {
        let Some(longest) = self
            .series
            .iter()
            .map(|series| &series.points)
            .max_by_key(|points| points.len())
        else {
            return html! {};
        };
        let places: Vec<f64> = longest.iter().map(|point| self.x(point.0)).collect();
        let border = |a: usize, b: usize| match (places.get(a), places.get(b)) {
            (Some(a), Some(b)) => (a + b) / 2.0,
            _ => f64::NAN,
        };
        html! {
            g class="probes" {
                @for (index, x) in places.iter().enumerate() {
                    @let left = Some(border(index.wrapping_sub(1), index)).filter(|x| x.is_finite()).unwrap_or(LEFT);
                    @let right = Some(border(index, index + 1)).filter(|x| x.is_finite()).unwrap_or(self.right());
                    g {
                        rect x=(px(left)) y=(TOP) width=(px((right - left).max(0.5))) height=(HEIGHT - TOP - BOTTOM) {}
                        line x1=(px(*x)) x2=(px(*x)) y1=(TOP) y2=(HEIGHT - BOTTOM) {}
                        title { (self.values_at(longest[index].0)) }
                    }
                }
            }
        }
    }

    fn values_at(&self, x: f64) -> String {
        let mut text = format!("{} {}", (self.x.write)(x), self.x.name);
        for series in &self.series {
            // The same moment is the same number in all series that have it.
            let mut points = series.points.iter().filter(|point| !point.1.is_nan());
            if let Some((_, y)) = points.find(|point| point.0 == x) {
                text.push_str(&format!("\n{}: {}", series.name, (self.y.write)(*y)));
            }
        }
        text
    }
}

/// Names and colours of series, each once.
pub fn legend(series: &[Series]) -> Markup {
    html! {
        ul.legend {
            @for series in series {
                li { span class={ "key " (series.class) } {} (series.name) }
            }
        }
    }
}

/// A tenth of a pixel is as fine as anybody sees.
fn px(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(series: &[&[(f64, f64)]]) -> Chart {
        let axis = || Axis {
            scale: Scale::from_zero(10.0),
            name: "",
            write: crate::format::amount,
        };
        Chart {
            description: String::new(),
            width: Width::Half,
            x: axis(),
            y: axis(),
            shape: Shape::Lines,
            series: series
                .iter()
                .map(|points| Series {
                    name: "a name".into(),
                    class: "",
                    points: points.to_vec(),
                })
                .collect(),
            marks: Vec::new(),
        }
    }

    #[test]
    fn a_name_stands_where_no_line_passes() {
        let short: &[(f64, f64)] = &[(0.0, 5.0), (5.0, 5.0)];
        let anchor = |other: &[(f64, f64)]| {
            let chart = chart(&[short, other]);
            chart
                .placed(&chart.series[0], chart.x(5.0), chart.y(5.0))
                .anchor
        };
        assert_eq!(anchor(&[(0.0, 9.0), (10.0, 9.0)]), "start");
        assert_eq!(anchor(&[(4.0, 0.0), (5.5, 5.0), (10.0, 9.0)]), "end");
    }
}
