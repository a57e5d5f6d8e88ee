//! Why the sentinels' answer is none. `Display` says everything: the master's name, and each sentinel with its own cause.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cenote::error::with_causes;

use crate::error::{RedisError, ServerError};

/// No sentinel gave an answer that counts. The last set stays, and the sentinels are asked again.
///
/// Shows no password.
#[derive(Debug, thiserror::Error)]
#[error("no sentinel tells of the master \"{master}\": {}", Causes(tried))]
#[non_exhaustive]
pub struct SentinelError {
    /// The master's name.
    pub master: Arc<str>,
    /// Each sentinel, in the order asked.
    pub tried: Vec<TriedSentinel>,
}

/// A sentinel, and why it gave no answer.
#[derive(Debug)]
#[non_exhaustive]
pub struct TriedSentinel {
    /// Its host and port.
    pub sentinel: String,
    /// What is wrong.
    pub fault: SentinelFault,
}

/// Why a sentinel's answer is none.
#[derive(Debug)]
#[non_exhaustive]
pub enum SentinelFault {
    /// It was not reached, let nobody in, or the connection to it ended.
    Failed(RedisError),
    /// It did not answer in time.
    #[non_exhaustive]
    Silent {
        /// [`Sentinels::timeout`](crate::Sentinels::timeout).
        waited: Duration,
    },
    /// It monitors no master of this name.
    UnknownMaster,
    /// It answered with an error: it is no sentinel, or its user may not ask.
    Refused(ServerError),
    /// It answered what no sentinel does.
    Malformed(&'static str),
    /// Its answer is older than one that was heard before, and too few others answer.
    #[non_exhaustive]
    Outdated {
        /// The answer's configuration epoch.
        epoch: u64,
        /// That of the newest answer heard so far.
        known: u64,
    },
}

/// Causes name the sentinel as well where they are the connection's.
impl fmt::Display for TriedSentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sentinel, fault } = self;
        match fault {
            SentinelFault::Failed(error) => f.write_str(&with_causes(error)),
            SentinelFault::Silent { waited } => {
                write!(f, "{sentinel} did not answer in {waited:.1?}")
            }
            SentinelFault::UnknownMaster => {
                write!(f, "{sentinel} monitors no master of this name")
            }
            SentinelFault::Refused(reply) => write!(f, "{sentinel} refused to tell: {reply}"),
            SentinelFault::Malformed(what) => {
                write!(f, "{sentinel} told what makes no sense: {what}")
            }
            SentinelFault::Outdated { epoch, known } => write!(
                f,
                "{sentinel} tells what was in epoch {epoch}, before {known}"
            ),
        }
    }
}

struct Causes<'a>(&'a [TriedSentinel]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, tried) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{tried}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_master_and_each_sentinel_once_with_its_cause() {
        let tried = |sentinel: &str, fault| TriedSentinel {
            sentinel: sentinel.into(),
            fault,
        };
        let closed = RedisError::Closed {
            endpoint: "redis://s1:26379".into(),
        };
        let error = SentinelError {
            master: "orders".into(),
            tried: vec![
                tried("s1:26379", SentinelFault::Failed(closed)),
                tried("s2:26379", SentinelFault::UnknownMaster),
            ],
        };
        assert_eq!(
            error.to_string(),
            "no sentinel tells of the master \"orders\": redis://s1:26379 closed the connection before it replied; \
             s2:26379 monitors no master of this name"
        );
    }
}
