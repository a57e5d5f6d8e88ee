//! A lease on a connection, for as long as an exchange lasts.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use cenote::SharedLease;
use tokio::task::AbortHandle;

use crate::connector::Connector;
use crate::route::Route;
use crate::wire::{Connection, Incoming, Upload};

/// The right to carry one exchange on a connection. Dropped, it leaves the connection ready for the next, or on its way there.
pub(crate) struct Leased(SharedLease<Connector>);

impl Leased {
    pub(crate) fn new(lease: SharedLease<Connector>) -> Self {
        Self(lease)
    }

    pub(crate) fn route(&self) -> &Route {
        SharedLease::connector(&self.0).route()
    }

    /// The connection serves nobody else, and is closed when those it serves are done.
    pub(crate) fn retire(&self) {
        SharedLease::retire(&self.0);
    }
}

impl Deref for Leased {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.0.settle();
    }
}

/// A lease for the rest of an exchange: it lasts until the reply's body has ended, and the request's.
pub(crate) enum Hold {
    /// The request was sent as a whole.
    Sole(Leased),
    /// Its body is still being sent, by a task that holds the lease as well.
    WithUpload {
        lease: Arc<Leased>,
        upload: AbortHandle,
    },
}

impl Hold {
    /// Goes on with sending the request's body.
    pub(crate) fn with_upload(lease: Leased, upload: Upload) -> Self {
        let lease = Arc::new(lease);
        let held = Arc::clone(&lease);
        let task = lease.runtime().spawn(async move {
            // Of a body that fails the reply tells.
            upload.await;
            drop(held);
        });
        let upload = task.abort_handle();
        Self::WithUpload { lease, upload }
    }

    /// Nobody reads the rest of the reply any more, nor is the rest of the request of use to anybody.
    pub(crate) fn leave(self, body: Incoming) {
        self.leave_body(body);
        if let Self::WithUpload { upload, .. } = self {
            upload.abort();
        }
    }
}

impl Deref for Hold {
    type Target = Leased;

    fn deref(&self) -> &Leased {
        match self {
            Self::Sole(lease) => lease,
            Self::WithUpload { lease, .. } => lease,
        }
    }
}

impl fmt::Debug for Leased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Leased").field(&self.0).finish()
    }
}
