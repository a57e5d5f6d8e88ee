//! All keys' pools at one moment.

use std::fmt;
use std::sync::Arc;

use crate::report::{BudgetStatus, Status};

/// All keys' pools at one moment, nearly: each is looked at by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedStatus {
    /// The name of them all.
    pub name: Arc<str>,
    /// Keys that have a pool.
    pub keys: usize,
    /// Keys with callers that wait.
    pub keys_waiting: usize,
    /// Connections of all: `idle + leased + upkeep`.
    pub size: usize,
    /// Those without a lease, ready for one.
    pub idle: usize,
    /// Those in users' hands.
    pub leased: usize,
    /// Those in the pools' own hands: being checked, reset or closed.
    pub upkeep: usize,
    /// Those being opened.
    pub opening: usize,
    /// Callers that wait.
    pub waiters: usize,
    /// The bound on all together, if there is one.
    pub budget: Option<BudgetStatus>,
}

impl KeyedStatus {
    pub(super) fn new(name: Arc<str>, budget: Option<BudgetStatus>) -> Self {
        Self {
            name,
            keys: 0,
            keys_waiting: 0,
            size: 0,
            idle: 0,
            leased: 0,
            upkeep: 0,
            opening: 0,
            waiters: 0,
            budget,
        }
    }

    /// With that of one more key.
    pub(super) fn with(self, pool: &Status) -> Self {
        Self {
            keys: self.keys + 1,
            keys_waiting: self.keys_waiting + usize::from(pool.waiters > 0),
            size: self.size + pool.size,
            idle: self.idle + pool.idle,
            leased: self.leased + pool.leased,
            upkeep: self.upkeep + pool.upkeep,
            opening: self.opening + pool.opening,
            waiters: self.waiters + pool.waiters,
            ..self
        }
    }
}

impl fmt::Display for KeyedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            keys,
            keys_waiting,
            size,
            idle,
            leased,
            upkeep,
            opening,
            waiters,
            budget,
        } = self;
        let keys_have = if *keys == 1 { "key has" } else { "keys have" };
        write!(
            f,
            "{name}: {keys} {keys_have} {size} connections ({leased} leased, {idle} idle, {upkeep} in upkeep), \
             {opening} opening, {waiters} waiting"
        )?;
        match (waiters, keys_waiting) {
            (0, _) => {}
            (_, 1) => f.write_str(" for 1 key")?,
            _ => write!(f, " for {keys_waiting} keys")?,
        }
        match budget {
            Some(budget) => write!(f, "; {budget}"),
            None => Ok(()),
        }
    }
}
