//! What came of one cell.

use std::time::Duration;

use crate::bound::Bound;
use crate::cell::{Applies, Cell};
use crate::trouble::Trouble;

/// What came of one cell.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub cell: Cell,
    bound: Option<Bound>,
    /// Why it does not apply.
    pub not_applicable: Option<&'static str>,
    /// How long until service was as before, or how long the longest call of others took, as the bound says.
    pub measured: Option<Duration>,
    /// What must not be.
    pub problems: Vec<String>,
    /// What the user whose connection was in the state was told, if it was no answer.
    pub told: Option<String>,
    /// Questions that were answered.
    pub answered: usize,
    /// Calls that failed from the beginning of the situation on.
    pub failed: usize,
    /// What the most of them failed with.
    pub failure: Option<String>,
}

impl Outcome {
    /// One that has come to nothing yet.
    #[must_use]
    pub fn new(cell: Cell, bound: Bound) -> Self {
        Self {
            cell,
            bound: Some(bound),
            not_applicable: None,
            measured: None,
            problems: Vec::new(),
            told: None,
            answered: 0,
            failed: 0,
            failure: None,
        }
    }

    /// A state that there is not, if it was refused.
    #[must_use]
    pub fn not_applicable(cell: Cell, why: &'static str, trouble: Option<Trouble>) -> Self {
        let mut outcome = Self::new(cell, cell.situation.bound());
        outcome.bound = None;
        outcome.not_applicable = Some(why);
        outcome.problems = trouble.iter().map(Trouble::to_string).collect();
        outcome
    }

    /// One that could not be played.
    #[must_use]
    pub fn unplayed(cell: Cell, failure: &str) -> Self {
        let mut outcome = Self::new(cell, cell.situation.bound());
        outcome.problems = vec![format!("it could not be played: {failure}")];
        outcome
    }

    /// Within which time service must be as before.
    #[must_use]
    pub fn bound(&self) -> Bound {
        self.bound.unwrap_or_else(|| self.cell.situation.bound())
    }

    pub(crate) fn measures(&mut self, measured: Duration) {
        self.measured = Some(measured);
    }

    pub(crate) fn fails(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// The first of many is enough.
    pub(crate) fn leaks(&mut self, leaks: Vec<String>) {
        let count = leaks.len();
        if let Some(first) = leaks.into_iter().next() {
            self.problems.push(format!("{first} ({count} times)"));
        }
    }

    /// Whether nothing reached whom it must not reach, and service was as before in the end, whenever.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && (self.measured.is_some() || !self.applies())
    }

    /// Whether that was within the bound, too.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.is_sound()
            && self
                .measured
                .is_none_or(|measured| self.bound().holds(measured))
    }

    /// What is wrong with it.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = self.problems.clone();
        if let Some(measured) = self.measured
            && !self.bound().holds(measured)
        {
            complaints.push(format!(
                "{:.1} s, and the bound is {}",
                measured.as_secs_f64(),
                self.bound()
            ));
        }
        complaints
    }

    fn applies(&self) -> bool {
        matches!(self.cell.applies(), Applies::Within(_))
    }
}
