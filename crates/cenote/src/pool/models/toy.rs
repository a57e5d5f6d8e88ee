//! A server that is not there: it counts what is open and remembers what went wrong. User code's panics are
//! the pool's to catch, so what a connection has to complain of is kept until the model asks.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use shuttle::future::{block_on, yield_now};
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use tokio::sync::Notify;

use crate::connect::{Connect, Verdict};
use crate::dial::Dial;

#[derive(Clone)]
pub(super) struct Server(Arc<Counts>);

struct Counts {
    /// Connections, and dials under way.
    open: AtomicUsize,
    /// The most there may be.
    most: usize,
    /// Connections there ever were.
    opened: AtomicUsize,
    wrong: Mutex<Option<&'static str>>,
    /// Told when the connector is dropped, and so the pool.
    left: Notify,
}

/// The connector.
pub(super) struct Toy(Server);

pub(super) struct Conn {
    /// Counted from 1.
    pub(super) number: usize,
    /// Needs a reset before the next may have it.
    pub(super) is_dirty: bool,
    in_use: AtomicBool,
    call_site: CallSite,
}

/// Counts as open from the dial to the drop.
struct CallSite(Server);

impl Server {
    /// Never more than `most` connections and dials are to be there at once.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Counts {
            open: AtomicUsize::new(0),
            most,
            opened: AtomicUsize::new(0),
            wrong: Mutex::new(None),
            left: Notify::new(),
        }))
    }

    pub(super) fn connector(&self) -> Toy {
        Toy(self.clone())
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
    /// By the one who has it, alone.
    pub(super) fn use_it(&mut self) {
        self.begin();
        if self.is_dirty {
            self.call_site.0.complain("a dirty connection was leased");
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
            self.call_site.0.complain("two have one connection");
        }
    }

    fn end(&self) {
        self.in_use.store(false, SeqCst);
    }
}

impl Connect for Toy {
    type Connection = Conn;
    type Error = Infallible;

    async fn connect(&self, _: &Dial) -> Result<Conn, Infallible> {
        let server = &self.0;
        let open = server.0.open.fetch_add(1, SeqCst) + 1;
        let place = CallSite(server.clone());
        if open > server.0.most {
            server.complain("more are open than may be");
        }
        yield_now().await;
        Ok(Conn {
            number: server.0.opened.fetch_add(1, SeqCst) + 1,
            is_dirty: false,
            in_use: AtomicBool::new(false),
            place,
        })
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        if conn.is_dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    async fn check(&self, conn: &mut Conn) -> Result<(), Infallible> {
        conn.begin();
        yield_now().await;
        conn.end();
        Ok(())
    }

    async fn reset(&self, conn: &mut Conn) -> Result<(), Infallible> {
        conn.begin();
        yield_now().await;
        conn.is_dirty = false;
        conn.end();
        Ok(())
    }

    async fn close(&self, conn: Conn) {
        conn.begin();
        yield_now().await;
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
