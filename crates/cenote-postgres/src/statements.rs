//! The prepared statements that a connection keeps, by their text, least recently used first out.
//!
//! Promises that users who ask for the same text at once have it prepared once: the first does it, the others
//! wait for it, and the next of them goes on with it should the first be cancelled.
//!
//! Eviction scans the whole cache: at most some hundred entries, and only when a new statement is
//! prepared, which costs a round trip anyway. Dropping a statement makes the driver close it on the server.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::traces::Traces;

/// A statement prepared on one connection, to be run there any number of times.
///
/// It works only on the connection that prepared it; on another one the server answers with an error. The
/// server forgets it once every clone is dropped and the connection's cache has let go of it. Its
/// parameters and columns are those of [`tokio_postgres::Statement`], which it dereferences to.
#[derive(Clone, Debug)]
pub struct Statement {
    prepared: Arc<tokio_postgres::Statement>,
    traces: Traces,
}

impl Statement {
    pub(crate) fn new(prepared: tokio_postgres::Statement, traces: Traces) -> Self {
        Self {
            prepared: Arc::new(prepared),
            traces,
        }
    }

    /// Whether the two were prepared in one go.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.prepared, &other.prepared)
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
pub(crate) struct Statements<S = Statement> {
    capacity: usize,
    /// Held for a look-up or an insertion, never across an await.
    kept: Mutex<Kept<S>>,
}

#[derive(Debug)]
struct Kept<S> {
    by_text: HashMap<Box<str>, Entry<S>>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<S> {
    preparation: Preparation<S>,
    last_use: u64,
}

/// A statement, or the wait for it. `None`: preparing it failed, and it is no longer in the cache.
type Preparation<S> = Arc<OnceCell<Option<S>>>;

impl<S: Clone> Statements<S> {
    /// A cache for `capacity` statements; with 0 it keeps none.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: Mutex::new(Kept {
                by_text: HashMap::new(),
                uses: 0,
            }),
        }
    }

    /// The statement for this text, prepared by `prepare` if nobody has done so yet.
    ///
    /// Who waited for a preparation that failed prepares on his own, beside the others: an error belongs to
    /// one user.
    pub(crate) async fn find_or_prepare<F, E>(
        &self,
        sql: &str,
        prepare: impl Fn() -> F,
    ) -> Result<S, E>
    where
        F: Future<Output = Result<S, E>>,
    {
        if self.capacity == 0 {
            return prepare().await;
        }
        let preparation = self.find_or_begin(sql);
        let mut failed = None;
        let prepared = preparation.get_or_init(|| async {
            match prepare().await {
                Ok(statement) => Some(statement),
                Err(error) => {
                    failed = Some(error);
                    self.forget_if(sql, |kept| Arc::ptr_eq(kept, &preparation));
                    None
                }
            }
        });
        match (prepared.await, failed) {
            (Some(statement), _) => Ok(statement.clone()),
            (None, Some(error)) => Err(error),
            (None, None) => prepare().await,
        }
    }

    /// The statement for this text, if it is prepared.
    pub(crate) fn find(&self, sql: &str) -> Option<S> {
        let mut kept = self.lock();
        kept.uses += 1;
        let last_use = kept.uses;
        let entry = kept.by_text.get_mut(sql)?;
        entry.last_use = last_use;
        entry.preparation.get()?.clone()
    }

    fn find_or_begin(&self, sql: &str) -> Preparation<S> {
        let mut kept = self.lock();
        kept.uses += 1;
        let last_use = kept.uses;
        if let Some(entry) = kept.by_text.get_mut(sql) {
            entry.last_use = last_use;
            return entry.preparation.clone();
        }
        if kept.by_text.len() >= self.capacity {
            let oldest = kept.by_text.iter().min_by_key(|(_, entry)| entry.last_use);
            let oldest = oldest.map(|(text, _)| text.clone());
            oldest.and_then(|text| kept.by_text.remove(&text));
        }
        let preparation = Preparation::default();
        let entry = Entry {
            preparation: preparation.clone(),
            last_use,
        };
        kept.by_text.insert(sql.into(), entry);
        preparation
    }

    /// Drops the statement kept for this text if it is one that `is_stale` knows: another user may have
    /// replaced it already.
    pub(crate) fn forget(&self, sql: &str, is_stale: impl FnOnce(&S) -> bool) {
        self.forget_if(
            sql,
            |kept| matches!(kept.get(), Some(Some(statement)) if is_stale(statement)),
        );
    }

    fn forget_if(&self, sql: &str, is_stale: impl FnOnce(&Preparation<S>) -> bool) {
        let mut kept = self.lock();
        if let Some(entry) = kept.by_text.get(sql)
            && is_stale(&entry.preparation)
        {
            kept.by_text.remove(sql);
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().by_text.clear();
    }

    /// How many are prepared.
    pub(crate) fn len(&self) -> usize {
        let kept = self.lock();
        let prepared = |entry: &&Entry<S>| matches!(entry.preparation.get(), Some(Some(_)));
        kept.by_text.values().filter(prepared).count()
    }

    /// No code that can panic runs under the lock, so a poisoned one still guards a sound map.
    fn lock(&self) -> MutexGuard<'_, Kept<S>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn users_who_ask_at_once_have_a_text_prepared_once() {
        let (statements, asked, go) = (Statements::new(8), Cell::new(0), Notify::new());
        let prepare = async || {
            asked.set(asked.get() + 1);
            go.notified().await;
            Ok::<_, ()>(asked.get())
        };
        let user = || statements.find_or_prepare("SELECT 1", prepare);
        let (one, other, third, ()) = tokio::join!(user(), user(), user(), async {
            go.notify_waiters();
        });
        assert_eq!((one, other, third), (Ok(1), Ok(1), Ok(1)));
    }

    #[tokio::test]
    async fn who_waits_for_one_that_is_cancelled_goes_on_with_it() {
        let (statements, asked) = (Statements::new(8), Cell::new(0));
        let prepare = async || {
            asked.set(asked.get() + 1);
            match asked.get() {
                1 => std::future::pending().await,
                turn => Ok::<_, ()>(turn),
            }
        };
        let user = || statements.find_or_prepare("SELECT 1", prepare);
        let second = tokio::select! {
            biased;
            _ = user() => unreachable!("it never ends"),
            second = user() => second,
            () = tokio::task::yield_now() => user().await,
        };
        assert_eq!(second, Ok(2));
    }

    #[tokio::test]
    async fn a_failure_reaches_only_the_one_whose_it_is() {
        let (statements, asked) = (Statements::new(8), Cell::new(0));
        let prepare = async || {
            asked.set(asked.get() + 1);
            let turn = asked.get();
            tokio::task::yield_now().await;
            match turn {
                1 => Err("refused"),
                turn => Ok(turn),
            }
        };
        let user = || statements.find_or_prepare("SELECT 1", prepare);
        assert_eq!(tokio::join!(user(), user()), (Err("refused"), Ok(2)));
        assert_eq!(statements.len(), 0, "it was prepared for one user alone");
    }

    #[tokio::test]
    async fn a_stale_statement_that_was_replaced_stays_replaced() {
        let statements = Statements::new(8);
        let of = |number| {
            statements.find_or_prepare("SELECT 1", move || std::future::ready(Ok::<_, ()>(number)))
        };
        assert_eq!(of(1).await, Ok(1));
        statements.forget("SELECT 1", |kept| *kept == 1);
        assert_eq!(of(2).await, Ok(2));
        statements.forget("SELECT 1", |kept| *kept == 1);
        assert_eq!(of(3).await, Ok(2));
    }
}
