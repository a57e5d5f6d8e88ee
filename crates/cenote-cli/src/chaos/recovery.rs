//! What each step of the chaos cost the users: how many requests failed, and after how long none did any more.

use serde::Serialize;

use super::player::Happened;
use super::schedule::Action;
use crate::measure::Sample;

/// A step as the users felt it, from then until the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Felt {
    /// Seconds since the run began.
    pub at_s: f64,
    pub action: Action,
    pub server: String,
    /// Requests that failed.
    pub failed: u64,
    /// Seconds until service was whole: from then on no request failed, and answers came. To a look of the
    /// observer; 0 if nothing was felt, `None` if it was not whole before the next step.
    pub whole_after_s: Option<f64>,
}

/// What `samples` of a run say of what `happened` in it.
pub fn felt(happened: &[Happened], samples: &[Sample]) -> Vec<Felt> {
    let Some(first) = happened.first() else {
        return Vec::new();
    };
    let looks = looks(samples, first.at.as_secs_f64());
    let ends = happened.iter().skip(1).map(|next| next.at.as_secs_f64());
    let felt = happened
        .iter()
        .zip(ends.chain([f64::INFINITY]))
        .map(|(step, end_s)| {
            let at_s = step.at.as_secs_f64();
            let those = || {
                let is_in = |look: &&Look| look.at_s > at_s && look.at_s <= end_s;
                looks.iter().filter(is_in)
            };
            Felt {
                at_s,
                action: step.action,
                server: step.server.clone(),
                failed: those().map(|look| look.failed).sum(),
                whole_after_s: match those().rfind(|look| look.is_bad) {
                    None => Some(0.0),
                    Some(_) if those().next_back().is_some_and(|look| look.is_bad) => None,
                    Some(look) => Some(look.at_s - at_s),
                },
            }
        });
    felt.collect()
}

/// From one sample to the next.
struct Look {
    /// Its end.
    at_s: f64,
    failed: u64,
    /// A request failed, or nothing was answered for longer than is usual.
    is_bad: bool,
}

/// How long nothing is answered now and then is known from the time before `quiet_s`: users who think, or who wait
/// for each other, come in waves.
fn looks(samples: &[Sample], quiet_s: f64) -> Vec<Look> {
    let (mut silent, mut usual) = (0, 0);
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let look = |(before, now): (&Sample, &Sample)| {
        silent = match now.requests == before.requests {
            true => silent + 1,
            false => 0,
        };
        if now.at_s < quiet_s {
            usual = usual.max(silent);
        }
        let failed = now.failed - before.failed;
        Look {
            at_s: now.at_s,
            failed,
            is_bad: failed > 0 || silent > 2 * usual + 1,
        }
    };
    pairs.map(look).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A look a tenth of a second: what was answered and what failed in each.
    fn samples(looks: &[(u64, u64)]) -> Vec<Sample> {
        let (mut requests, mut failed) = (0, 0);
        let sample = |(index, look): (usize, &(u64, u64))| {
            (requests, failed) = (requests + look.0, failed + look.1);
            Sample {
                at_s: index as f64 / 10.0,
                requests,
                failed,
                ..Sample::default()
            }
        };
        looks.iter().enumerate().map(sample).collect()
    }

    fn at(millis: u64, action: Action) -> Happened {
        Happened {
            at: Duration::from_millis(millis),
            action,
            server: "a:1".into(),
        }
    }

    fn costs(happened: &[Happened], looks: &[(u64, u64)]) -> Vec<(u64, Option<f64>)> {
        let cost = |felt: Felt| {
            let whole = felt.whole_after_s.map(|after| (after * 1e3).round() / 1e3);
            (felt.failed, whole)
        };
        felt(happened, &samples(looks))
            .into_iter()
            .map(cost)
            .collect()
    }

    #[test]
    fn service_is_whole_after_the_last_look_in_which_a_request_failed() {
        let looks = [(9, 0), (9, 0), (9, 2), (9, 0), (9, 1), (9, 0), (9, 0)];
        let kill = [at(150, Action::Kill)];
        assert_eq!(costs(&kill, &looks), [(3, Some(0.25))]);
    }

    #[test]
    fn what_nobody_felt_costs_nothing() {
        let add = [at(150, Action::Add)];
        assert_eq!(costs(&add, &[(9, 0); 5]), [(0, Some(0.0))]);
    }

    #[test]
    fn failures_count_for_the_step_before_them_and_one_that_lasts_to_the_next_is_not_over() {
        let looks = [(9, 0), (9, 0), (9, 2), (9, 1), (9, 4), (9, 0)];
        let steps = [at(150, Action::Kill), at(350, Action::Restore)];
        assert_eq!(costs(&steps, &looks), [(3, None), (4, Some(0.05))]);
    }

    #[test]
    fn silence_is_felt_where_it_is_longer_than_before() {
        let kill = [at(250, Action::Kill)];
        let busy = [(9, 0), (9, 0), (9, 0), (0, 0), (0, 0), (9, 0), (9, 0)];
        assert_eq!(costs(&kill, &busy), [(0, Some(0.15))]);
        let rare = [(1, 0), (1, 0), (0, 0), (0, 0), (0, 0), (1, 0), (1, 0)];
        assert_eq!(costs(&kill, &rare), [(0, Some(0.0))]);
    }
}
