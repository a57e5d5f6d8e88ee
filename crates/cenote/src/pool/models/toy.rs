//! A server whose connections one user has at a time: it complains of two, of dirt, and of more connections than may
//! be.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use shuttle::future::yield_now;
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::server;
use crate::connect::{Connect, Verdict};
use crate::dial::Dial;
use crate::report::ConnectionInfo;
use crate::signals::Signals;

pub(super) type Server = server::Server<Rules>;
pub(super) type Toy = server::Toy<Rules>;

pub(crate) struct Rules {
    /// The most connections and dials there may be at once.
    most: usize,
    /// Of every connection there ever was: its switch, and how it reaches the pool.
    told_by: Mutex<Vec<(Arc<AtomicBool>, Signals)>>,
}

pub(crate) struct Conn {
    /// Counted from 1.
    pub(super) number: usize,
    /// Needs a reset before the next may have it.
    pub(super) is_dirty: bool,
    in_use: AtomicBool,
    is_dead: Arc<AtomicBool>,
    place: server::Place<Rules>,
}

impl Server {
    /// Never more than `most` connections and dials are to be there at once.
    pub(super) fn new(most: usize) -> Self {
        Self::by(Rules {
            most,
            told_by: Mutex::new(Vec::new()),
        })
    }

    /// Each connection there is dies, and says so.
    pub(super) fn signals_end(&self) {
        let told_by = std::mem::take(&mut *self.rules().told_by.lock().unwrap());
        for (is_dead, signals) in told_by {
            is_dead.store(true, SeqCst);
            signals.closed();
        }
    }
}

impl Conn {
    /// By the one who has it, alone.
    pub(super) fn use_it(&mut self) {
        self.begin();
        if self.is_dirty {
            self.place.0.complain("a dirty connection was leased");
        }
        self.end();
    }

    /// As [`use_it`](Self::use_it), leaving something behind.
    pub(super) fn soil(&mut self) {
        self.use_it();
        self.is_dirty = true;
    }

    fn begin(&self) {
        if self.in_use.swap(true, SeqCst) {
            self.place.0.complain("two have one connection");
        }
    }

    fn end(&self) {
        self.in_use.store(false, SeqCst);
    }
}

impl Connect for Toy {
    type Connection = Conn;
    type Error = Infallible;

    async fn connect(&self, dial: &Dial) -> Result<Conn, Infallible> {
        let server = &self.0;
        let (place, open) = server.take_place();
        if open > server.rules().most {
            server.complain("more are open than may be");
        }
        yield_now().await;
        let is_dead = Arc::new(AtomicBool::new(false));
        let told_by = (Arc::clone(&is_dead), dial.signals());
        server.rules().told_by.lock().unwrap().push(told_by);
        Ok(Conn {
            is_dead,
            number: server.count_opened(),
            is_dirty: false,
            in_use: AtomicBool::new(false),
            place,
        })
    }

    fn is_open(&self, conn: &Conn) -> bool {
        !conn.is_dead.load(SeqCst)
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        if conn.is_dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    async fn check(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Infallible> {
        conn.begin();
        yield_now().await;
        conn.end();
        Ok(())
    }

    async fn reset(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Infallible> {
        conn.begin();
        yield_now().await;
        conn.is_dirty = false;
        conn.end();
        Ok(())
    }

    async fn close(&self, conn: Conn, _: &ConnectionInfo) {
        conn.begin();
        yield_now().await;
    }
}
