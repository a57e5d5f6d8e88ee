//! A server that is not there, whose connections many use at once: it remembers what went wrong, since user code's
//! panics are the pool's to catch.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use shuttle::future::{block_on, yield_now};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;
use tokio::sync::Notify;

use crate::connect::{Connect, Verdict};
use crate::dial::Dial;

#[derive(Clone)]
pub(super) struct Server(Arc<Facts>);

struct Facts {
    /// What each connection carries, as it says; and the most it ever said.
    capacity: AtomicUsize,
    most: usize,
    /// Connections, and dials under way.
    open: AtomicUsize,
    opened: AtomicUsize,
    wrong: Mutex<Option<&'static str>>,
    /// Told when the connector is dropped, and so the pool.
    left: Notify,
}

/// The connector.
pub(super) struct Toy(Server);

pub(super) struct Conn {
    users: AtomicUsize,
    is_dead: AtomicBool,
    place: CallSite,
}

/// Counts as open from the dial to the drop.
struct CallSite(Server);

impl Server {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Facts {
            capacity: AtomicUsize::new(capacity),
            most: capacity,
            open: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            wrong: Mutex::new(None),
            left: Notify::new(),
        }))
    }

    pub(super) fn connector(&self) -> Toy {
        Toy(self.clone())
    }

    /// From now on each connection says that it carries so many.
    pub(super) fn carries(&self, capacity: usize) {
        self.0.capacity.store(capacity, SeqCst);
    }

    pub(super) fn open(&self) -> usize {
        self.0.open.load(SeqCst)
    }

    pub(super) fn opened(&self) -> usize {
        self.0.opened.load(SeqCst)
    }

    /// Waits until the pool is gone, which leaves nothing open, and nothing was ever wrong.
    pub(super) fn is_left(&self) {
        block_on(self.0.left.notified());
        assert_eq!(self.open(), 0, "open after the pool is gone");
        assert_eq!(*self.0.wrong.lock().unwrap(), None);
    }

    fn complain(&self, wrong: &'static str) {
        self.0.wrong.lock().unwrap().get_or_insert(wrong);
    }
}

impl Conn {
    /// By one of those who have it.
    pub(super) fn use_it(&self) {
        let server = &self.place.0;
        if self.users.fetch_add(1, SeqCst) == server.0.most {
            server.complain("more use a connection than it ever carried");
        }
        thread::yield_now();
        self.users.fetch_sub(1, SeqCst);
    }

    pub(super) fn die(&self) {
        self.is_dead.store(true, SeqCst);
    }
}

impl Connect for Toy {
    type Connection = Conn;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Conn, Infallible> {
        let facts = &self.0.0;
        facts.open.fetch_add(1, SeqCst);
        let place = CallSite(self.0.clone());
        yield_now().await;
        facts.opened.fetch_add(1, SeqCst);
        Ok(Conn {
            users: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
            place,
        })
    }

    fn is_open(&self, conn: &Conn) -> bool {
        !conn.is_dead.load(SeqCst)
    }

    fn capacity(&self, _: &Conn) -> usize {
        self.0.0.capacity.load(SeqCst)
    }

    fn verdict(&self, _: &mut Conn) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, conn: Conn) {
        if conn.users.load(SeqCst) > 0 {
            self.0.complain("a connection in use was closed");
        }
    }
}

impl Drop for Toy {
    fn drop(&mut self) {
        self.0.0.left.notify_one();
    }
}

impl Drop for CallSite {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, SeqCst);
    }
}
