//! A server whose connections many use at once: it complains of more users than a connection carries.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use shuttle::future::yield_now;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use crate::connect::{Connect, Multiplex, Verdict};
use crate::dial::Dial;
use crate::pool::models::server;
use crate::report::ConnectionInfo;
use crate::signals::Signals;

pub(super) type Server = server::Server<Rules>;
pub(super) type Toy = server::Toy<Rules>;

/// What each connection carries, as it says; and the most it ever said.
pub(crate) struct Rules {
    capacity: AtomicUsize,
    most: usize,
    /// Of every connection there ever was: its switch, and how it reaches the pool.
    told_by: Mutex<Vec<(Arc<AtomicBool>, Signals)>>,
}

pub(crate) struct Conn {
    users: AtomicUsize,
    is_dead: Arc<AtomicBool>,
    place: server::Place<Rules>,
}

impl Server {
    pub(super) fn new(capacity: usize) -> Self {
        Self::by(Rules {
            capacity: AtomicUsize::new(capacity),
            most: capacity,
            told_by: Mutex::new(Vec::new()),
        })
    }

    /// Each connection says that it has changed.
    pub(super) fn signals_change(&self) {
        for (_, signals) in self.told_by() {
            signals.ask_again();
        }
    }

    /// Each connection dies, and says so.
    pub(super) fn signals_end(&self) {
        for (is_dead, signals) in self.told_by() {
            is_dead.store(true, SeqCst);
            signals.closed();
        }
    }

    fn told_by(&self) -> Vec<(Arc<AtomicBool>, Signals)> {
        self.rules().told_by.lock().unwrap().clone()
    }

    /// From now on each connection says that it carries so many.
    pub(super) fn carries(&self, capacity: usize) {
        self.rules().capacity.store(capacity, SeqCst);
    }
}

impl Conn {
    /// By one of those who have it.
    pub(super) fn use_it(&self) {
        let server = &self.place.0;
        if self.users.fetch_add(1, SeqCst) == server.rules().most {
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

    async fn connect(&self, dial: &Dial) -> Result<Conn, Infallible> {
        let (place, _) = self.0.take_place();
        yield_now().await;
        self.0.count_opened();
        let is_dead = Arc::new(AtomicBool::new(false));
        let told_by = (Arc::clone(&is_dead), dial.signals());
        self.0.rules().told_by.lock().unwrap().push(told_by);
        Ok(Conn {
            users: AtomicUsize::new(0),
            is_dead,
            place,
        })
    }

    fn is_open(&self, conn: &Conn) -> bool {
        !conn.is_dead.load(SeqCst)
    }

    fn verdict(&self, _: &mut Conn) -> Verdict {
        Verdict::Reuse
    }

    async fn close(&self, conn: Conn, _: &ConnectionInfo) {
        if conn.users.load(SeqCst) > 0 {
            self.0.complain("a connection in use was closed");
        }
    }
}

impl Multiplex for Toy {
    fn capacity(&self, _: &Conn) -> usize {
        self.0.rules().capacity.load(SeqCst)
    }
}
