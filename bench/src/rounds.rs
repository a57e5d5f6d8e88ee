//! Runs scenarios round by round and gathers what each subject scored.
//!
//! A round runs every subject of every scenario once; the order of subjects moves on by one each round, so that none
//! always runs first or after the same neighbour, and a disturbance of the machine hits all of them alike. A run during
//! which others used much of the machine is repeated a few times, and counts only where there is no quiet one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::measure::{Failure, Outcome, Sample, median};
use crate::neighbours::Ticks;
use crate::progress::Progress;

/// One subject's run of a scenario.
pub struct Case {
    pub subject: &'static str,
    pub run: Box<dyn Fn() -> Outcome<Sample>>,
}

/// What is measured alike on all its subjects.
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub machine: Machine,
    pub cases: Vec<Case>,
}

/// Whose the machine is during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// Ours alone: other processes disturb.
    Own,
    /// Shared with a server of the run's own: only what the host takes away disturbs.
    Shared,
}

/// How many rounds to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// Exactly so many, however long they take.
    Exactly(usize),
    /// So many, or as many as fit in the time.
    Within(usize, Duration),
}

/// One figure of the result: the median over the rounds.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Row {
    pub scenario: &'static str,
    pub subject: &'static str,
    pub metric: &'static str,
    pub value: f64,
}

/// A case that could not be measured in some round, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmeasured {
    pub scenario: &'static str,
    pub subject: &'static str,
    pub failure: Failure,
}

pub struct Results {
    pub rows: Vec<Row>,
    pub unmeasured: Vec<Unmeasured>,
    pub rounds: usize,
    pub took: Duration,
    /// Cases of which no run was undisturbed, and all cases.
    pub disturbed: (usize, usize),
}

/// Whether other processes left the machine to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    Yes,
    No,
}

/// The share of the machine that others may use during a quiet run.
const NEGLIGIBLE: f64 = 0.05;

/// What the runs of a case yielded.
#[derive(Default)]
struct Scores {
    samples: Vec<(Quiet, Sample)>,
    failure: Option<Failure>,
}

impl Scores {
    fn add(&mut self, outcome: Outcome<Sample>, quiet: Quiet) {
        match outcome {
            Ok(sample) => self.samples.push((quiet, sample)),
            Err(failure) => self.failure = Some(failure),
        }
    }

    fn is_disturbed(&self) -> bool {
        self.samples.iter().all(|(quiet, _)| *quiet == Quiet::No)
    }

    /// Metric by metric, in the order the case reports them: the values that count.
    fn metrics(&self) -> Vec<(&'static str, Vec<f64>)> {
        let mut metrics: Vec<(&'static str, Vec<f64>)> = Vec::new();
        let disturbed = self.is_disturbed();
        let counting = self
            .samples
            .iter()
            .filter(|(quiet, _)| disturbed || *quiet == Quiet::Yes);
        for &(metric, value) in counting.flat_map(|(_, sample)| sample) {
            match metrics.iter_mut().find(|(name, _)| *name == metric) {
                Some((_, values)) => values.push(value),
                None => metrics.push((metric, vec![value])),
            }
        }
        metrics
    }
}

/// A disturbed run is repeated at most so often in one round.
const REPEATS: usize = 4;

/// The share of the time that is left to runs that nobody disturbs.
const REGULAR: f64 = 0.8;

/// Runs a case until the machine was its own, or as often as it may be repeated.
fn observe(case: &Case, machine: Machine, repeats: usize, score: &mut Scores) {
    for _ in 0..=repeats {
        let before = Ticks::now();
        let outcome = (case.run)();
        let taken = before.and_then(|before| match machine {
            Machine::Own => before.others_until(Ticks::now()?),
            Machine::Shared => before.stolen_until(Ticks::now()?),
        });
        let quiet = match taken {
            Some(share) if share > NEGLIGIBLE => Quiet::No,
            _ => Quiet::Yes,
        };
        score.add(outcome, quiet);
        if quiet == Quiet::Yes || score.failure.is_some() {
            return;
        }
    }
}

/// Runs the rounds; a case that fails is left out of the rounds after.
pub fn run(scenarios: &[Scenario], rounds: Rounds, progress: &Progress) -> Results {
    let begun = Instant::now();
    let mut scores: BTreeMap<(usize, usize), Scores> = BTreeMap::new();
    let cases = scenarios.iter().map(|scenario| scenario.cases.len()).sum();
    let (mut done, mut ran) = (0, 0);
    while !is_over(rounds, done, begun.elapsed()) {
        for (at, scenario) in scenarios.iter().enumerate() {
            let count = scenario.cases.len();
            for turn in 0..count {
                let which = (turn + done) % count;
                let case = &scenario.cases[which];
                let score = scores.entry((at, which)).or_default();
                ran += 1;
                if score.failure.is_none() {
                    progress.show(done + 1, rounds.at_most(), scenario.name, case.subject);
                    let passed = begun.elapsed();
                    let repeats = rounds.repeats(ran, cases, passed);
                    observe(case, scenario.machine, repeats, score);
                }
            }
        }
        done += 1;
    }
    progress.clear();
    let mut results = Results {
        rows: Vec::new(),
        unmeasured: Vec::new(),
        rounds: done,
        took: begun.elapsed(),
        disturbed: (0, scores.len()),
    };
    for ((at, which), score) in scores {
        results.add(&scenarios[at], scenarios[at].cases[which].subject, score);
    }
    results
}

/// Whether the next round is one too many; when rounds take long, even if fewer were run than asked.
fn is_over(rounds: Rounds, done: usize, elapsed: Duration) -> bool {
    match rounds {
        Rounds::Exactly(count) => done >= count,
        Rounds::Within(count, limit) => {
            done >= count || (done > 0 && elapsed + elapsed / done as u32 > limit)
        }
    }
}

impl Rounds {
    /// How often a disturbed run may be repeated, so many runs of cases having begun: not at all where there would be
    /// no time for all rounds then.
    fn repeats(self, ran: usize, cases: usize, passed: Duration) -> usize {
        match self {
            Rounds::Exactly(_) => REPEATS,
            Rounds::Within(count, limit) => {
                let due = limit.mul_f64(REGULAR * ran as f64 / (count * cases) as f64);
                if passed < due { REPEATS } else { 0 }
            }
        }
    }

    fn at_most(self) -> usize {
        match self {
            Rounds::Exactly(count) | Rounds::Within(count, _) => count,
        }
    }
}

impl Results {
    fn add(&mut self, scenario: &Scenario, subject: &'static str, score: Scores) {
        self.disturbed.0 += usize::from(score.is_disturbed() && score.failure.is_none());
        for (metric, values) in score.metrics() {
            self.rows.push(Row {
                scenario: scenario.name,
                subject,
                metric,
                value: median(&values),
            });
        }
        if let Some(failure) = score.failure {
            self.unmeasured.push(Unmeasured {
                scenario: scenario.name,
                subject,
                failure,
            });
        }
    }

    pub fn value(&self, scenario: &str, subject: &str, metric: &str) -> Option<f64> {
        let row =
            |row: &&Row| row.scenario == scenario && row.subject == subject && row.metric == metric;
        self.rows.iter().find(row).map(|row| row.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    fn scenario(subjects: &[&'static str], log: &Rc<RefCell<Vec<&'static str>>>) -> Scenario {
        let case = |&subject: &&'static str| {
            let log = Rc::clone(log);
            Case {
                subject,
                run: Box::new(move || {
                    log.borrow_mut().push(subject);
                    Ok(vec![("ns", log.borrow().len() as f64)])
                }),
            }
        };
        Scenario {
            name: "scenario",
            about: "",
            machine: Machine::Own,
            cases: subjects.iter().map(case).collect(),
        }
    }

    #[test]
    fn each_round_begins_with_the_next_subject() {
        let log = Rc::default();
        let scenarios = [scenario(&["a", "b", "c"], &log)];
        run(&scenarios, Rounds::Exactly(2), &Progress::silent());
        assert_eq!(*log.borrow(), ["a", "b", "c", "b", "c", "a"]);
    }

    #[test]
    fn a_row_is_the_median_of_the_rounds() {
        let log = Rc::default();
        let scenarios = [scenario(&["a"], &log)];
        let results = run(&scenarios, Rounds::Exactly(5), &Progress::silent());
        assert_eq!(results.value("scenario", "a", "ns"), Some(3.0));
    }

    #[test]
    fn a_disturbed_run_counts_only_where_there_is_no_quiet_one() {
        let mut scores = Scores::default();
        scores.add(Ok(vec![("ns", 90.0)]), Quiet::No);
        assert_eq!(scores.metrics(), [("ns", vec![90.0])]);
        scores.add(Ok(vec![("ns", 10.0)]), Quiet::Yes);
        assert_eq!(scores.metrics(), [("ns", vec![10.0])]);
    }

    #[test]
    fn a_failed_case_is_reported_and_not_run_again() {
        let ran = Rc::new(RefCell::new(0));
        let counted = Rc::clone(&ran);
        let scenarios = [Scenario {
            name: "scenario",
            about: "",
            machine: Machine::Own,
            cases: vec![Case {
                subject: "a",
                run: Box::new(move || {
                    *counted.borrow_mut() += 1;
                    Err(Failure::new("out of order"))
                }),
            }],
        }];
        let results = run(&scenarios, Rounds::Exactly(3), &Progress::silent());
        assert_eq!(*ran.borrow(), 1);
        assert_eq!(results.unmeasured[0].failure.to_string(), "out of order");
    }

    #[test]
    fn a_run_is_repeated_only_while_there_is_time_for_all_rounds() {
        let limit = Rounds::Within(5, Duration::from_secs(60));
        // A fifth of all runs, in less and in more than a fifth of the time that is meant for them.
        assert_eq!(limit.repeats(10, 10, Duration::from_secs(9)), REPEATS);
        assert_eq!(limit.repeats(10, 10, Duration::from_secs(10)), 0);
        assert_eq!(
            Rounds::Exactly(5).repeats(10, 10, Duration::from_secs(99)),
            REPEATS
        );
    }

    #[test]
    fn rounds_stop_when_one_more_would_exceed_the_time() {
        let limit = Rounds::Within(5, Duration::from_secs(60));
        assert!(!is_over(limit, 3, Duration::from_secs(44)));
        assert!(is_over(limit, 3, Duration::from_secs(46)));
    }
}
