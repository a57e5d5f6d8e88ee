//! A server whose connections many use at once: it complains of more users than a connection carries.

use std::convert::Infallible;

use shuttle::future::yield_now;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use shuttle::thread;

use crate::connect::{Connect, Multiplex, Verdict};
use crate::dial::Dial;
use crate::pool::models::server;
use crate::report::ConnectionInfo;

pub(super) type Server = server::Server<Rules>;
pub(super) type Toy = server::Toy<Rules>;

/// What each connection carries, as it says; and the most it ever said.
pub(crate) struct Rules {
    capacity: AtomicUsize,
    most: usize,
}

pub(crate) struct Conn {
    users: AtomicUsize,
    is_dead: AtomicBool,
    place: server::Place<Rules>,
}

impl Server {
    pub(super) fn new(capacity: usize) -> Self {
        Self::by(Rules {
            capacity: AtomicUsize::new(capacity),
            most: capacity,
        })
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

    async fn connect(&self, _: &Dial) -> Result<Conn, Infallible> {
        let (place, _) = self.0.take_place();
        yield_now().await;
        self.0.count_opened();
        Ok(Conn {
            users: AtomicUsize::new(0),
            is_dead: AtomicBool::new(false),
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
