//! When an endpoint of a set is thought bad: what users say of it.

use std::fmt;
use std::time::Duration;

use crate::error::SettingsError;
use crate::plural::plural;
use crate::policy::accrual::{AccrualSettings, SuccessRate};
use crate::settings::{Backoff, SHORTEST, check_duration, refuse};

/// When an endpoint of a set that can be reached gets no calls for a while, by how its calls end, which
/// [`Lease::outcome`](crate::Lease::outcome) tells; a connection that breaks or fails its check counts as a failure by
/// itself.
///
/// The first ejection lasts for half a second to a second, each one more in a row for twice as long, up to 30 s to 60 s.
/// Then one connection is let out on trial, and its first call that is told decides; in a pool that is told of none, a
/// connection that lasts for a second. Ejections are opinions: where more than half of the endpoints that can be reached
/// would be out, all of them are used.
///
/// ```
/// use cenote::endpoints::Ejection;
/// use std::time::Duration;
///
/// let sooner = Ejection::default()
///     .consecutive_failures(3)
///     .success_rate(0.9, Duration::from_secs(30), 100);
/// let never = Ejection::never();
/// # let _ = (sooner, never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it is for `PoolBuilder::ejection`"]
pub struct Ejection(AccrualSettings);

impl Default for Ejection {
    /// Five failures in a row, or at most half of at least 20 calls within 10 s that succeed.
    fn default() -> Self {
        Self(AccrualSettings::default())
    }
}

/// As in `after 5 failures in a row, or at most 50 % of 20 in 10s`.
impl fmt::Display for Ejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccrualSettings {
            consecutive_failures,
            success_rate,
            ..
        } = &self.0;
        if let Some(failures) = consecutive_failures {
            write!(f, "after {} in a row", plural(*failures, "failure"))?;
        }
        match (consecutive_failures, success_rate) {
            (None, None) => f.write_str("never")?,
            (Some(_), Some(_)) => f.write_str(", or ")?,
            (Some(_), None) | (None, Some(_)) => {}
        }
        match success_rate {
            Some(SuccessRate {
                window,
                least_calls,
                threshold,
            }) => write!(
                f,
                "at most {:.0} % of {least_calls} or more in {window:?}",
                100.0 * threshold
            ),
            None => Ok(()),
        }
    }
}

impl Ejection {
    /// Whatever happens, no endpoint is ejected.
    pub fn never() -> Self {
        Self(AccrualSettings {
            consecutive_failures: None,
            success_rate: None,
            ..AccrualSettings::default()
        })
    }

    /// So many failures in a row eject, however long they take; at least 1. `None`: they do not.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.0.consecutive_failures = failures.into();
        self
    }

    /// An endpoint is ejected where the share of its calls that succeed is at most `threshold`, from 0.0 to 1.0, among all
    /// within `window`, if these are at least `least_calls`.
    pub fn success_rate(mut self, threshold: f64, window: Duration, least_calls: u64) -> Self {
        self.0.success_rate = Some(SuccessRate {
            window,
            least_calls,
            threshold,
        });
        self
    }

    /// How long an ejection lasts: from half to the whole of what this grows to with each in a row.
    pub fn lasting(mut self, backoff: Backoff) -> Self {
        self.0.backoff = backoff;
        self
    }

    pub(crate) fn accrual(self) -> AccrualSettings {
        self.0
    }

    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        if self.0.consecutive_failures == Some(0) {
            return refuse("ejection.consecutive_failures", 0, "at least 1, or None");
        }
        if let Some(rate) = self.0.success_rate {
            check_duration("ejection.window", Some(rate.window), 10 * SHORTEST)?;
            if !(0.0..=1.0).contains(&rate.threshold) {
                return refuse("ejection.success_rate", rate.threshold, "from 0.0 to 1.0");
            }
            if rate.least_calls == 0 {
                return refuse("ejection.least_calls", 0, "at least 1");
            }
        }
        let Backoff { base, max, .. } = self.0.backoff;
        check_duration("ejection.lasting.base", Some(base), SHORTEST)?;
        check_duration("ejection.lasting.max", Some(max), base)
    }
}
