//! The backend: takes as long as its seed says, and fails as it is told.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cenote::{Connect, ConnectionInfo, Dial, Verdict};
use fastrand::Rng;
use tokio::time::sleep;

/// A handle; clones are the same backend.
#[derive(Clone)]
pub struct Backend(Arc<Mutex<State>>);

struct State {
    rng: Rng,
    health: Health,
    /// How many connections it takes.
    limit: usize,
    /// In milliseconds, at most.
    dial_time: u64,
    /// Connections and dials.
    open: usize,
    next: u64,
    /// Connections up to this one are dead, and it shows.
    dead: u64,
    /// Connections up to this one are dead, and only using them tells.
    silently_dead: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    Refusing,
    /// Nothing is answered.
    Silent,
}

#[derive(Debug)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the backend is not available")
    }
}

impl std::error::Error for Unavailable {}

impl Backend {
    pub fn new(rng: Rng) -> Self {
        let state = State {
            rng,
            health: Health::Up,
            limit: usize::MAX,
            dial_time: 20,
            open: 0,
            next: 1,
            dead: 0,
            silently_dead: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn open(&self) -> usize {
        self.state().open
    }

    pub fn set_health(&self, health: Health) {
        self.state().health = health;
    }

    pub fn set_limit(&self, limit: usize) {
        self.state().limit = limit;
    }

    pub fn set_dial_time(&self, at_most: u64) {
        self.state().dial_time = at_most;
    }

    pub fn kill_all(&self) {
        let mut state = self.state();
        state.dead = state.next - 1;
    }

    pub fn kill_all_silently(&self) {
        let mut state = self.state();
        state.silently_dead = state.next - 1;
    }

    /// As at first; what is dead stays dead.
    pub fn heal(&self) {
        let mut state = self.state();
        (state.health, state.limit, state.dial_time) = (Health::Up, usize::MAX, 20);
    }

    async fn pause(&self, at_most: u64) {
        let millis = self.state().rng.u64(..=at_most);
        if millis > 0 {
            sleep(Duration::from_millis(millis)).await;
        }
    }

    /// Does something with the connection `id` over the wire.
    async fn serve(&self, id: u64, at_most: u64) -> Result<(), Unavailable> {
        self.pause(at_most).await;
        let (health, dead, hangs) = {
            let mut state = self.state();
            let dead = id <= state.dead.max(state.silently_dead);
            // A dead peer answers with a reset, or not at all.
            (state.health, dead, state.rng.bool())
        };
        match (health, dead) {
            (Health::Silent, _) => std::future::pending().await,
            (_, true) if hangs => std::future::pending().await,
            (_, true) => Err(Unavailable),
            (Health::Up | Health::Refusing, false) => Ok(()),
        }
    }
}

/// Counts as open from the beginning of its dial.
struct Place(Backend);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

pub struct Connection {
    pub id: u64,
    pub is_dirty: bool,
    /// An operation failed.
    pub is_broken: bool,
    held: AtomicBool,
    place: Place,
}

impl Connection {
    /// A user begins to use it.
    pub fn take(&self) {
        assert!(
            !self.held.swap(true, SeqCst),
            "connection {} has two users",
            self.id
        );
        assert!(!self.is_dirty, "connection {} was left dirty", self.id);
    }

    pub fn leave(&self) {
        self.held.store(false, SeqCst);
    }

    /// An operation: dirty until it is over.
    pub async fn operate(&mut self, at_most: u64) -> Result<(), Unavailable> {
        self.is_dirty = true;
        let outcome = self.place.0.serve(self.id, at_most).await;
        self.is_dirty = false;
        self.is_broken = outcome.is_err();
        outcome
    }
}

impl Connect for Backend {
    type Connection = Connection;
    type Error = Unavailable;

    async fn connect(&self, _: &Dial) -> Result<Connection, Unavailable> {
        let place = {
            let mut state = self.state();
            state.open += 1;
            Place(self.clone())
        };
        let dial_time = self.state().dial_time;
        self.pause(dial_time).await;
        if self.state().health == Health::Silent {
            std::future::pending::<()>().await;
        }
        let id = {
            let mut state = self.state();
            if state.health == Health::Refusing || state.open > state.limit {
                return Err(Unavailable);
            }
            state.next += 1;
            state.next - 1
        };
        Ok(Connection {
            id,
            is_dirty: false,
            is_broken: false,
            held: AtomicBool::new(false),
            place,
        })
    }

    fn is_open(&self, conn: &Connection) -> bool {
        conn.id > self.state().dead
    }

    fn verdict(&self, conn: &mut Connection) -> Verdict {
        if conn.is_broken {
            Verdict::Close
        } else if conn.is_dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    async fn check(&self, conn: &mut Connection, _: &ConnectionInfo) -> Result<(), Unavailable> {
        self.serve(conn.id, 3).await
    }

    async fn reset(&self, conn: &mut Connection, _: &ConnectionInfo) -> Result<(), Unavailable> {
        conn.operate(20).await
    }

    async fn close(&self, conn: Connection, _: &ConnectionInfo) {
        // The goodbye; a backend that hangs takes it no better than a query.
        let _ = self.serve(conn.id, 10).await;
    }
}
