//! Signs of life of one shared connection: what is owed, what came, who gave up waiting; and what follows.
//!
//! Promises that a caller that asks or leaves finds out what can be found out without the connection's own runtime,
//! which may have stopped. No I/O here.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cenote::Signals;
use cenote::time::Instant;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::driver::GiveUp;
use crate::wire::Status;

/// So often within the limit of silence the watch looks.
pub(super) const TURNS: u32 = 8;
/// After so many turns without a byte, calls given up make a connection suspect.
const SUSPECT_AFTER: u32 = TURNS / 2;

/// How long silence is borne.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) silence_limit: Duration,
    pub(super) max_timeouts: u32,
}

impl Patience {
    /// From one look of the watch to the next.
    pub(super) fn turn(self) -> Duration {
        (self.silence_limit / TURNS).max(Duration::from_millis(1))
    }
}

/// The signs of life of one connection.
pub(super) struct Vitals {
    runtime: Handle,
    /// `None`: silence is borne for ever.
    patience: Option<Patience>,
    /// Where each byte of the server shows.
    status: Status,
    /// Replies that are owed.
    owed: AtomicUsize,
    /// Callers that wait.
    waiting: AtomicUsize,
    /// What had been heard when a caller last gave up, its low half, and how many have since then, in one word.
    given_up: AtomicU64,
    /// Turns of the watch, in a row, in which replies were owed and nothing came.
    silent: AtomicU32,
    /// The server is being asked about the session, or has said nothing of it.
    in_question: AtomicBool,
    /// Whether the pool was last told that the connection is suspect.
    was_suspect: AtomicBool,
    signals: Signals,
    began: Instant,
    /// When the watch last looked, in nanoseconds since `began`.
    looked_at: AtomicU64,
    end: OnceLock<Box<str>>,
    ended: Notify,
    give_up: GiveUp,
}

impl Vitals {
    /// Of a connection just opened on the runtime of the caller.
    pub(super) fn new(
        patience: Option<Patience>,
        status: Status,
        give_up: GiveUp,
        signals: Signals,
    ) -> Arc<Self> {
        Arc::new(Self {
            runtime: Handle::current(),
            patience,
            status,
            owed: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            given_up: AtomicU64::new(0),
            silent: AtomicU32::new(0),
            in_question: AtomicBool::new(false),
            was_suspect: AtomicBool::new(false),
            signals,
            began: Instant::now(),
            looked_at: AtomicU64::new(0),
            end: OnceLock::new(),
            ended: Notify::new(),
            give_up,
        })
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// A reply is owed from here to the drop of what this returns.
    pub(super) fn owe(self: &Arc<Self>) -> Owed {
        self.owed.fetch_add(1, Relaxed);
        Owed(self.clone())
    }

    /// A caller waits from here on.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Relaxed);
        Waiting {
            vitals: self,
            is_answered: false,
        }
    }

    pub(super) fn is_owed(&self) -> bool {
        self.owed.load(Relaxed) > 0
    }

    pub(super) fn is_awaited(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }

    /// Stays the same while not a byte comes.
    pub(super) fn heard(&self) -> u64 {
        self.status.heard()
    }

    /// How many callers in a row gave up with nothing heard in between.
    fn given_up_in_a_row(&self) -> u32 {
        match split(self.given_up.load(Relaxed)) {
            (_, 0) => 0,
            (heard, count) if heard == self.heard() as u32 => count,
            _ => 0,
        }
    }

    fn count_given_up(&self) {
        let heard = self.heard() as u32;
        let count = |word| {
            let count = match split(word) {
                (then, count) if then == heard => count.saturating_add(1),
                _ => 1,
            };
            Some(join(heard, count))
        };
        // The closure never refuses.
        let _ = self.given_up.fetch_update(Relaxed, Relaxed, count);
    }

    /// Whether more callers in a row gave up than a connection in order would have them.
    pub(super) fn is_given_up(&self) -> bool {
        self.patience
            .is_some_and(|patience| self.given_up_in_a_row() >= patience.max_timeouts)
    }

    /// Whether there is reason to doubt that the server will answer: no new caller should come.
    pub(super) fn is_suspect(&self) -> bool {
        self.in_question.load(Relaxed)
            || (self.is_given_up()
                && (self.silent.load(Relaxed) >= SUSPECT_AFTER || self.is_not_driven()))
    }

    /// Whether it is over, as far as callers can tell.
    pub(super) fn is_ended(&self) -> bool {
        self.look_from_outside();
        self.end.get().is_some()
    }

    /// Why it is over.
    pub(super) fn end_reason(&self) -> Option<&str> {
        self.end.get().map(|reason| &**reason)
    }

    /// Resolves when it is over. It must be polled, and [`end_reason`](Self::end_reason) be asked after that.
    pub(super) fn ended(&self) -> Notified<'_> {
        self.ended.notified()
    }

    /// Ends the connection: its callers are told why.
    pub(super) fn end(&self, reason: impl FnOnce() -> String) {
        self.end.get_or_init(|| reason().into());
        self.ended.notify_waiters();
        self.give_up.now();
    }

    /// What the watch cannot see to where its runtime does not run.
    fn look_from_outside(&self) {
        if self.is_given_up() && self.is_not_driven() && self.end.get().is_none() {
            self.end(|| "its runtime does not run: nobody reads what the server answers".into());
        }
    }

    /// Whether the runtime of the connection stands still, as seen from another: one that was only held up
    /// goes on with both, who gives up and what is heard.
    fn is_not_driven(&self) -> bool {
        let Some(patience) = self.patience else {
            return false;
        };
        if Handle::try_current().is_ok_and(|here| here.id() == self.runtime.id()) {
            return false;
        }
        let looked_at = Duration::from_nanos(self.looked_at.load(Relaxed));
        self.began.elapsed().saturating_sub(looked_at) > patience.silence_limit * 3 / 2
    }

    /// The watch has looked, and nothing has come for so many of its turns.
    pub(super) fn looked(&self, silent: u32) {
        self.silent.store(silent, Relaxed);
        self.beat();
        self.tell();
    }

    /// Has the pool ask again, if what it is to think of the connection has changed. For the watch alone.
    fn tell(&self) {
        let is_suspect = self.is_suspect();
        if self.was_suspect.swap(is_suspect, Relaxed) != is_suspect {
            self.signals.ask_again();
        }
    }

    /// The watch is at work.
    pub(super) fn beat(&self) {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.looked_at.store(now, Relaxed);
    }

    pub(super) fn question(&self, is_open: bool) {
        self.in_question.store(is_open, Relaxed);
        self.tell();
    }

    /// Whether those who gave up were the last who waited, after as long a silence as makes suspect.
    pub(super) fn is_deserted(&self) -> bool {
        !self.is_awaited() && self.is_given_up() && self.silent.load(Relaxed) >= SUSPECT_AFTER
    }
}

/// The two halves of a word.
fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// A reply is owed.
pub(super) struct Owed(Arc<Vitals>);

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.owed.fetch_sub(1, Relaxed);
    }
}

/// A caller waits. Dropped without an answer, it gave up.
pub(super) struct Waiting<'a> {
    vitals: &'a Vitals,
    is_answered: bool,
}

impl Waiting<'_> {
    /// There is an answer, or an end.
    pub(super) fn end(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.vitals.waiting.fetch_sub(1, Relaxed);
        if !self.is_answered {
            self.vitals.count_given_up();
            self.vitals.look_from_outside();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::Mutex;

    use cenote::{Connect, Dial, Multiplex, SharedPool, Verdict};

    use super::*;

    /// Connections of nothing but signs of life, one a capacity of 1 or, if it is suspect, 0.
    #[derive(Clone, Default)]
    struct Bare(Arc<Mutex<Option<Arc<Vitals>>>>);

    impl Connect for Bare {
        type Connection = Arc<Vitals>;
        type Error = Infallible;

        async fn connect(&self, dial: &Dial) -> Result<Arc<Vitals>, Infallible> {
            let vitals = Vitals::new(None, Status::default(), GiveUp::default(), dial.signals());
            *self.0.lock().expect("no panic") = Some(vitals.clone());
            Ok(vitals)
        }

        fn verdict(&self, _: &mut Arc<Vitals>) -> Verdict {
            Verdict::Reuse
        }
    }

    impl Multiplex for Bare {
        fn capacity(&self, vitals: &Arc<Vitals>) -> usize {
            usize::from(!vitals.is_suspect())
        }
    }

    /// Who waits for a connection in question need not wait for its pool to look at it again.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_suspect_no_longer_serves_at_once() {
        let bare = Bare::default();
        let pool = SharedPool::builder(bare.clone()).max_size(1).build();
        let pool = pool.expect("settings are valid");
        drop(pool.get().await.expect("a place"));
        let vitals = bare
            .0
            .lock()
            .expect("no panic")
            .clone()
            .expect("it was opened");
        vitals.question(true);
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut waits = pin!(pool.get());
        assert!(futures_util::poll!(&mut waits).is_pending());
        let began = Instant::now();
        vitals.question(false);
        drop(waits.await.expect("a place"));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
