//! What a change of the state leads to and must not happen under its lock: user code, drops of connections, tasks.

use std::sync::Arc;
use std::task::Waker;

use super::active_connection::ActiveConnection;
use super::roster::Roster;
use crate::connect::Multiplex;
use crate::kernel::EndpointNumber;

/// What follows once the lock is let go.
pub(super) struct Deferred<C: Multiplex> {
    /// Most often there is one.
    pub(super) waker: Option<Waker>,
    pub(super) wakers: Vec<Waker>,
    /// To be dropped: with a waker may go its whole task.
    pub(super) old_waker: Option<Waker>,
    /// Connections that began to drain, and permits that were cached: perhaps the last reference.
    pub(super) gone: Vec<Arc<ActiveConnection<C>>>,
    /// So many more connections are to be opened.
    pub(super) grow: usize,
    /// Endpoints that should have one more connection each; most often one at most.
    pub(super) lacking: Vec<EndpointNumber>,
    pub(super) start_upkeep: bool,
    /// Upkeep is to look by this time.
    pub(super) look_at: Option<u64>,
    /// Growth under way is to look whether it is wanted any more.
    pub(super) growth_is_excess: bool,
    /// To be dropped: it references every connection.
    pub(super) roster: Option<Arc<Roster<C>>>,
}

impl<C: Multiplex> Deferred<C> {
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        match self.waker {
            None => self.waker = waker,
            Some(_) => self.wakers.extend(waker),
        }
    }
}
