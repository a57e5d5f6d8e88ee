//! A server whose connections one user has at a time: it complains of two, of dirt, and of more connections than may
//! be. It may go down.

use std::sync::{Arc, Mutex, MutexGuard};

use shuttle::future::yield_now;
use shuttle::sync::atomic::{AtomicBool, Ordering::SeqCst};

use super::server;
use crate::connect::{Connect, Verdict};
use crate::dial::Dial;
use crate::report::ConnectionInfo;
use crate::signals::Signals;

pub(crate) type Server = server::Server<Rules>;
pub(crate) type Toy = server::Toy<Rules>;

pub(crate) struct Rules {
    /// The most connections and dials there may be at once.
    most: usize,
    /// Counts the connections of this server and others, if they have a bound together.
    all: Option<Server>,
    /// Nothing that shuttle schedules happens under its lock.
    life: Mutex<Life>,
}

#[derive(Default)]
struct Life {
    is_down: bool,
    /// Of every connection there ever was: its switch, and how it reaches the pool.
    told_by: Vec<(Arc<AtomicBool>, Signals)>,
}

/// The server is down.
#[derive(Debug, thiserror::Error)]
#[error("the server is down")]
pub(crate) struct Refused;

pub(crate) struct Conn {
    /// Counted from 1.
    pub(super) number: usize,
    /// Needs a reset before the next may have it.
    pub(super) is_dirty: bool,
    in_use: AtomicBool,
    is_dead: Arc<AtomicBool>,
    place: server::Place<Rules>,
    _among_all: Option<server::Place<Rules>>,
}

impl Server {
    /// Never more than `most` connections and dials are to be there at once.
    pub(crate) fn new(most: usize) -> Self {
        Self::by(Rules {
            most,
            all: None,
            life: Mutex::default(),
        })
    }

    /// As [`new`](Self::new), and never more than `all` permits of its servers together.
    pub(crate) fn one_of(all: &Server, most: usize) -> Self {
        Self::by(Rules {
            most,
            all: Some(all.clone()),
            life: Mutex::default(),
        })
    }

    /// Each connection there is dies, and says so.
    pub(super) fn signals_end(&self) {
        let told_by = std::mem::take(&mut self.life().told_by);
        for (is_dead, signals) in told_by {
            is_dead.store(true, SeqCst);
            signals.closed();
        }
    }

    /// Each connection there is dies without a word, and dials fail until it [comes up](Self::comes_up).
    pub(super) fn goes_down(&self) {
        let told_by = {
            let mut life = self.life();
            life.is_down = true;
            std::mem::take(&mut life.told_by)
        };
        for (is_dead, _) in told_by {
            is_dead.store(true, SeqCst);
        }
    }

    pub(super) fn comes_up(&self) {
        self.life().is_down = false;
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.rules().life.lock().unwrap()
    }

    /// A place for a dial that begins, as far as there is one.
    fn place(&self) -> server::Place<Rules> {
        let (place, open) = self.take_place();
        if open > self.rules().most {
            self.complain("more are open than may be");
        }
        place
    }
}

impl Conn {
    pub(super) fn is_of(&self, server: &Server) -> bool {
        self.place.0.is(server)
    }

    /// By the one who has it, alone.
    pub(crate) fn use_it(&mut self) {
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
    type Error = Refused;

    async fn connect(&self, dial: &Dial) -> Result<Conn, Refused> {
        let server = &self.0;
        let place = server.place();
        let among_all = server.rules().all.as_ref().map(Server::place);
        yield_now().await;
        let is_dead = Arc::new(AtomicBool::new(false));
        let told_by = (Arc::clone(&is_dead), dial.signals());
        {
            let mut life = server.life();
            if life.is_down {
                return Err(Refused);
            }
            life.told_by.push(told_by);
        }
        Ok(Conn {
            is_dead,
            number: server.count_opened(),
            is_dirty: false,
            in_use: AtomicBool::new(false),
            place,
            _among_all: among_all,
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

    async fn check(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Refused> {
        conn.begin();
        yield_now().await;
        conn.end();
        Ok(())
    }

    async fn reset(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Refused> {
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
