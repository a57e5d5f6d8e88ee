//! The statements that are being prepared, so that one whose caller leaves meanwhile can be dropped later.
//!
//! The driver keeps the name that it gives a statement to itself, and forgets one whose preparation is cut short, while
//! the server keeps the statement until the session ends. So the text goes to the driver with a tag in front, a
//! comment; the wire takes that off again, and notes under which name the server gets the statement.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a tag has around its number.
const BEFORE: &str = "/*cenote prepares ";
const AFTER: &str = "*/";
pub(super) const TAG_LENGTH: usize = BEFORE.len() + 16 + AFTER.len();

/// Those of one session.
#[derive(Debug, Default)]
pub(crate) struct Preparations {
    next: AtomicU64,
    /// The server's names of those that were sent and are not over. No user code runs under it.
    names: Mutex<HashMap<u64, Box<str>>>,
}

/// One that was begun. Dropped before its [`end`](Self::end), its statement counts as [left](Preparations::left).
#[derive(Debug)]
pub(crate) struct Preparation<'a> {
    all: &'a Preparations,
    number: u64,
}

impl Preparations {
    pub(crate) fn begin(&self) -> Preparation<'_> {
        Preparation {
            all: self,
            number: self.next.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// The number in the tag that a text begins with, if it does.
    pub(super) fn number(text: &[u8]) -> Option<u64> {
        let tag = text.first_chunk::<TAG_LENGTH>()?;
        let tag = std::str::from_utf8(tag).ok()?;
        let digits = tag.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
        u64::from_str_radix(digits, 16).ok()
    }

    /// The statement is sent under this name.
    pub(super) fn named(&self, number: u64, name: String) {
        self.names().insert(number, name.into());
    }

    /// The names of the statements whose preparation has begun and not ended. The server may have refused them.
    pub(crate) fn left(&self) -> Vec<Box<str>> {
        self.names().values().cloned().collect()
    }

    /// They were dropped.
    pub(crate) fn forget(&self, names: &[Box<str>]) {
        self.names().retain(|_, name| !names.contains(name));
    }

    /// Nothing that can panic runs under the lock, so a poisoned one still guards sound names.
    fn names(&self) -> MutexGuard<'_, HashMap<u64, Box<str>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Preparation<'_> {
    /// The text for the driver.
    pub(crate) fn tagged(&self, sql: &str) -> String {
        format!("{BEFORE}{:016x}{AFTER}{sql}", self.number)
    }

    /// The driver knows the statement, or the server refused it.
    pub(crate) fn end(self) {
        self.all.names().remove(&self.number);
    }
}
