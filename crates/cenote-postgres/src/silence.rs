//! How long an exclusive connection puts up with a silent server, and the account of its silence.
//!
//! Silence alone proves nothing: a listener may hear nothing for a year, and a statement may take a minute. What is
//! watched is what must come: the answer to a question that was asked to find out (`quiet`), and any byte at all while
//! one call after the other is given up, which is counted here. Shared connections have a watch of their own
//! (`pipelined`). No I/O here.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cenote::time::{Instant, sleep, sleep_until};
use tokio::sync::Notify;

use crate::wire::Status;

/// So long a server is silent at most when something is due: together they are below ten seconds.
const PING_AFTER: Duration = Duration::from_secs(4);
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// One impatient caller proves nothing, nor does the next.
const IN_A_ROW: u32 = 3;
/// What a runtime that was busy gets to send what waits to be sent, and to read what is here already.
pub(crate) const LAST_LOOK: Duration = Duration::from_millis(200);

/// The settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// None: nothing is watched.
    pub(crate) ping_after: Option<Duration>,
    pub(crate) ping_timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ping_after: Some(PING_AFTER),
            ping_timeout: PING_TIMEOUT,
        }
    }
}

impl Patience {
    /// All silence is borne.
    pub(crate) const ENDLESS: Self = Self {
        ping_after: None,
        ping_timeout: PING_TIMEOUT,
    };

    /// How long the server may be silent when something is due.
    fn in_all(self) -> Option<Duration> {
        Some(self.ping_after?.saturating_add(self.ping_timeout))
    }
}

/// The calls of one session that were given up since the server's last byte.
#[derive(Debug)]
pub(crate) struct Vigil {
    patience: Patience,
    status: Status,
    /// Callers that wait for an answer.
    waiting: AtomicU32,
    /// A leaf lock.
    row: Mutex<Option<Row>>,
    /// There is one more in a row that is long enough.
    grew: Notify,
}

/// Calls that were given up one after the other. A byte ends the row.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// What had been heard by then.
    heard: u64,
    count: u32,
    /// The first of them began.
    since: Instant,
    /// The first was given up.
    opened: Instant,
    /// The last was given up.
    latest: Instant,
    /// How many of those that waited beside the first still wait: their statements may be slow.
    beside: u32,
}

impl Vigil {
    pub(crate) fn new(patience: Patience, status: Status) -> Self {
        Self {
            patience,
            status,
            waiting: AtomicU32::new(0),
            row: Mutex::new(None),
            grew: Notify::new(),
        }
    }

    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    /// A caller waits for an answer from here on.
    pub(crate) fn wait(&self) -> Wait<'_> {
        let begin = self.patience.ping_after.map(|_| {
            self.waiting.fetch_add(1, Relaxed);
            Begin {
                heard: self.status.heard(),
                at: Instant::now(),
            }
        });
        Wait { vigil: self, begin }
    }

    /// The session is in order, and nobody waits.
    pub(crate) fn renew(&self) {
        self.waiting.store(0, Relaxed);
    }

    /// A caller no longer waits; returns how many still do.
    fn leave(&self) -> u32 {
        self.waiting.fetch_sub(1, Relaxed).saturating_sub(1)
    }

    fn given_up(&self, begin: Begin) {
        let Begin { heard, at: began } = begin;
        let beside = self.leave();
        if self.status.heard() != heard {
            return;
        }
        let now = Instant::now();
        let mut slot = self.lock();
        let row = match &mut *slot {
            Some(row) if row.heard == heard => {
                if began < row.opened {
                    row.beside = row.beside.saturating_sub(1);
                }
                // Those that were given up together count once.
                if began < row.latest {
                    return;
                }
                row.count = row.count.saturating_add(1);
                row.latest = now;
                *row
            }
            _ => *slot.insert(Row {
                heard,
                count: 1,
                since: began,
                opened: now,
                latest: now,
                beside,
            }),
        };
        drop(slot);
        if row.count >= IN_A_ROW {
            self.grew.notify_one();
        }
    }

    /// The row, if it is one that ends the connection unless something is heard.
    fn row(&self) -> Option<Row> {
        let is_due = |row: &Row| row.count >= IN_A_ROW && self.status.heard() == row.heard;
        self.lock().filter(is_due)
    }

    /// Returns when the server has been silent for so long, while so many calls in a row were given up, that it will
    /// not answer, and says so. To be polled by the task that reads, and after it has read.
    pub(crate) async fn outlasted(&self) -> String {
        loop {
            if let (Some(row), Some(within)) = (self.row(), self.patience.in_all()) {
                // Later than any clock shows: the next call that is given up brings it back here.
                if let Some(deadline) = row.since.checked_add(within) {
                    sleep_until(deadline).await;
                    sleep(LAST_LOOK).await;
                }
                if let Some(now) = self.row()
                    && now.heard == row.heard
                    && now.beside == 0
                    && now.since.elapsed() >= within
                    && self.status.is_quiet()
                {
                    let (silence, count) = (now.since.elapsed(), now.count);
                    return format!(
                        "not a byte for {silence:.1?}, while {count} calls in a row were given up"
                    );
                }
            }
            self.grew.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Row>> {
        // No code that can panic leaves it unsound.
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller waits for an answer. Dropped before it was told that this is over, it gave up.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    vigil: &'a Vigil,
    /// None: it is over, or all silence is borne.
    begin: Option<Begin>,
}

/// The begin of a wait, and what had been heard by then.
#[derive(Clone, Copy, Debug)]
struct Begin {
    heard: u64,
    at: Instant,
}

impl Wait<'_> {
    /// There is an answer, or an error.
    pub(crate) fn over(mut self) {
        if self.begin.take().is_some() {
            self.vigil.leave();
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(begin) = self.begin {
            self.vigil.given_up(begin);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use cenote::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A server that says nothing, to be looked at by a driver that finds nothing.
    fn silent() -> (Vigil, Status) {
        let status = Status::default();
        status.looked(false);
        (Vigil::new(Patience::default(), status.clone()), status)
    }

    /// Calls with a time-out of a second each, one after the other.
    async fn give_up(vigil: &Vigil, calls: u32) {
        for _ in 0..calls {
            let wait = vigil.wait();
            sleep(SECOND).await;
            drop(wait);
        }
    }

    /// Whether the silence ends the connection, in the next hour.
    async fn ends(vigil: &Vigil) -> bool {
        timeout(3600 * SECOND, vigil.outlasted()).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn three_calls_given_up_in_a_row_end_it_within_ten_seconds_of_the_first() {
        let (vigil, _) = silent();
        let began = Instant::now();
        give_up(&vigil, 3).await;
        let told = vigil.outlasted().await;
        assert_eq!(
            told,
            "not a byte for 9.2s, while 3 calls in a row were given up"
        );
        assert!(began.elapsed() < 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_noticed_as_it_comes_to_that() {
        let (vigil, _) = silent();
        let mut outlasted = pin!(vigil.outlasted());
        tokio::select! {
            told = &mut outlasted => assert!(told.contains("9 calls in a row"), "{told}"),
            () = give_up(&vigil, 100) => panic!("calls were given up for a hundred seconds"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_prove_nothing_however_long_nothing_comes() {
        let (vigil, _) = silent();
        give_up(&vigil, 2).await;
        assert!(!ends(&vigil).await);
    }

    #[tokio::test(start_paused = true)]
    async fn three_of_a_moment_prove_nothing_before_nine_seconds_are_over() {
        let (vigil, status) = silent();
        give_up(&vigil, 3).await;
        let early = timeout(5 * SECOND, vigil.outlasted()).await;
        assert!(early.is_err(), "{early:?}");
        status.looked(true);
        status.looked(false);
        assert!(!ends(&vigil).await, "the server answered");
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_begins_the_row_anew() {
        let (vigil, status) = silent();
        for _ in 0..50 {
            give_up(&vigil, 2).await;
            let wait = vigil.wait();
            sleep(SECOND).await;
            status.looked(true);
            status.looked(false);
            drop(wait);
        }
        assert!(!ends(&vigil).await);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_given_up_together_count_once() {
        let (vigil, _) = silent();
        for _ in 0..2 {
            let together: Vec<_> = (0..5).map(|_| vigil.wait()).collect();
            sleep(20 * SECOND).await;
            drop(together);
        }
        assert!(!ends(&vigil).await);
        give_up(&vigil, 1).await;
        assert!(ends(&vigil).await);
    }

    /// A parameter that cannot be converted, say.
    #[tokio::test(start_paused = true)]
    async fn calls_that_failed_count_for_nothing() {
        let (vigil, _) = silent();
        for _ in 0..20 {
            let wait = vigil.wait();
            sleep(SECOND).await;
            wait.over();
        }
        assert!(!ends(&vigil).await);
    }

    #[tokio::test(start_paused = true)]
    async fn it_lives_as_long_as_an_earlier_call_is_awaited() {
        let (vigil, _) = silent();
        let report = vigil.wait();
        give_up(&vigil, 30).await;
        assert!(!ends(&vigil).await);
        drop(report);
        give_up(&vigil, 1).await;
        assert!(ends(&vigil).await, "now it was given up as well");
    }

    /// Its own user holds back what has come.
    #[tokio::test(start_paused = true)]
    async fn it_lives_while_nobody_reads() {
        let (vigil, status) = silent();
        status.looked(true);
        give_up(&vigil, 30).await;
        assert!(!ends(&vigil).await);
        status.looked(false);
        give_up(&vigil, 1).await;
        assert!(ends(&vigil).await);
    }

    /// What waited to be sent while the runtime stood still has its answer a moment later.
    #[tokio::test(start_paused = true)]
    async fn a_driver_that_comes_late_has_one_more_look() {
        let (vigil, status) = silent();
        give_up(&vigil, 30).await;
        let answered = async {
            sleep(LAST_LOOK / 2).await;
            status.looked(true);
            status.looked(false);
        };
        let (ends, ()) = tokio::join!(ends(&vigil), answered);
        assert!(!ends);
    }

    #[tokio::test(start_paused = true)]
    async fn without_pings_all_silence_is_borne() {
        let status = Status::default();
        status.looked(false);
        let vigil = Vigil::new(Patience::ENDLESS, status);
        give_up(&vigil, 30).await;
        assert!(!ends(&vigil).await);
    }
}
