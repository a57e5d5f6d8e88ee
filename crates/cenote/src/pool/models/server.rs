//! What every server of the models has, for pools of either kind: it counts what is open and remembers what went wrong.
//! User code's panics are the pool's to catch, so what a connection has to complain of is kept until the model asks.

use std::sync::{Arc, Mutex};

use shuttle::future::block_on;
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::sync::Notify;

/// A server that is not there, which acts by `rules`.
pub(crate) struct Server<R>(Arc<Facts<R>>);

struct Facts<R> {
    rules: R,
    /// Connections, and dials under way.
    open: AtomicUsize,
    /// Connections there ever were.
    opened: AtomicUsize,
    /// Connectors there are: a pool of one endpoint has its own until its end.
    connectors: AtomicUsize,
    wrong: Mutex<Option<&'static str>>,
    /// Told when a connector is dropped.
    left: Notify,
}

/// The connector.
pub(crate) struct Toy<R>(pub(crate) Server<R>);

/// Counts as open from the dial to the drop.
pub(crate) struct Place<R>(pub(crate) Server<R>);

impl<R> Server<R> {
    pub(crate) fn by(rules: R) -> Self {
        Self(Arc::new(Facts {
            rules,
            open: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            connectors: AtomicUsize::new(0),
            wrong: Mutex::new(None),
            left: Notify::new(),
        }))
    }

    pub(crate) fn rules(&self) -> &R {
        &self.0.rules
    }

    pub(crate) fn connector(&self) -> Toy<R> {
        self.0.connectors.fetch_add(1, SeqCst);
        Toy(self.clone())
    }

    /// A place for a dial that begins, and how many there are now.
    pub(crate) fn take_place(&self) -> (Place<R>, usize) {
        let open = self.0.open.fetch_add(1, SeqCst) + 1;
        (Place(self.clone()), open)
    }

    /// The number of a connection that came to be, counted from 1.
    pub(crate) fn count_opened(&self) -> usize {
        self.0.opened.fetch_add(1, SeqCst) + 1
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn open(&self) -> usize {
        self.0.open.load(SeqCst)
    }

    pub(crate) fn opened(&self) -> usize {
        self.0.opened.load(SeqCst)
    }

    /// Waits until the pool is gone, or has forgotten the endpoint, which leaves nothing open, and nothing was ever wrong.
    pub(crate) fn is_left(&self) {
        block_on(async {
            while self.0.connectors.load(SeqCst) > 0 {
                self.0.left.notified().await;
            }
        });
        assert_eq!(self.open(), 0, "open after the connector is gone");
        assert_eq!(*self.0.wrong.lock().unwrap(), None);
    }

    pub(crate) fn complain(&self, wrong: &'static str) {
        self.0.wrong.lock().unwrap().get_or_insert(wrong);
    }
}

impl<R> Clone for Server<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R> Drop for Toy<R> {
    fn drop(&mut self) {
        let facts = &self.0.0;
        facts.connectors.fetch_sub(1, SeqCst);
        facts.left.notify_one();
    }
}

impl<R> Drop for Place<R> {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, SeqCst);
    }
}
