//! A budget at one moment.

use std::sync::Arc;

/// A budget at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BudgetStatus {
    /// The budget's name.
    pub name: Arc<str>,
    /// Connections there may be.
    pub max_connections: usize,
    /// Idle connections there may be, if that is [bounded](crate::Budget::max_idle) by itself.
    pub max_idle: Option<usize>,
    /// Connections there are: open, being opened, being closed, or just permitted.
    pub connections: usize,
    /// Connections there may still be for certain pools only, by their `min_idle` or `min_size`.
    pub reserved: usize,
    /// Pools that wait until they may open one more.
    pub waiting: usize,
}
