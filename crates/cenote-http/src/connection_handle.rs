//! By what a caller has the connection of its request retired, also when the exchange is over.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// A handle on the connection that carries a request: put into the request's extensions, it is set with the head of the
/// reply. It is for those who learn from a reply, late perhaps, that the server had better not be asked again over it.
///
/// ```no_run
/// use cenote_http::{Body, Client, ConnectionHandle};
///
/// # async fn f(http: Client) -> Result<(), Box<dyn std::error::Error>> {
/// let handle = ConnectionHandle::new();
/// let request = http::Request::get("http://example.org/").extension(handle.clone());
/// let reply = http.execute(request.body(Body::empty())?).await?;
/// if reply.status().is_server_error() {
///     handle.retire();
/// }
/// # Ok(())
/// # }
/// ```
///
/// A cheap handle: clones are set together. It does not keep the connection open, and is for one request: of others that
/// have it too it says nothing.
#[derive(Clone, Debug, Default)]
pub struct ConnectionHandle {
    connection: Arc<OnceLock<RetiredFlag>>,
}

impl ConnectionHandle {
    /// A handle that is not set yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the request has had a reply, so that there is a connection to retire.
    pub fn is_set(&self) -> bool {
        self.connection.get().is_some()
    }

    /// The connection carries no further request, and is closed when those that are on it are done. Nothing happens while the
    /// handle [is not set](Self::is_set).
    pub fn retire(&self) {
        if let Some(flag) = self.connection.get() {
            flag.raise();
        }
    }

    pub(crate) fn set(&self, flag: RetiredFlag) {
        // The first reply's connection it is.
        let _ = self.connection.set(flag);
    }
}

/// Whether a connection is to carry no further request; it has one copy, its handles have others.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetiredFlag(Arc<AtomicBool>);

impl RetiredFlag {
    fn raise(&self) {
        // Nothing else is told by it.
        self.0.store(true, Relaxed);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Relaxed)
    }
}
