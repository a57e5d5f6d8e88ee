//! What names an endpoint of a pool's set for as long as the pool knows it.

use std::sync::atomic::{AtomicU64, Ordering};

/// An endpoint of the set of one pool: of a [lease](crate::Lease::endpoint_id), by its
/// [key](crate::Pool::endpoint_id), or from its [status](crate::report::EndpointStatus::id). For another connection of the
/// same one: [`Get::at`](crate::pool::Get::at).
///
/// Cheap to copy. It outlives the endpoint, and is never another's: of an endpoint that has left, and of another pool's,
/// there are no connections to be had by it. One that leaves and comes back while it still has connections is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EndpointId {
    /// Where the pool finds it.
    pub(crate) number: u32,
    /// Given once in a process.
    serial: u64,
}

impl EndpointId {
    pub(crate) fn new(number: u32) -> Self {
        static SERIALS: AtomicU64 = AtomicU64::new(0);
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
        Self { number, serial }
    }
}
