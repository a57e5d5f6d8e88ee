//! Failure accrual: what the outcomes of calls say of one endpoint, and for how long it gets no more of them.
//!
//! Two detectors eject an endpoint. *Failures in a row* see one that is broken. The *success rate* of the last seconds sees
//! one that fails half of its calls and is never wrong for long. Both go by calls, so that the same failures eject at ten
//! calls a second and at ten thousand. A rate that is averaged over time cannot (linkerd2-proxy #4561): it hides a burst,
//! and at little traffic one failure is half of what it knows; so the calls are counted, in a [`window`].
//!
//! An ejection ends with one call, the *probe*. If that succeeds, the endpoint is up, and starts slowly ([`shares`]); if it
//! fails, the endpoint is ejected for longer. Only an endpoint that stays up for a while has its first ejection forgotten.
//!
//! What is said here is an opinion of one endpoint. Whether it takes effect is for the whole set to say ([`ejection`]);
//! so an ejected endpoint may be called all the same. Such calls count for nothing, like those that began before it was
//! ejected: of a hundred calls that hang, the last must not eject an endpoint that has come back since.
//!
//! [`ejection`]: super::ejection
//! [`shares`]: super::shares

mod window;

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use super::backoff::Backoff;
use crate::plural::plural;
use crate::rt::nanos;
use window::{Tally, Window};

/// How a call ended, as far as it tells of the endpoint that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The endpoint answered as it should. Also when it refused what nobody could have done: a syntax error, a key that
    /// is not there.
    Ok,
    /// It did not answer, or answered that something is wrong with it.
    Failed,
    /// It answered that it has too much to do. That counts as a failure in the success rate; among failures in a row it
    /// is not one, for who refuses work is alive, and it does not end them either.
    Overloaded {
        /// For how long it wants to be left alone, if it says so. An ejection lasts at least as long, up to 300 s.
        retry_after: Option<Duration>,
    },
    /// Nothing is known: the caller left before the end.
    Ignore,
}

/// What ejects an endpoint, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AccrualSettings {
    /// So many failures in a row eject, however long they take (envoy #10770). `None`: they do not.
    pub(crate) consecutive_failures: Option<u32>,
    pub(crate) success_rate: Option<SuccessRate>,
    /// How long an ejection lasts, by how many there were in a row: between half and the whole of what the back-off grows
    /// to. Half is sure, for an ejection of next to nothing is none; the other half is drawn, so that the clients
    /// of one endpoint do not all probe it at once. Finagle draws alike ("equal jitter").
    pub(crate) backoff: Backoff,
}

/// The success rate that ejects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SuccessRate {
    /// The time whose calls count.
    pub(crate) window: Duration,
    /// Fewer calls than that decide nothing.
    pub(crate) least_calls: u64,
    /// The endpoint is ejected at this share of successes, or below.
    pub(crate) threshold: f64,
}

impl Default for AccrualSettings {
    /// Five failures in a row, as Finagle and Envoy have it.
    ///
    /// From 1 s to 60 s, as linkerd has it. Envoy begins at 30 s, but there an ejection ends by giving the endpoint all its
    /// load back; to ask with one call costs one call, so it is asked soon, and a restart of two seconds costs about
    /// two.
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            success_rate: Some(SuccessRate::default()),
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(60)),
        }
    }
}

impl Default for SuccessRate {
    /// Half of at least 20 calls within 10 s.
    ///
    /// Twenty, because an endpoint that fails one call in five all the time, which is no better elsewhere if that is how
    /// the service is, looks as bad as half bad once in 400 times after 20 calls, and once in 17 after the 5 of
    /// Finagle. Envoy's 100 would leave an endpoint with less than 10 calls a second unjudged; 20 need two a second.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            least_calls: 20,
            threshold: 0.5,
        }
    }
}

const SECOND: u64 = 1_000_000_000;

/// No hint of an overloaded endpoint keeps it out for longer. From linkerd, which bounds `Retry-After` so.
const MAX_RETRY_AFTER: u64 = 300 * SECOND;

/// An endpoint must stay up for as long as it was out before its ejections are counted anew, and at least for this long:
/// three of the default windows, for at the least rate that decides, it takes one to see a relapse. (Envoy forgets one
/// ejection for each 10 s.)
const MIN_TRIAL: u64 = 30 * SECOND;

/// A probe that has not ended after so long is given up, and the next call is one: its caller may have leaked it. As long
/// as the longest ejection by default, which is what its failure would have cost.
pub(crate) const PROBE_PATIENCE: u64 = 60 * SECOND;

/// What is thought of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes calls. Since when, if it was ejected before.
    Up {
        recovered_at: Option<u64>,
    },
    Ejected(Ejection),
    /// Its ejection is over: the next call is the probe.
    Probation(Ejection),
    /// The probe is under way.
    Probing {
        ejection: Ejection,
        since: u64,
    },
}

/// Until when an endpoint is out, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ejection {
    pub(crate) until: u64,
    pub(crate) cause: Cause,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// So many of its calls failed one after the other.
    ConsecutiveFailures(u32),
    /// Too many of its calls within a while failed.
    #[non_exhaustive]
    SuccessRate {
        /// How many failed,
        failed: u64,
        /// of how many.
        calls: u64,
    },
    /// It was ejected before, and the one call on trial failed.
    ProbeFailed,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures(failures) => {
                write!(f, "{} in a row", plural(*failures, "failure"))
            }
            Self::SuccessRate { failed, calls } => {
                write!(f, "{failed} of {} failed", plural(*calls, "call"))
            }
            Self::ProbeFailed => f.write_str("the call on trial failed"),
        }
    }
}

/// What a call that begins is to its endpoint's account; goes back to it with the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a probe that never ends keeps its endpoint out"]
pub(crate) enum Call {
    Counted(Era),
    Probe(Era),
    /// The endpoint is called although it is ejected.
    Uncounted,
}

/// The time from one change of an endpoint's standing to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Era(u32);

/// The account of one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Accrual {
    state: State,
    era: Era,
    /// When that began.
    era_began: u64,
    failures_in_a_row: u32,
    window: Window,
    /// Until when it wants to be left alone, by what it said. No ejection ends before.
    retry_at: u64,
    ejections_in_a_row: u32,
    /// From then on its next ejection is a first one.
    trusted_at: u64,
    last_ejection_took: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Up { recovered_at: Option<u64> },
    Ejected(Ejection),
    Probing { ejection: Ejection, since: u64 },
}

impl Accrual {
    /// Of an endpoint that nothing is known of.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Up { recovered_at: None },
            era: Era::default(),
            era_began: 0,
            failures_in_a_row: 0,
            window: Window::default(),
            retry_at: 0,
            ejections_in_a_row: 0,
            trusted_at: 0,
            last_ejection_took: 0,
        }
    }

    pub(crate) fn standing(&self, now: u64) -> Standing {
        match self.state {
            State::Up { recovered_at } => Standing::Up { recovered_at },
            State::Ejected(ejection) if now < ejection.until => Standing::Ejected(ejection),
            State::Ejected(ejection) => Standing::Probation(ejection),
            State::Probing { ejection, since } if now.saturating_sub(since) < PROBE_PATIENCE => {
                Standing::Probing { ejection, since }
            }
            State::Probing { ejection, .. } => Standing::Probation(ejection),
        }
    }

    /// What a call is that began at `began`, where it was not told as it began.
    pub(crate) fn call_since(&self, began: u64) -> Call {
        match self.state {
            State::Up { .. } if began >= self.era_began => Call::Counted(self.era),
            State::Probing { .. } if began >= self.era_began => Call::Probe(self.era),
            _ => Call::Uncounted,
        }
    }

    /// A call begins: the probe, if one is due.
    pub(crate) fn begin(&mut self, now: u64) -> Call {
        match self.standing(now) {
            Standing::Up { .. } => Call::Counted(self.era),
            Standing::Ejected(_) | Standing::Probing { .. } => Call::Uncounted,
            Standing::Probation(ejection) => {
                let since = now;
                self.enter(State::Probing { ejection, since }, now);
                Call::Probe(self.era)
            }
        }
    }

    /// A call ends: the endpoint's standing, if that changes it.
    pub(crate) fn end(
        &mut self,
        call: Call,
        outcome: Outcome,
        now: u64,
        settings: &AccrualSettings,
        rng: &mut Rng,
    ) -> Option<Standing> {
        match (call, self.state) {
            (Call::Counted(era), State::Up { .. }) if era == self.era => {
                let cause = self.count(outcome, now, settings)?;
                self.eject(cause, now, settings, rng);
            }
            (Call::Probe(era), State::Probing { ejection, .. }) if era == self.era => match outcome
            {
                Outcome::Ok => self.recover(now),
                Outcome::Ignore => self.enter(State::Ejected(ejection), now),
                Outcome::Failed | Outcome::Overloaded { .. } => {
                    self.heed(outcome, now);
                    self.eject(Cause::ProbeFailed, now, settings, rng);
                }
            },
            _ => return None,
        }
        Some(self.standing(now))
    }

    /// Why the endpoint is to be ejected, if it is. Only a failure ejects.
    fn count(&mut self, outcome: Outcome, now: u64, settings: &AccrualSettings) -> Option<Cause> {
        match outcome {
            Outcome::Ignore => return None,
            Outcome::Ok => self.failures_in_a_row = 0,
            Outcome::Failed => self.failures_in_a_row = self.failures_in_a_row.saturating_add(1),
            Outcome::Overloaded { .. } => self.heed(outcome, now),
        }
        if let Some(rate) = settings.success_rate {
            self.window.count(now, nanos(rate.window), outcome);
        }
        if outcome == Outcome::Ok {
            return None;
        }
        let failures = self.failures_in_a_row;
        if settings
            .consecutive_failures
            .is_some_and(|enough| failures >= enough)
        {
            return Some(Cause::ConsecutiveFailures(failures));
        }
        let rate = settings.success_rate?;
        let Tally { calls, failed } = self.window.tally();
        let succeeded = (calls - failed) as f64;
        (calls >= rate.least_calls && succeeded <= rate.threshold * calls as f64)
            .then_some(Cause::SuccessRate { failed, calls })
    }

    fn heed(&mut self, outcome: Outcome, now: u64) {
        if let Outcome::Overloaded {
            retry_after: Some(after),
        } = outcome
        {
            let retry_at = now.saturating_add(nanos(after).min(MAX_RETRY_AFTER));
            self.retry_at = self.retry_at.max(retry_at);
        }
    }

    fn eject(&mut self, cause: Cause, now: u64, settings: &AccrualSettings, rng: &mut Rng) {
        if now >= self.trusted_at {
            self.ejections_in_a_row = 0;
        }
        self.ejections_in_a_row = self.ejections_in_a_row.saturating_add(1);
        let longest = settings.backoff.ceiling(self.ejections_in_a_row);
        let until = now
            .saturating_add(rng.u64(longest / 2..=longest))
            .max(self.retry_at);
        self.last_ejection_took = until - now;
        self.trusted_at = u64::MAX;
        self.enter(State::Ejected(Ejection { until, cause }), now);
    }

    fn recover(&mut self, now: u64) {
        let trial = self.last_ejection_took.max(MIN_TRIAL);
        self.trusted_at = now.saturating_add(trial);
        let recovered_at = Some(now);
        self.enter(State::Up { recovered_at }, now);
    }

    /// A new era, which knows nothing of the calls of the last.
    fn enter(&mut self, state: State, now: u64) {
        self.state = state;
        self.era_began = now;
        self.era = Era(self.era.0.wrapping_add(1));
        self.failures_in_a_row = 0;
        self.window = Window::default();
    }
}

#[cfg(test)]
mod tests;
