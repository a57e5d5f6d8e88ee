//! A prepared statement as its users hold it.
//!
//! Promises that one that went stale is prepared anew once for all who hold it.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::session::{Names, SessionId};
use crate::traces::Traces;

/// A statement prepared on one connection, to be run there any number of times.
///
/// The server forgets it once every clone is dropped and the connection's cache has let go of it. On another
/// connection its text is prepared there for each run, or taken from the cache of that one if it came from a cache. Its
/// parameters and columns are those of [`tokio_postgres::Statement`], which it dereferences to.
///
/// When the server can no longer run it, because tables or types changed, it is prepared anew at its next run, and
/// that run is repeated unless a transaction is open; what it dereferences to stays as it was at first.
#[derive(Clone)]
pub struct Statement(Arc<Prepared>);

struct Prepared {
    driver: tokio_postgres::Statement,
    text: Box<str>,
    traces: Traces,
    made: Made,
    is_stale: AtomicBool,
    /// What it was prepared anew as.
    successor: OnceLock<Statement>,
}

/// Where and how a statement was prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) session: SessionId,
    pub(crate) names: Names,
    pub(crate) keeping: Keeping,
}

/// Where a statement is kept beside its users' hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeping {
    Nowhere,
    Cache,
}

impl Statement {
    pub(crate) fn new(
        driver: tokio_postgres::Statement,
        text: &str,
        traces: Traces,
        made: Made,
    ) -> Self {
        Self(Arc::new(Prepared {
            driver,
            text: text.into(),
            traces,
            made,
            is_stale: AtomicBool::new(false),
            successor: OnceLock::new(),
        }))
    }

    /// Whether the two were prepared in one go.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn traces(&self) -> Traces {
        self.0.traces
    }

    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    pub(crate) fn made(&self) -> Made {
        self.0.made
    }

    /// What it was last prepared as.
    pub(crate) fn latest(&self) -> &Self {
        let mut latest = self;
        while let Some(successor) = latest.0.successor.get() {
            latest = successor;
        }
        latest
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.0.is_stale.load(Ordering::Relaxed)
    }

    pub(crate) fn turned_stale(&self) {
        self.0.is_stale.store(true, Ordering::Relaxed);
    }

    /// From now on `successor` is run instead, or the one that another user named before.
    pub(crate) fn succeeded_by(&self, successor: Self) {
        let _ = self.0.successor.set(successor);
    }
}

impl Deref for Statement {
    type Target = tokio_postgres::Statement;

    fn deref(&self) -> &tokio_postgres::Statement {
        &self.0.driver
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.driver.fmt(f)
    }
}
