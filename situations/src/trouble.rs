//! What can be wrong with an answer.

use std::error::Error;
use std::fmt;

/// Why a question has no right answer.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// An error, which says so: to be expected while something is wrong.
    Failed(String),
    /// No answer in the time that the user has.
    TimedOut,
    /// The answer to somebody else's question, or a session with somebody else's traces: never to be borne.
    Leak(String),
}

impl Trouble {
    /// An error with all its causes.
    pub fn failed(error: impl Error) -> Self {
        Self::Failed(cenote::error::with_causes(&error))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text) => f.write_str(text),
            Self::TimedOut => f.write_str("no answer within a second"),
            Self::Leak(text) => write!(f, "LEAK: {text}"),
        }
    }
}
