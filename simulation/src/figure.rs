//! What a scenario measures: a figure, what was published of it, and what it must be.

use std::fmt;

use crate::format;

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    pub what: String,
    /// As its source has it, where there is one.
    pub published: Option<f64>,
    pub simulated: f64,
    pub unit: Unit,
    pub must: Must,
}

/// What a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// From 0 to 1, written in percent.
    Share,
    Seconds,
    /// Of things, or a ratio.
    Number,
}

/// What a figure must be for its scenario to hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Must {
    /// This, give or take so much.
    Be {
        value: f64,
        tolerance: f64,
    },
    BeAtMost(f64),
    BeAtLeast(f64),
    /// Anything: it is for comparison.
    BeShown,
}

impl Must {
    pub const BE_NONE: Self = Self::Be {
        value: 0.0,
        tolerance: 0.0,
    };
}

impl Figure {
    /// One of which nothing was published.
    pub fn unpublished(what: impl Into<String>, simulated: f64, unit: Unit, must: Must) -> Self {
        Self {
            what: what.into(),
            published: None,
            simulated,
            unit,
            must,
        }
    }

    pub fn holds(&self) -> bool {
        match self.must {
            Must::Be { value, tolerance } => (self.simulated - value).abs() <= tolerance,
            Must::BeAtMost(most) => self.simulated <= most,
            Must::BeAtLeast(least) => self.simulated >= least,
            Must::BeShown => true,
        }
    }

    /// In a word.
    pub fn verdict(&self) -> &'static str {
        match (self.must, self.holds()) {
            (Must::BeShown, _) => "",
            (_, true) => "holds",
            (_, false) => "MISSED",
        }
    }

    /// What it must be, in its unit.
    pub fn bound(&self) -> String {
        let write = |value| self.unit.write(value);
        match self.must {
            Must::Be { value, tolerance } if tolerance > 0.0 => {
                format!("{} ± {}", write(value), write(tolerance))
            }
            Must::Be { value, .. } => write(value),
            Must::BeAtMost(most) => format!("≤ {}", write(most)),
            Must::BeAtLeast(least) => format!("≥ {}", write(least)),
            Must::BeShown => String::new(),
        }
    }
}

/// As a failed assertion shows it.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let simulated = self.unit.write(self.simulated);
        write!(f, "{}: {simulated}, must be {}", self.what, self.bound())
    }
}

impl Unit {
    pub fn write(self, value: f64) -> String {
        match self {
            Self::Share => format!("{:.2} %", 100.0 * value),
            Self::Seconds => format::seconds(value),
            Self::Number => format::amount(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(simulated: f64, must: Must) -> Figure {
        Figure::unpublished("in time", simulated, Unit::Share, must)
    }

    #[test]
    fn a_figure_holds_up_to_its_bound() {
        let value = Must::Be {
            value: 0.95,
            tolerance: 0.01,
        };
        for (simulated, must, holds) in [
            (0.957, value, true),
            (0.97, value, false),
            (0.93, value, false),
            (0.5, Must::BeAtMost(0.5), true),
            (0.6, Must::BeAtMost(0.5), false),
            (0.5, Must::BeAtLeast(0.5), true),
            (0.4, Must::BeAtLeast(0.5), false),
            (0.4, Must::BeShown, true),
        ] {
            assert_eq!(figure(simulated, must).holds(), holds, "{simulated}");
        }
    }

    #[test]
    fn what_a_failed_one_says_names_the_figure_and_its_bound() {
        let figure = figure(0.6, Must::BeAtMost(0.25));
        assert_eq!(figure.to_string(), "in time: 60.00 %, must be ≤ 25.00 %");
    }
}
