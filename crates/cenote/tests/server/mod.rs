//! A server that is not there: a connector whose every step does as it is told, and counts.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::pool::PoolBuilder;
use cenote::report::{CloseReason, Event, EventKind};
use cenote::shared::SharedPoolBuilder;
use cenote::{
    Connect, ConnectionInfo, Dial, FailureKind, Multiplex, Pool, SharedPool, Signals, Verdict,
};

/// How a step goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Act {
    #[default]
    Ok,
    Fail,
    Slow,
    Never,
    Panic,
}

/// What `Act::Slow` takes.
pub const SLOW: Duration = Duration::from_millis(150);

impl Act {
    pub const ALL: [Act; 5] = [Act::Ok, Act::Fail, Act::Slow, Act::Never, Act::Panic];

    pub async fn run(self) -> Result<(), Refused> {
        match self {
            Act::Ok => Ok(()),
            Act::Fail => Err(Refused),
            Act::Slow => {
                tokio::time::sleep(SLOW).await;
                Ok(())
            }
            Act::Never => std::future::pending().await,
            Act::Panic => panic!("told to"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server refused")
    }
}

impl std::error::Error for Refused {}

/// What the server does next; shared, and changed while it runs.
#[derive(Clone, Default)]
pub struct Server {
    pub plan: Arc<Mutex<Plan>>,
    pub seen: Arc<Seen>,
}

#[derive(Clone, Copy, Default)]
pub struct Plan {
    pub connect: Act,
    pub check: Act,
    pub reset: Act,
    pub close: Act,
    pub verdict: Option<Verdict>,
    pub verdict_panics: bool,
    pub is_open_panics: bool,
    pub leaving_panics: bool,
    pub arrives_dead: bool,
    /// What its refusal is classified as.
    pub kind: FailureKind,
    /// What it says is dialled.
    pub endpoint: Option<&'static str>,
    /// What new connections say they can carry; 4 if nothing.
    pub capacity: Option<usize>,
}

#[derive(Default)]
pub struct Seen {
    /// Connections and dials now, and the most there ever were.
    pub open: AtomicUsize,
    pub most: AtomicUsize,
    pub dials: AtomicUsize,
    pub connected: AtomicUsize,
    pub checks: AtomicUsize,
    pub resets: AtomicUsize,
    pub goodbyes: AtomicUsize,
    /// What the connector was told of connections, and when.
    pub stories: Mutex<Vec<(&'static str, ConnectionInfo)>>,
    /// Why connections left.
    pub left: Mutex<Vec<CloseReason>>,
    /// The switch of every connection there ever was.
    switches: Mutex<Vec<Arc<AtomicBool>>>,
}

/// Counts as open from the dial to the drop.
pub struct Place(Arc<Seen>);

impl Place {
    fn take(seen: &Arc<Seen>) -> Self {
        let now = seen.open.fetch_add(1, SeqCst) + 1;
        seen.most.fetch_max(now, SeqCst);
        Place(Arc::clone(seen))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
    }
}

pub struct Conn {
    pub id: usize,
    pub alive: Arc<AtomicBool>,
    /// Set by whoever leaves it in a state nobody else should see.
    pub dirty: bool,
    /// What it says it can carry.
    pub capacity: Arc<AtomicUsize>,
    /// Those who use it now, as they say themselves.
    pub users: AtomicUsize,
    /// By which it reaches its pool.
    pub signals: Signals,
    _place: Place,
}

impl Server {
    pub fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan.lock().unwrap());
    }

    pub fn act(&self, of: impl FnOnce(&Plan) -> Act) -> Act {
        of(&self.plan.lock().unwrap())
    }

    pub fn builder(&self) -> PoolBuilder<Server> {
        Pool::builder(self.clone())
    }

    pub fn shared(&self) -> SharedPoolBuilder<Server> {
        SharedPool::builder(self.clone())
    }

    pub fn pool(&self, max_size: usize) -> Pool<Server> {
        self.builder().max_size(max_size).build().unwrap()
    }

    pub fn open(&self) -> usize {
        self.seen.open.load(SeqCst)
    }

    pub fn connected(&self) -> usize {
        self.seen.connected.load(SeqCst)
    }

    pub fn dials(&self) -> usize {
        self.seen.dials.load(SeqCst)
    }

    /// The most connections and dials there ever were at once.
    pub fn most(&self) -> usize {
        self.seen.most.load(SeqCst)
    }

    /// A connection that no pool opened.
    pub fn conn(&self) -> Conn {
        self.established(Place::take(&self.seen), Signals::default())
    }

    fn established(&self, place: Place, signals: Signals) -> Conn {
        let plan = *self.plan.lock().unwrap();
        let alive = Arc::new(AtomicBool::new(!plan.arrives_dead));
        self.seen.switches.lock().unwrap().push(Arc::clone(&alive));
        Conn {
            id: self.seen.connected.fetch_add(1, SeqCst),
            alive,
            dirty: false,
            capacity: Arc::new(AtomicUsize::new(plan.capacity.unwrap_or(4))),
            users: AtomicUsize::new(0),
            signals,
            _place: place,
        }
    }

    fn note(&self, turn: &'static str, info: &ConnectionInfo) {
        self.seen.stories.lock().unwrap().push((turn, *info));
    }

    /// Restarts the server: every connection there is now is dead, new ones are not.
    pub fn restart(&self) {
        for alive in self.seen.switches.lock().unwrap().drain(..) {
            alive.store(false, SeqCst);
        }
    }
}

impl Connect for Server {
    type Connection = Conn;
    type Error = Refused;

    async fn connect(&self, dial: &Dial) -> Result<Conn, Refused> {
        self.seen.dials.fetch_add(1, SeqCst);
        let place = Place::take(&self.seen);
        self.act(|plan| plan.connect).run().await?;
        Ok(self.established(place, dial.signals()))
    }

    fn is_open(&self, conn: &Conn) -> bool {
        assert!(!self.plan.lock().unwrap().is_open_panics, "told to");
        conn.alive.load(SeqCst)
    }

    fn verdict(&self, conn: &mut Conn) -> Verdict {
        let plan = *self.plan.lock().unwrap();
        assert!(!plan.verdict_panics, "told to");
        plan.verdict.unwrap_or(if conn.dirty {
            Verdict::Reset
        } else {
            Verdict::Reuse
        })
    }

    fn classify(&self, _: &Refused) -> FailureKind {
        self.plan.lock().unwrap().kind
    }

    fn endpoint(&self) -> Option<String> {
        self.plan.lock().unwrap().endpoint.map(Into::into)
    }

    async fn check(&self, conn: &mut Conn, info: &ConnectionInfo) -> Result<(), Refused> {
        self.note("check", info);
        self.seen.checks.fetch_add(1, SeqCst);
        self.act(|plan| plan.check).run().await?;
        if conn.alive.load(SeqCst) {
            Ok(())
        } else {
            Err(Refused)
        }
    }

    async fn reset(&self, conn: &mut Conn, info: &ConnectionInfo) -> Result<(), Refused> {
        self.note("reset", info);
        self.seen.resets.fetch_add(1, SeqCst);
        self.act(|plan| plan.reset).run().await?;
        conn.dirty = false;
        Ok(())
    }

    async fn close(&self, _conn: Conn, info: &ConnectionInfo) {
        self.note("close", info);
        let _ = self.act(|plan| plan.close).run().await;
        self.seen.goodbyes.fetch_add(1, SeqCst);
    }

    fn leaving(&self, _: &mut Conn, info: &ConnectionInfo, reason: CloseReason) {
        self.note("leaving", info);
        self.seen.left.lock().unwrap().push(reason);
        assert!(!self.plan.lock().unwrap().leaving_panics, "told to");
    }
}

impl Multiplex for Server {
    fn capacity(&self, conn: &Conn) -> usize {
        conn.capacity.load(SeqCst)
    }
}

/// What a pool told, in words, in order.
#[derive(Clone, Default)]
pub struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Records what happens to the connections of the pool that `builder` builds; of callers it keeps no record.
    pub fn by(builder: PoolBuilder<Server>) -> (PoolBuilder<Server>, Told) {
        let told = Told::default();
        let log = told.clone();
        let builder = builder.on_event(move |event| {
            let is_of_a_caller = matches!(
                event.kind,
                EventKind::Waited { .. }
                    | EventKind::TimedOut { .. }
                    | EventKind::Rejected
                    | EventKind::SlowGet { .. }
            );
            if !is_of_a_caller {
                log.note(&words(event));
            }
        });
        (builder, told)
    }

    pub fn note(&self, words: &str) {
        self.0.lock().unwrap().push(words.to_owned());
    }

    /// What was told since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An event in words.
pub fn words(event: &Event<'_>) -> String {
    match &event.kind {
        EventKind::Opened { info, .. } => format!("opened {}", info.id),
        EventKind::ConnectFailed {
            error, failures, ..
        } => format!("connect failed ({failures}): {error}"),
        EventKind::Closed {
            info,
            reason,
            error: Some(error),
            ..
        } => format!("closed {}: {reason}, {error}", info.id),
        EventKind::Closed { info, reason, .. } => format!("closed {}: {reason}", info.id),
        EventKind::Leaked { id, .. } => format!("leaked {id}"),
        EventKind::Waited { waited, .. } => format!("waited {waited:?}"),
        EventKind::TimedOut { waited, .. } => format!("timed out after {waited:?}"),
        EventKind::SlowGet {
            waited, outcome, ..
        } => format!("slow get of {waited:?}: {outcome:?}"),
        EventKind::Rejected => "rejected".to_owned(),
        other => format!("{other:?}"),
    }
}

pub fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Lets virtual time pass, upkeep taking its turns.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// No lease and no waiter: every slot is idle or vacant.
#[track_caller]
pub fn assert_quiet(pool: &Pool<Server>) {
    let status = pool.status();
    assert_eq!(
        (status.leased, status.upkeep, status.opening, status.waiters),
        (0, 0, 0, 0),
        "not quiet: {status}"
    );
}
