//! What a pool knows of a connection.

use std::time::Duration;

/// What is known of a connection. The default is of one that is in no pool: where a connector's methods are called by
/// hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Its number in this pool, from 1 in the order of opening.
    pub id: u64,
    /// Time since it was opened.
    pub age: Duration,
    /// Time since it last came back from a lease (or was opened), at the moment it was taken; as coarse as
    /// an upkeep turn.
    pub idle_for: Duration,
    /// Leases it has carried, the present one included.
    pub uses: u64,
}
