//! A connector that keeps watch: every connection carries what was done to it, and the one who meets a
//! breach of a duty notes it. Breaches are noted, not panicked: the pool would catch that.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::{Connect, ConnectionInfo, Dial, Verdict};

use crate::server::{Act, Refused};

/// How long a getter who stays waits at most.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// What each step of a connection's life does.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    pub connect: Act,
    pub after_connect: Act,
    pub check: Act,
    pub before_get: Act,
    pub reset: Act,
    pub after_return: Act,
}

impl Steps {
    pub const FINE: Steps = Steps {
        connect: Act::Ok,
        after_connect: Act::Ok,
        check: Act::Ok,
        before_get: Act::Ok,
        reset: Act::Ok,
        after_return: Act::Ok,
    };

    fn before_a_lease(&self) -> [Act; 4] {
        [
            self.connect,
            self.after_connect,
            self.check,
            self.before_get,
        ]
    }

    /// Whether a getter can be given a connection.
    pub fn lead_to_a_lease(&self) -> bool {
        self.before_a_lease().into_iter().all(works)
    }

    /// Whether no connection ever has to be closed.
    pub fn end_well(&self) -> bool {
        self.lead_to_a_lease() && works(self.reset) && works(self.after_return)
    }

    /// How long a getter may have to wait: where no step takes time, no longer than others hold their leases,
    /// and not until upkeep's next turn.
    pub fn patience(&self) -> Duration {
        let takes_time = |act: &Act| matches!(act, Act::Slow | Act::Never);
        let after = [self.reset, self.after_return];
        if self.before_a_lease().iter().chain(&after).any(takes_time) {
            PATIENCE
        } else {
            Duration::from_millis(500)
        }
    }
}

fn works(act: Act) -> bool {
    matches!(act, Act::Ok | Act::Slow)
}

/// Where the connections are, and what went wrong with them.
pub struct World {
    steps: Mutex<Steps>,
    /// Dials under way and connections not yet dropped, and the most there ever were.
    places: AtomicUsize,
    most: AtomicUsize,
    tags: AtomicUsize,
    breaches: Mutex<Vec<String>>,
}

impl World {
    pub fn new(steps: Steps) -> Arc<Self> {
        Arc::new(Self {
            steps: Mutex::new(steps),
            places: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            tags: AtomicUsize::new(0),
            breaches: Mutex::default(),
        })
    }

    pub fn steps(&self) -> Steps {
        *self.steps.lock().unwrap()
    }

    pub fn change(&self, steps: Steps) {
        *self.steps.lock().unwrap() = steps;
    }

    pub fn places(&self) -> usize {
        self.places.load(SeqCst)
    }

    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    /// Connections there ever were, and dials.
    pub fn opened(&self) -> usize {
        self.tags.load(SeqCst)
    }

    pub fn breaches(&self) -> Vec<String> {
        self.breaches.lock().unwrap().clone()
    }

    fn breach(&self, what: String) {
        self.breaches.lock().unwrap().push(what);
    }

    /// A connection that no pool opened.
    pub fn conn(self: &Arc<Self>) -> Conn {
        Conn {
            tag: self.tags.fetch_add(1, SeqCst),
            under: None,
            dirty: false,
            place: Place::take(self),
        }
    }
}

/// Counts from the start of the dial to the drop of the connection.
struct Place(Arc<World>);

impl Place {
    fn take(world: &Arc<World>) -> Self {
        let now = world.places.fetch_add(1, SeqCst) + 1;
        world.most.fetch_max(now, SeqCst);
        Self(Arc::clone(world))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, SeqCst);
    }
}

/// Who has a connection in hand just now, or had when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    Step(&'static str),
    User,
}

/// How a user leaves the session's state.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Left {
    Clean,
    Dirty,
}

pub struct Conn {
    tag: usize,
    /// Set before anybody touches it, cleared only when that ended well.
    under: Option<Hand>,
    /// A user's session state, which a reset clears.
    dirty: bool,
    place: Place,
}

impl Conn {
    /// Exclusive and Clean: nobody else has it, and nothing done to it before was cut short or failed.
    fn take(&mut self, hand: Hand, may_be_dirty: bool) {
        let Self {
            tag, under, dirty, ..
        } = *self;
        if let Some(before) = under {
            let what =
                format!("connection {tag} came to {hand:?} after {before:?} did not end well");
            self.place.0.breach(what);
        }
        if dirty && !may_be_dirty {
            let what = format!("connection {tag} came to {hand:?} with another's state");
            self.place.0.breach(what);
        }
        self.under = Some(hand);
    }

    pub async fn step(&mut self, name: &'static str, act: Act) -> Result<(), Refused> {
        let is_reset = name == "reset";
        self.take(Hand::Step(name), is_reset);
        act.run().await?;
        self.dirty &= !is_reset;
        self.under = None;
        Ok(())
    }

    /// A user begins to work with it.
    pub fn begin(&mut self) {
        self.take(Hand::User, false);
        self.dirty = true;
    }

    /// The user is done.
    pub fn done(&mut self, left: Left) {
        self.under = None;
        self.dirty = left == Left::Dirty;
    }
}

pub struct Tagging(pub Arc<World>);

impl Connect for Tagging {
    type Connection = Conn;
    type Error = Refused;

    async fn connect(&self, _: &Dial) -> Result<Conn, Refused> {
        let conn = self.0.conn();
        self.0.steps().connect.run().await?;
        Ok(conn)
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        match (conn.under, conn.dirty) {
            (Some(_), _) => Verdict::Close,
            (None, true) => Verdict::Reset,
            (None, false) => Verdict::Reuse,
        }
    }

    async fn check(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Refused> {
        conn.step("check", self.0.steps().check).await
    }

    async fn reset(&self, conn: &mut Conn, _: &ConnectionInfo) -> Result<(), Refused> {
        conn.step("reset", self.0.steps().reset).await
    }

    /// A slow goodbye: the connection counts until it is over.
    async fn close(&self, conn: Conn, _: &ConnectionInfo) {
        let _ = Act::Slow.run().await;
        drop(conn);
    }
}
