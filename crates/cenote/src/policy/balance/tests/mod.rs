//! One suite for all rules, in figures. What is random is seeded; where shares are compared, three sigma of the
//! binomial distribution are allowed.

mod simulation;
mod single_rules;
mod suite;

use std::cell::{Cell, RefCell};

use super::*;

const RULES: [Rule; 5] = [
    Rule::PowerOfTwo,
    Rule::PeakEwma,
    Rule::LeastLoaded,
    Rule::RoundRobin,
    Rule::Random,
];

/// A list that counts the looks at it.
struct List {
    loads: Vec<Load>,
    looks: Cell<usize>,
}

impl Candidates for List {
    type Endpoint = ();

    fn len(&self) -> usize {
        self.loads.len()
    }

    fn at(&self, place: usize) -> Option<((), Load)> {
        self.looks.set(self.looks.get() + 1);
        Some(((), *self.loads.get(place)?))
    }
}

fn list(loads: impl IntoIterator<Item = Load>) -> List {
    List {
        loads: loads.into_iter().collect(),
        looks: Cell::new(0),
    }
}

/// A list of endpoints that carry nothing, of weights as a source gives them.
fn idle(weights: &[u32]) -> List {
    let greatest = weights.iter().copied().max().unwrap_or(0).max(1);
    list(weights.iter().map(|&weight| Load {
        in_flight: 0,
        open: 10,
        weight: (f64::from(weight * MAX_WEIGHT) / f64::from(greatest)).round() as u32,
        cost: 0.01,
    }))
}

fn carrying(in_flight: u32) -> Load {
    Load {
        in_flight,
        open: 10,
        weight: MAX_WEIGHT,
        cost: 0.01,
    }
}

/// A list whose places are gone now and again, as they are while it changes: one look in `one_in` finds nothing.
struct Flickering {
    loads: Vec<Load>,
    picker: RefCell<Picker>,
    one_in: usize,
}

impl Candidates for Flickering {
    type Endpoint = ();

    fn len(&self) -> usize {
        self.loads.len()
    }

    fn at(&self, place: usize) -> Option<((), Load)> {
        let is_gone = self.picker.borrow_mut().below(self.one_in) == 0;
        let load = self.loads.get(place).filter(|_| !is_gone)?;
        Some(((), *load))
    }
}

/// How often each place is chosen first, of `choices`.
fn counts(rule: Rule, candidates: &impl Candidates, choices: u32, seed: u64) -> Vec<u32> {
    let mut picker = Picker::new(seed);
    let mut counts = vec![0; candidates.len()];
    for _ in 0..choices {
        let choice = rule.choose(candidates, &mut picker).expect("a candidate");
        counts[choice.first.place] += 1;
    }
    counts
}

/// Each count is that of its share, but for three sigma.
#[track_caller]
fn assert_shares(counts: &[u32], weights: &[u32], of_what: impl std::fmt::Debug) {
    let (total, sum) = (
        f64::from(counts.iter().sum::<u32>()),
        f64::from(weights.iter().sum::<u32>()),
    );
    for (&count, &weight) in counts.iter().zip(weights) {
        let share = f64::from(weight) / sum;
        let sigma = (total * share * (1.0 - share)).sqrt();
        let off = (f64::from(count) - total * share).abs();
        assert!(
            off <= 3.0 * sigma,
            "{of_what:?}: {counts:?} for weights {weights:?}"
        );
    }
}
