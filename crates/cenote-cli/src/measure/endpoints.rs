//! What users saw of each endpoint, and what the pool said of it, from the begin of a run to its end.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use cenote::report::{EndpointCondition, EndpointStatus, SetStatus};
use hdrhistogram::Histogram;
use serde::Serialize;

use super::errors::{ErrorCount, Errors};

/// From having a connection until the answer was there, in nanoseconds, to two digits: there may be a thousand
/// endpoints.
pub type Latency = Histogram<u32>;

/// Without requests yet. It grows with what it is given.
pub fn latency() -> Latency {
    Histogram::new(2).expect("two digits are valid")
}

/// An endpoint, as the users of one thread saw it, or of all.
pub struct Account {
    pub requests: Latency,
    /// Since it was last taken.
    recent: Latency,
    errors: Errors,
    /// When the last request failed, and with which message.
    last_error: Option<(Instant, String)>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            requests: latency(),
            recent: latency(),
            errors: Errors::default(),
            last_error: None,
        }
    }
}

impl Account {
    pub fn success(&mut self, nanos: u64) {
        for latency in [&mut self.requests, &mut self.recent] {
            latency.record(nanos).expect("it grows");
        }
    }

    pub fn failure(&mut self, kind: &str, message: &str) {
        self.errors.count(kind, message);
        self.last_error = Some((Instant::now(), message.to_owned()));
    }

    /// Adds what `other` saw.
    pub fn merge(&mut self, other: &Self) {
        self.requests.add(&other.requests).expect("it grows");
        self.errors.merge(&other.errors);
        if let Some((at, message)) = &other.last_error
            && self.last_error.as_ref().is_none_or(|(known, _)| known < at)
        {
            self.last_error = Some((*at, message.clone()));
        }
    }

    /// What was seen since the last call goes to `sum`.
    pub fn take_recent(&mut self, sum: &mut Latency) {
        sum.add(&self.recent).expect("it grows");
        self.recent.reset();
    }

    /// By falling count.
    pub fn errors(&self) -> Vec<ErrorCount> {
        self.errors.by_count()
    }

    /// The message of the request that failed last.
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_ref().map(|(_, message)| &**message)
    }
}

/// An endpoint over time.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    pub points: Vec<Point>,
    pub conditions: Vec<Since>,
}

/// What users saw of an endpoint between two moments.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// The later one, in seconds since the run began.
    pub at_s: f64,
    pub requests: u64,
    /// None if no request succeeded.
    pub p99_us: Option<f64>,
}

/// From when on an endpoint was in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Since {
    pub at_s: f64,
    pub condition: Condition,
}

/// A condition without its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Up,
    Standby,
    OnTrial,
    Ejected,
    Down,
    Draining,
    /// It is no endpoint of the set any more.
    Gone,
}

impl Condition {
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Standby => "standby",
            Self::OnTrial => "on trial",
            Self::Ejected => "ejected",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }
}

impl From<&EndpointCondition> for Condition {
    fn from(condition: &EndpointCondition) -> Self {
        match condition {
            EndpointCondition::Standby => Self::Standby,
            EndpointCondition::Down { .. } => Self::Down,
            EndpointCondition::Ejected { .. } => Self::Ejected,
            EndpointCondition::OnTrial => Self::OnTrial,
            EndpointCondition::Draining { .. } => Self::Draining,
            _ => Self::Up,
        }
    }
}

/// All endpoints over time.
#[derive(Default)]
pub struct Log {
    pub histories: BTreeMap<String, History>,
    /// When panic mode came and went, in turn, in seconds since the run began.
    pub panics: Vec<f64>,
    /// As the pool said last.
    pub last: Option<SetStatus>,
}

impl Log {
    /// What the pool says at a moment.
    pub fn look(&mut self, at_s: f64, status: SetStatus) {
        if status.is_in_panic == self.panics.len().is_multiple_of(2) {
            self.panics.push(at_s);
        }
        for EndpointStatus {
            name, condition, ..
        } in &status.endpoints
        {
            self.change(name, at_s, condition.into());
        }
        let names = status.endpoints.iter().map(|endpoint| &*endpoint.name);
        let names: HashSet<&str> = names.collect();
        for (name, history) in &mut self.histories {
            if !names.contains(&**name) {
                history.change(at_s, Condition::Gone);
            }
        }
        self.last = Some(status);
    }

    /// What users saw of each endpoint since the last call.
    pub fn add(&mut self, at_s: f64, recent: BTreeMap<String, Latency>) {
        for (name, latency) in recent {
            let p99_us = latency.value_at_quantile(0.99) as f64 / 1e3;
            let point = Point {
                at_s,
                requests: latency.len(),
                p99_us: (!latency.is_empty()).then_some(p99_us),
            };
            self.histories.entry(name).or_default().points.push(point);
        }
    }

    fn change(&mut self, name: &str, at_s: f64, condition: Condition) {
        match self.histories.get_mut(name) {
            Some(history) => history.change(at_s, condition),
            None => {
                let mut history = History::default();
                history.change(at_s, condition);
                self.histories.insert(name.to_owned(), history);
            }
        }
    }
}

impl History {
    fn change(&mut self, at_s: f64, condition: Condition) {
        let last = self.conditions.last().map(|since| since.condition);
        // What was never in the set did not leave it.
        if last != Some(condition) && (last.is_some() || condition != Condition::Gone) {
            self.conditions.push(Since { at_s, condition });
        }
    }

    /// How often it came to be in `condition`.
    pub fn times(&self, condition: Condition) -> usize {
        let those = |since: &&Since| since.condition == condition;
        self.conditions.iter().filter(those).count()
    }
}

/// What one run showed of a set of endpoints.
pub struct Endpoints {
    /// What users saw of each.
    pub accounts: BTreeMap<String, Account>,
    pub log: Log,
}
