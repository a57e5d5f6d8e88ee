//! What can be said of a discovery: how good what it knows is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::plural::plural;

/// How a [`Discovery`](super::Discovery) stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiscoveryStatus {
    /// What its source [calls](super::Discover::name) itself.
    pub source: Arc<str>,
    /// How often the set has changed; 0 before the first.
    pub version: u64,
    /// How many endpoints the set has.
    pub endpoints: usize,
    /// How long ago the source last told a set that counts, changed or not; `None` before the first.
    pub age: Option<Duration>,
    /// For how long the source has failed, and why it last did; `None` if it last told a set.
    pub failing: Option<Failing>,
    /// The source tells nothing any more, and nobody asks it.
    pub has_ended: bool,
}

/// A source that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failing {
    /// Since its first failure in a row.
    pub since: Duration,
    /// How many there were.
    pub failures: u64,
    /// The last one's text, with its causes.
    pub error: Arc<str>,
}

impl fmt::Display for DiscoveryStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            source,
            version,
            endpoints,
            ..
        } = self;
        match self.age {
            None => write!(f, "no endpoints of {source} yet")?,
            Some(age) => write!(
                f,
                "{} of {source}, version {version}, as of {age:.1?} ago",
                plural(*endpoints, "endpoint")
            )?,
        }
        if let Some(Failing {
            since,
            failures,
            error,
        }) = &self.failing
        {
            write!(f, "; failing since {since:.1?} ago")?;
            match failures {
                1 => write!(f, ": {error}")?,
                failures => write!(f, ", {failures} times: {error}")?,
            }
        }
        if self.has_ended {
            f.write_str("; there will be no news")?;
        }
        Ok(())
    }
}
