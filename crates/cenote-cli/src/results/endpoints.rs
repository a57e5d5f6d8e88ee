//! What a run showed of each of several servers.

use cenote::report::EndpointStatus;
use serde::Serialize;

use super::Percentiles;
use crate::args::Rule;
use crate::failure;
use crate::measure::{Endpoints, ErrorCount, History};
use crate::shown::Shown;

/// The servers of one run.
#[derive(Serialize)]
pub struct SetResult {
    /// None where nothing chose by a rule.
    pub balance: Option<Rule>,
    /// Of the pool's discovery at the end; none without a pool.
    pub discovery: Option<DiscoveryResult>,
    /// When so many were ejected that all were used, and when that was over, in turn, in seconds.
    pub panics_s: Vec<f64>,
    /// By name.
    pub endpoints: Vec<EndpointResult>,
    /// What is worth saying of them, and what to do about it.
    pub notes: Vec<String>,
}

/// How good what was known of the set was at the end.
#[derive(Serialize)]
pub struct DiscoveryResult {
    pub version: u64,
    pub endpoints: usize,
    /// Since the source last told a set.
    pub age_s: Option<f64>,
    /// As the pool says it.
    #[serde(skip)]
    pub text: String,
}

/// One server.
#[derive(Serialize)]
pub struct EndpointResult {
    pub name: String,
    /// That succeeded.
    pub requests: u64,
    /// Of all requests that succeeded, from 0 to 1.
    pub share: f64,
    pub failed: u64,
    /// From having a connection until the answer was there. None if no request succeeded.
    pub request_us: Option<Percentiles>,
    /// What the pool said of it at the end; none without a pool, or if it was no endpoint by then.
    pub status: Option<StatusResult>,
    pub errors: Vec<ErrorCount>,
    /// Of the request that failed last, or why connecting to it failed at the end.
    pub last_error: Option<String>,
    #[serde(flatten)]
    pub history: History,
}

/// What a pool says of an endpoint.
#[derive(Serialize)]
pub struct StatusResult {
    /// With the reason, and until when.
    pub condition: String,
    /// The part of the load that it was to get, from 0 to 1.
    pub due_share: f64,
    /// How long its calls take as the pool reckons, by which `peak-ewma` goes; none if no call was told of late.
    pub latency_us: Option<f64>,
    pub in_flight: usize,
    pub connections: usize,
    pub opening: usize,
}

impl SetResult {
    /// What went wrong is kept as it is `shown`; `balance` is the rule of the run's pool, if it had one.
    pub fn new(measured: Endpoints, balance: Option<Rule>, shown: &Shown) -> Self {
        let Endpoints { mut accounts, log } = measured;
        let mut histories = log.histories;
        let statuses = log.last.as_ref().map_or(&[][..], |last| &last.endpoints);
        for status in statuses {
            accounts.entry(status.name.to_string()).or_default();
        }
        let all: u64 = accounts
            .values()
            .map(|account| account.requests.len())
            .sum();
        let endpoints = accounts.into_iter().map(|(name, account)| {
            let status = statuses.iter().find(|status| *status.name == *name);
            let requests = account.requests.len();
            let errors: Vec<_> = account
                .errors()
                .into_iter()
                .map(|error| error.shown(shown))
                .collect();
            let connect_error = status.and_then(|status| status.connect_error.as_ref());
            let last_error = match connect_error {
                Some(error) => Some(shown.of(&failure::chain(error))),
                None => account.last_error().map(|message| shown.of(message)),
            };
            EndpointResult {
                requests,
                share: requests as f64 / all.max(1) as f64,
                failed: errors.iter().map(|error| error.count).sum(),
                request_us: Percentiles::of(&account.requests),
                status: status.map(StatusResult::of),
                errors,
                last_error,
                history: histories.remove(&name).unwrap_or_default(),
                name: shown.of(&name),
            }
        });
        let endpoints = endpoints.collect();
        Self {
            balance,
            discovery: log.last.map(|last| DiscoveryResult {
                version: last.discovery.version,
                endpoints: last.discovery.endpoints,
                age_s: last.discovery.age.map(|age| age.as_secs_f64()),
                text: last.discovery.to_string(),
            }),
            panics_s: log.panics,
            endpoints,
            notes: Vec::new(),
        }
    }

    /// Those to show where not all can be: the `most` with the fewest and the most requests, in order of them.
    pub fn extremes(&self, most: usize) -> Vec<&EndpointResult> {
        let mut endpoints: Vec<_> = self.endpoints.iter().collect();
        if endpoints.len() <= most {
            return endpoints;
        }
        endpoints.sort_by_key(|endpoint| endpoint.requests);
        let few = most / 2;
        let many = endpoints.len() - (most - few);
        endpoints.drain(few..many);
        endpoints
    }
}

impl StatusResult {
    fn of(status: &EndpointStatus) -> Self {
        Self {
            condition: status.condition.to_string(),
            due_share: status.share,
            latency_us: status.latency.map(|latency| latency.as_secs_f64() * 1e6),
            in_flight: status.in_flight,
            connections: status.connections,
            opening: status.opening,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_not_all_are_shown_those_with_the_fewest_and_the_most_requests_are() {
        let endpoint = |number: u64| EndpointResult {
            name: number.to_string(),
            requests: number * 7 % 100,
            share: 0.0,
            failed: 0,
            request_us: None,
            status: None,
            errors: Vec::new(),
            last_error: None,
            history: History::default(),
        };
        let set = SetResult {
            balance: None,
            discovery: None,
            panics_s: Vec::new(),
            endpoints: (0..100).map(endpoint).collect(),
            notes: Vec::new(),
        };
        let requests = |most| -> Vec<u64> {
            set.extremes(most)
                .iter()
                .map(|endpoint| endpoint.requests)
                .collect()
        };
        assert_eq!(requests(5), [0, 1, 97, 98, 99]);
        assert_eq!(requests(100).len(), 100);
    }
}
