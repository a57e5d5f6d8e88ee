//! The pool for synchronous drivers.

/// What becomes of connections: dialled, checked, reset, closed.
mod connections;
/// How threads and tasks come by a lease, and what they do with it.
mod leases;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use cenote::blocking::{Connect, Pool};
use cenote::report::CloseReason;
use cenote::{ConnectionInfo, Verdict};

/// A driver that does as it is told.
#[derive(Clone, Default)]
struct Driver(Arc<State>);

#[derive(Default)]
struct State {
    connected: AtomicUsize,
    open: AtomicUsize,
    checks: AtomicUsize,
    resets: AtomicUsize,
    goodbyes: AtomicUsize,
    left: Mutex<Vec<(u64, CloseReason)>>,
    fails: AtomicBool,
    panics: AtomicBool,
    /// While true, `connect` blocks.
    hangs: Mutex<bool>,
    unblocked: Condvar,
}

struct Conn {
    id: usize,
    dirty: bool,
    driver: Driver,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.driver.0.open.fetch_sub(1, SeqCst);
    }
}

impl Driver {
    fn hang(&self, hangs: bool) {
        *self.0.hangs.lock().unwrap() = hangs;
        self.0.unblocked.notify_all();
    }

    fn pool(&self, max_size: usize) -> Pool<Driver> {
        Pool::builder(self.clone())
            .max_size(max_size)
            .build()
            .unwrap()
    }
}

impl Connect for Driver {
    type Connection = Conn;
    type Error = io::Error;

    fn connect(&self) -> io::Result<Conn> {
        assert!(!self.0.panics.load(SeqCst), "told to");
        let hangs = self.0.hangs.lock().unwrap();
        drop(self.0.unblocked.wait_while(hangs, |hangs| *hangs).unwrap());
        if self.0.fails.load(SeqCst) {
            return Err(io::Error::other("the server refused"));
        }
        self.0.open.fetch_add(1, SeqCst);
        let id = self.0.connected.fetch_add(1, SeqCst);
        Ok(Conn {
            id,
            dirty: false,
            driver: self.clone(),
        })
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        if conn.dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    fn check(&self, _: &mut Conn, _: &ConnectionInfo) -> io::Result<()> {
        self.0.checks.fetch_add(1, SeqCst);
        if self.0.fails.load(SeqCst) {
            return Err(io::Error::other("the server refused"));
        }
        Ok(())
    }

    fn reset(&self, conn: &mut Conn, _: &ConnectionInfo) -> io::Result<()> {
        self.0.resets.fetch_add(1, SeqCst);
        conn.dirty = false;
        Ok(())
    }

    fn close(&self, conn: Conn, _: &ConnectionInfo) {
        self.0.goodbyes.fetch_add(1, SeqCst);
        drop(conn);
    }

    fn leaving(&self, _: &mut Conn, info: &ConnectionInfo, reason: CloseReason) {
        self.0.left.lock().unwrap().push((info.id, reason));
    }
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}
