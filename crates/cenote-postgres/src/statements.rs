//! The prepared statements that a connection keeps, by their text, least recently used first out.
//!
//! Eviction scans the whole cache: at most some hundred entries, and only when a new statement is
//! prepared, which costs a round trip anyway. Dropping a statement makes the driver close it on the server.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::traces::Traces;

/// A statement prepared on one connection, to be run there any number of times.
///
/// It works only on the connection that prepared it; on another one the server answers with an error. The
/// server forgets it once every clone is dropped and the connection's cache has let go of it. Its
/// parameters and columns are those of [`tokio_postgres::Statement`], which it dereferences to.
#[derive(Clone, Debug)]
pub struct Statement {
    prepared: tokio_postgres::Statement,
    traces: Traces,
}

impl Statement {
    pub(crate) fn new(prepared: tokio_postgres::Statement, traces: Traces) -> Self {
        Self { prepared, traces }
    }

    pub(crate) fn traces(&self) -> Traces {
        self.traces
    }

    pub(crate) fn prepared(&self) -> &tokio_postgres::Statement {
        &self.prepared
    }
}

impl Deref for Statement {
    type Target = tokio_postgres::Statement;

    fn deref(&self) -> &tokio_postgres::Statement {
        &self.prepared
    }
}

/// The cache of one connection.
#[derive(Debug)]
pub(crate) struct Statements {
    capacity: usize,
    /// Held for a look-up or an insertion, never across an await.
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_text: HashMap<Box<str>, Entry>,
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    statement: Statement,
    last_use: u64,
}

impl Statements {
    /// A cache for `capacity` statements; with 0 it keeps none.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: Mutex::default(),
        }
    }

    pub(crate) fn find(&self, sql: &str) -> Option<Statement> {
        let mut kept = self.lock();
        kept.uses += 1;
        let now = kept.uses;
        let entry = kept.by_text.get_mut(sql)?;
        entry.last_use = now;
        Some(entry.statement.clone())
    }

    pub(crate) fn keep(&self, sql: &str, statement: Statement) {
        if self.capacity == 0 {
            return;
        }
        let mut kept = self.lock();
        kept.uses += 1;
        let last_use = kept.uses;
        if !kept.by_text.contains_key(sql) && kept.by_text.len() >= self.capacity {
            let oldest = kept.by_text.iter().min_by_key(|(_, entry)| entry.last_use);
            let oldest = oldest.map(|(text, _)| text.clone());
            oldest.and_then(|text| kept.by_text.remove(&text));
        }
        kept.by_text.insert(
            sql.into(),
            Entry {
                statement,
                last_use,
            },
        );
    }

    pub(crate) fn forget(&self, sql: &str) {
        self.lock().by_text.remove(sql);
    }

    pub(crate) fn clear(&self) {
        self.lock().by_text.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().by_text.len()
    }

    /// No code that can panic runs under the lock, so a poisoned one still guards a sound map.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
