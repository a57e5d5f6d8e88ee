//! The prepared statements that a connection keeps, by their text and by how names resolve.
//!
//! Promises that users who ask for the same text at once have it prepared once: the first does it, the others
//! wait for it, and the next of them goes on with it should the first be cancelled. And that texts which never come
//! again leave the room to those that do: a text is on trial until its second use, those on trial have a share of
//! their own, least recently used first out, and a text that comes again soon after it left is past its trial.
//!
//! Eviction scans the whole cache: at most some hundred entries, and only when a new statement is
//! prepared, which costs a round trip anyway. Dropping a statement makes the driver close it on the server.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::session::Names;
use crate::statement::Statement;

/// What a statement is taken to need beside its text.
const OVERHEAD: usize = 1024;
/// The part of a cache that texts on trial may fill is one in so many.
const TRIAL_PART: usize = 8;
/// A smaller cache than this is all theirs.
const TRIAL_LEAST: usize = 16;
/// How many texts that left are remembered, for each that may be kept.
const MEMORY: usize = 4;

/// How much a cache keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Statements; with 0 it keeps none.
    pub(crate) statements: usize,
    /// Their texts together, each with [`OVERHEAD`].
    pub(crate) bytes: usize,
}

impl Bounds {
    /// The share of texts that came once.
    fn on_trial(self) -> Self {
        Self {
            statements: (self.statements / TRIAL_PART).max(TRIAL_LEAST),
            bytes: self.bytes / TRIAL_PART,
        }
    }
}

/// The cache of one connection.
#[derive(Debug)]
pub(crate) struct Statements<S = Statement> {
    bounds: Bounds,
    hasher: RandomState,
    /// Held for a look-up or an insertion, never across an await.
    kept: Mutex<Kept<S>>,
}

#[derive(Debug)]
struct Kept<S> {
    entries: HashMap<u64, Entry<S>>,
    all: Fill,
    on_trial: Fill,
    /// The keys of texts that left, the latest last.
    gone: VecDeque<u64>,
    uses: u64,
}

/// How full a part of a cache is.
#[derive(Clone, Copy, Debug, Default)]
struct Fill {
    statements: usize,
    bytes: usize,
}

impl Fill {
    fn add(&mut self, bytes: usize) {
        self.statements += 1;
        self.bytes += bytes;
    }

    fn remove(&mut self, bytes: usize) {
        self.statements -= 1;
        self.bytes -= bytes;
    }

    fn exceeds(self, bounds: Bounds) -> bool {
        self.statements > bounds.statements || self.bytes > bounds.bytes
    }
}

#[derive(Debug)]
struct Entry<S> {
    names: Names,
    text: Box<str>,
    preparation: Preparation<S>,
    stage: Stage,
    last_use: u64,
}

impl<S> Entry<S> {
    fn is_for(&self, names: Names, sql: &str) -> bool {
        self.names == names && *self.text == *sql
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It came once.
    Trial,
    Proven,
}

/// A statement, or the wait for it. `None`: preparing it failed, and it is no longer in the cache.
type Preparation<S> = Arc<OnceCell<Option<S>>>;

impl<S: Clone> Statements<S> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            hasher: RandomState::new(),
            kept: Mutex::new(Kept {
                entries: HashMap::new(),
                all: Fill::default(),
                on_trial: Fill::default(),
                gone: VecDeque::new(),
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
        names: Names,
        sql: &str,
        prepare: impl Fn() -> F,
    ) -> Result<S, E>
    where
        F: Future<Output = Result<S, E>>,
    {
        let Some(preparation) = self.find_or_begin(names, sql) else {
            return prepare().await;
        };
        let mut failed = None;
        let prepared = preparation.get_or_init(|| async {
            match prepare().await {
                Ok(statement) => Some(statement),
                Err(error) => {
                    failed = Some(error);
                    self.forget_if(names, sql, |kept| Arc::ptr_eq(kept, &preparation));
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
    pub(crate) fn find(&self, names: Names, sql: &str) -> Option<S> {
        let key = self.key(names, sql);
        let preparation = self.lock().used(key, names, sql)?;
        preparation.get()?.clone()
    }

    /// `None`: there is no room for it.
    fn find_or_begin(&self, names: Names, sql: &str) -> Option<Preparation<S>> {
        let bytes = bytes(sql);
        if self.bounds.statements == 0 || bytes > self.bounds.bytes {
            return None;
        }
        let key = self.key(names, sql);
        let mut kept = self.lock();
        let kept = &mut *kept;
        if kept.entries.contains_key(&key) {
            // Another text may have the same key, once in many lifetimes of the universe.
            return kept.used(key, names, sql);
        }
        let preparation = kept.begin(key, names, sql);
        kept.make_room(key, self.bounds);
        Some(preparation)
    }

    fn key(&self, names: Names, sql: &str) -> u64 {
        self.hasher.hash_one((names, sql))
    }

    /// Drops the statement kept for this text if it is one that `is_stale` knows: another user may have
    /// replaced it already.
    pub(crate) fn forget(&self, names: Names, sql: &str, is_stale: impl FnOnce(&S) -> bool) {
        self.forget_if(
            names,
            sql,
            |kept| matches!(kept.get(), Some(Some(statement)) if is_stale(statement)),
        );
    }

    fn forget_if(&self, names: Names, sql: &str, is_stale: impl FnOnce(&Preparation<S>) -> bool) {
        let key = self.key(names, sql);
        let mut kept = self.lock();
        if let Some(entry) = kept.entries.get(&key)
            && entry.is_for(names, sql)
            && is_stale(&entry.preparation)
        {
            kept.remove(key);
        }
    }

    pub(crate) fn clear(&self) {
        let mut kept = self.lock();
        kept.entries.clear();
        kept.all = Fill::default();
        kept.on_trial = Fill::default();
    }

    /// How many are prepared.
    pub(crate) fn len(&self) -> usize {
        let kept = self.lock();
        let prepared = |entry: &&Entry<S>| matches!(entry.preparation.get(), Some(Some(_)));
        kept.entries.values().filter(prepared).count()
    }

    /// No code that can panic runs under the lock, so a poisoned one still guards a sound map.
    fn lock(&self) -> MutexGuard<'_, Kept<S>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> Kept<S> {
    /// The statement for this text, or the wait for it, used once more.
    fn used(&mut self, key: u64, names: Names, sql: &str) -> Option<Preparation<S>> {
        self.uses += 1;
        let entry = self.entries.get_mut(&key)?;
        if !entry.is_for(names, sql) {
            return None;
        }
        entry.last_use = self.uses;
        if entry.stage == Stage::Trial {
            entry.stage = Stage::Proven;
            self.on_trial.remove(bytes(sql));
        }
        Some(entry.preparation.clone())
    }

    fn begin(&mut self, key: u64, names: Names, sql: &str) -> Preparation<S> {
        let stage = match self.gone.iter().position(|&gone| gone == key) {
            Some(at) => {
                self.gone.remove(at);
                Stage::Proven
            }
            None => Stage::Trial,
        };
        self.uses += 1;
        let bytes = bytes(sql);
        self.all.add(bytes);
        if stage == Stage::Trial {
            self.on_trial.add(bytes);
        }
        let preparation = Preparation::default();
        let entry = Entry {
            names,
            text: sql.into(),
            preparation: preparation.clone(),
            stage,
            last_use: self.uses,
        };
        self.entries.insert(key, entry);
        preparation
    }

    /// Drops what is least recently used, but not the newest.
    fn make_room(&mut self, newest: u64, bounds: Bounds) {
        let trial = bounds.on_trial();
        while self.on_trial.exceeds(trial)
            && let Some(key) = self.oldest(newest, |entry| entry.stage == Stage::Trial)
        {
            self.let_go(key, bounds);
        }
        while self.all.exceeds(bounds)
            && let Some(key) = self.oldest(newest, |_| true)
        {
            self.let_go(key, bounds);
        }
    }

    fn oldest(&self, newest: u64, among: impl Fn(&Entry<S>) -> bool) -> Option<u64> {
        let candidates = self.entries.iter();
        let candidates = candidates.filter(|(key, entry)| **key != newest && among(entry));
        let oldest = candidates.min_by_key(|(_, entry)| entry.last_use);
        oldest.map(|(key, _)| *key)
    }

    fn let_go(&mut self, key: u64, bounds: Bounds) {
        self.remove(key);
        if self.gone.len() >= bounds.statements.saturating_mul(MEMORY) {
            self.gone.pop_front();
        }
        self.gone.push_back(key);
    }

    fn remove(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            let bytes = bytes(&entry.text);
            self.all.remove(bytes);
            if entry.stage == Stage::Trial {
                self.on_trial.remove(bytes);
            }
        }
    }
}

fn bytes(sql: &str) -> usize {
    sql.len().saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests;
