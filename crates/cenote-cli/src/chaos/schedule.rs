//! When what befalls which server. The same seed, for as long a run over as many servers, says the same.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use serde::Serialize;

/// What happens to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Its connections are reset, and others refused.
    Kill,
    /// It accepts connections, and answers nothing.
    Freeze,
    /// It serves as before.
    Restore,
    /// It joins the others.
    Add,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Restore => "restore",
            Self::Add => "add",
        })
    }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Since the run began.
    pub at: Duration,
    pub action: Action,
    /// Its number, from 0.
    pub server: usize,
}

/// All that happens in a run, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub seed: u64,
    pub steps: Vec<Step>,
}

/// A run has at least so many turns. In each but the first, which shows what is usual, one thing happens,
const FEWEST_TURNS: u32 = 4;
/// and no turn takes longer: of a long run more is learnt.
const LONGEST_TURN: Duration = Duration::from_secs(5);

impl Schedule {
    /// For a run of `duration` over so many `servers`.
    pub fn new(seed: u64, duration: Duration, servers: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let turn = (duration / FEWEST_TURNS).min(LONGEST_TURN);
        // At least FEWEST_TURNS; a rest shorter than a turn is quiet, so that the end shows what is usual again.
        let turns = (duration.as_secs_f64() / turn.as_secs_f64()).floor() as u32;
        let mut steps = Vec::new();
        let mut kinds = Vec::new();
        let mut servers = servers;
        for index in 1..turns {
            if kinds.is_empty() {
                kinds = vec![Action::Kill, Action::Freeze, Action::Add];
                rng.shuffle(&mut kinds);
            }
            let Some(action) = kinds.pop() else {
                continue;
            };
            // What is broken is so for more than half of the turn; the rest shows how it gets well.
            let begin = turn * index + turn.mul_f64(0.1 * rng.f64());
            let end = turn * index + turn.mul_f64(0.6 + 0.1 * rng.f64());
            match action {
                Action::Add => {
                    steps.push(Step {
                        at: begin,
                        action,
                        server: servers,
                    });
                    servers += 1;
                }
                _ => {
                    let server = rng.usize(..servers);
                    steps.extend(
                        [(begin, action), (end, Action::Restore)].map(|(at, action)| Step {
                            at,
                            action,
                            server,
                        }),
                    );
                }
            }
        }
        Self { seed, steps }
    }

    /// Servers that join.
    pub fn additions(&self) -> usize {
        let additions = self.steps.iter().filter(|step| step.action == Action::Add);
        additions.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVERS: usize = 3;

    fn schedule(seed: u64, seconds: u64) -> Schedule {
        Schedule::new(seed, Duration::from_secs(seconds), SERVERS)
    }

    #[test]
    fn the_same_seed_says_the_same_and_another_something_else() {
        assert_eq!(schedule(7, 60), schedule(7, 60));
        assert_ne!(schedule(7, 60).steps, schedule(8, 60).steps);
    }

    #[test]
    fn a_run_of_any_length_has_a_kill_a_freeze_and_an_addition_after_a_quiet_begin() {
        for seed in 0..100 {
            for millis in [1, 400, 5_000, 61_000] {
                let duration = Duration::from_millis(millis);
                let steps = Schedule::new(seed, duration, 1).steps;
                for action in [Action::Kill, Action::Freeze, Action::Add] {
                    let happens = steps.iter().any(|step| step.action == action);
                    assert!(happens, "no {action} in {duration:?}, seed {seed}");
                }
                assert!(steps.is_sorted_by_key(|step| step.at));
                assert!(steps[0].at >= (duration / 4).min(LONGEST_TURN));
                assert!(steps.last().is_some_and(|last| last.at < duration));
            }
        }
    }

    #[test]
    fn what_is_broken_is_restored_before_anything_else_happens() {
        for seed in 0..100 {
            let mut broken = None;
            let mut servers = SERVERS;
            for step in schedule(seed, 120).steps {
                match step.action {
                    Action::Restore => assert_eq!(broken.take(), Some(step.server)),
                    Action::Add => {
                        assert_eq!((broken, step.server), (None, servers));
                        servers += 1;
                    }
                    Action::Kill | Action::Freeze => {
                        assert!(step.server < servers);
                        assert_eq!(broken.replace(step.server), None);
                    }
                }
            }
            assert_eq!(broken, None);
        }
    }
}
