//! That a caller waited in vain, with all that tells why.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::ConnectError;
use crate::report::{BudgetStatus, Holder, Status};

/// A caller waited in vain: how long, what the pool looked like, and why connecting was of no help.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TimedOut {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The endpoint that the caller waited for when it gave up, and for no other, as its connector
    /// [says](crate::Connect::endpoint), else its key: the one that it [named](crate::pool::Get::at), or that its
    /// [key](crate::pool::Get::by_key) led to. None of one that waited for any.
    pub endpoint: Option<Arc<str>>,
    /// How long the caller waited.
    pub waited: Duration,
    /// The pool when it gave up.
    pub status: Status,
    /// Why connects have been failing since the last that did not: at `endpoint`, where that is told.
    pub connect_error: Option<ConnectError>,
    /// The dial that was under way when it gave up, the longest if there were several: to `endpoint`, where that is told.
    pub dialling: Option<Dialling>,
    /// Where in the program the leases were taken that were out when it gave up: the places with the most, three at
    /// most. Of an exclusive pool.
    pub holders: Vec<Holder>,
    /// The [`Budget`](crate::Budget) that kept the pool, which had room itself, from opening one more: of several, the
    /// narrowest.
    pub budget: Option<BudgetStatus>,
}

/// A dial under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialling {
    /// For how long, to the millisecond.
    pub elapsed: Duration,
    /// What is dialled, if the connector [says](crate::Connect::endpoint).
    pub endpoint: Option<Arc<str>>,
}

impl fmt::Display for Dialling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a dial")?;
        if let Some(endpoint) = &self.endpoint {
            write!(f, " to {endpoint}")?;
        }
        write!(f, " has been under way for {:?}", self.elapsed)
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            endpoint,
            waited,
            status,
            connect_error,
            dialling,
            holders,
            budget,
        } = self;
        write!(f, "pool {pool}: no connection")?;
        if let Some(endpoint) = endpoint {
            write!(f, " to {endpoint}")?;
        }
        write!(f, " within {waited:?} ({status})")?;
        match (connect_error, dialling) {
            (Some(error), _) => write!(f, "; connecting fails: {error}")?,
            (None, Some(dialling)) => write!(f, "; {dialling}")?,
            (None, None) => {}
        }
        if let Some(budget) = budget {
            write!(f, "; {budget}")?;
        }
        for (i, holder) in holders.iter().enumerate() {
            write!(f, "{}{holder}", if i == 0 { "; held: " } else { ", " })?;
        }
        Ok(())
    }
}

impl Error for TimedOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.connect_error.as_ref()?.source()
    }
}
