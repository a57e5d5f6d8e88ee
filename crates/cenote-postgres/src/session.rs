//! What is known of a session: which calls run, and what earlier ones may have left in it.
//!
//! Every mark is set before its statement is sent and cleared only by a reset that succeeded, so that a
//! call dropped at any point leaves the session marked. No I/O here.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use cenote::Verdict;
use tokio_postgres::error::{Severity, SqlState};

use crate::reset::ResetMode;
use crate::role::Tenure;
use crate::silence::{Patience, Vigil, Wait};
use crate::traces::{Judge, Traces};
use crate::wire::Status;

/// Something was sent.
const USED: u8 = 1;
/// Session state may differ from what it was at first.
const STATE: u8 = 1 << 1;
/// A transaction may be open.
const TRANSACTION: u8 = 1 << 2;
/// A call ended before its whole reply was there.
const CUT_SHORT: u8 = 1 << 3;
/// No reset makes this session fit for another user.
const DOOMED: u8 = 1 << 4;
/// A write was refused as the transaction was read-only, in a session that is not so on purpose.
const READ_ONLY: u8 = 1 << 5;
/// That was in a session in which its user had set nothing.
const REFUSED: u8 = 1 << 6;

/// The bookkeeping of one session.
///
/// Relaxed ordering is enough: the pool hands a connection from one user to the next with
/// synchronisation of its own, and within a lease the marks are only ever added.
#[derive(Debug)]
pub(crate) struct Session {
    id: SessionId,
    in_flight: AtomicU32,
    marks: AtomicU8,
    /// How names without a schema resolve, as [`Names`].
    names: AtomicU64,
    judge: Judge,
    peer: Peer,
    /// It began as one that takes no writes, on purpose.
    began_read_only: AtomicBool,
    /// What it was admitted to, if its server is to have a role.
    tenure: OnceLock<Tenure>,
    status: Status,
    vigil: Vigil,
}

/// Tells the sessions of a process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionId(u64);

impl Default for SessionId {
    /// One that no other session has.
    fn default() -> Self {
        Self(next_unique())
    }
}

/// Who answers at the other end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A server, or what passes everything on to one session of it.
    #[default]
    Server,
    /// What gives each transaction a session that others used before, and will use after it.
    TransactionPooler,
}

/// How a session resolves names without a schema, as far as its statements show: those of `search_path`, of
/// roles and of temporary tables. The same number, the same statements that changed it; 0: as at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Names(u64);

impl Session {
    pub(crate) fn new(judge: Judge, peer: Peer, patience: Patience) -> Self {
        let status = Status::default();
        Self {
            id: SessionId::default(),
            in_flight: AtomicU32::new(0),
            marks: AtomicU8::new(0),
            names: AtomicU64::new(0),
            judge,
            peer,
            began_read_only: AtomicBool::new(false),
            tenure: OnceLock::new(),
            vigil: Vigil::new(patience, status.clone()),
            status,
        }
    }

    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Who judges what statements leave here.
    pub(crate) fn judge(&self) -> &Judge {
        &self.judge
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// What the server last said of its transaction.
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    /// The account of the calls that were given up.
    pub(crate) fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    /// Marks the session for a statement about to be sent.
    pub(crate) fn begin(&self, traces: Traces) -> Call<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.mark(match traces {
            Traces::None => USED,
            Traces::State | Traces::Anything => USED | STATE,
            Traces::Transaction => USED | STATE | TRANSACTION,
            Traces::Lasting => USED | DOOMED,
        });
        Call {
            session: self,
            wait: Some(self.vigil.wait()),
        }
    }

    /// As [`begin`](Self::begin), for a statement with this text.
    pub(crate) fn begin_text(&self, traces: Traces, sql: &str) -> Call<'_> {
        if traces != Traces::None && self.judge.moves_names(sql) {
            let mut hasher = DefaultHasher::new();
            (self.names(), sql).hash(&mut hasher);
            if sql.contains('$') {
                // A parameter may hold what matters, and is not seen here.
                next_unique().hash(&mut hasher);
            }
            self.names.store(hasher.finish(), Ordering::Relaxed);
        }
        self.begin(traces)
    }

    /// Marks the session for a question of the connection's own, which no caller waits for, and which ends by
    /// [`asked`](Self::asked).
    pub(crate) fn ask(&self) {
        let mut call = self.begin(Traces::None);
        call.answered();
        std::mem::forget(call);
    }

    /// The question that was begun by [`ask`](Self::ask).
    pub(crate) fn asked(&self) -> Call<'_> {
        Call {
            session: self,
            wait: None,
        }
    }

    pub(crate) fn names(&self) -> Names {
        Names(self.names.load(Ordering::Relaxed))
    }

    /// A transaction that began with these names was rolled back.
    pub(crate) fn names_rolled_back(&self, before: Names) {
        self.names.store(before.0, Ordering::Relaxed);
    }

    /// A transaction that began with these names was committed: what was local to it ended.
    pub(crate) fn names_committed(&self, before: Names) {
        let now = self.names();
        if now != before {
            let mut hasher = DefaultHasher::new();
            (before, now).hash(&mut hasher);
            self.names.store(hasher.finish(), Ordering::Relaxed);
        }
    }

    /// The driver's own client is handed out: from here on anything may happen unseen.
    pub(crate) fn opened_up(&self) {
        self.mark(USED | STATE | TRANSACTION);
    }

    /// Bars the session from any other user.
    pub(crate) fn doom(&self) {
        self.mark(DOOMED);
    }

    /// The session begins as one that takes no writes, on purpose: that one is refused says nothing of the server.
    pub(crate) fn begins_read_only(&self) {
        self.began_read_only.store(true, Ordering::Relaxed);
    }

    /// Whether this error may mean that the server takes no writes any more: another one may have been made the
    /// primary.
    pub(crate) fn may_be_demotion(&self, code: &SqlState) -> bool {
        *code == SqlState::READ_ONLY_SQL_TRANSACTION
            && !self.began_read_only.load(Ordering::Relaxed)
    }

    /// Whether there was an error that [may be a demotion](Self::may_be_demotion).
    pub(crate) fn met_read_only(&self) -> bool {
        self.has(READ_ONLY)
    }

    /// Whether it is barred from any other user.
    pub(crate) fn is_doomed(&self) -> bool {
        self.has(DOOMED)
    }

    /// Whether the server may still be at work for this session.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 || self.has(CUT_SHORT)
    }

    /// Whether a transaction may be open. A call that never ended counts: its guard was forgotten.
    pub(crate) fn may_be_in_transaction(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) > 0 || self.has(TRANSACTION)
    }

    /// Whether a statement ran, or may have run unseen, that can end a transaction.
    pub(crate) fn may_have_ended_transaction(&self) -> bool {
        self.has(TRANSACTION)
    }

    /// Whether what the server last said of its transaction may not be its last word.
    pub(crate) fn is_transaction_in_doubt(&self) -> bool {
        self.is_busy() || self.has(TRANSACTION)
    }

    pub(crate) fn verdict(&self, mode: ResetMode) -> Verdict {
        let used = match (self.peer, mode) {
            (Peer::Server, ResetMode::Fast) => STATE | TRANSACTION,
            (Peer::Server, ResetMode::Full) => STATE | TRANSACTION | USED,
            // What else was left is in a session that is not this connection's any more; that a write was refused may be
            // of the server, which is to be asked.
            (Peer::TransactionPooler, _) => TRANSACTION | READ_ONLY,
        };
        if self.has(DOOMED) {
            Verdict::Close
        } else if self.is_busy() || self.has(used) {
            Verdict::Reset
        } else {
            Verdict::Reuse
        }
    }

    /// The session was reset and is as at first.
    pub(crate) fn renew(&self) {
        self.in_flight.store(0, Ordering::Relaxed);
        self.marks.store(0, Ordering::Relaxed);
        self.names.store(0, Ordering::Relaxed);
        self.vigil.renew();
    }

    fn mark(&self, marks: u8) {
        // A load is cheaper than a read-modify-write, and most calls add nothing new.
        if self.marks.load(Ordering::Relaxed) & marks != marks {
            self.marks.fetch_or(marks, Ordering::Relaxed);
        }
    }

    fn has(&self, marks: u8) -> bool {
        self.marks.load(Ordering::Relaxed) & marks != 0
    }
}

fn next_unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A call under way. Dropped without [`complete`](Call::complete), it leaves the session cut short.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    session: &'a Session,
    /// While its caller waits.
    wait: Option<Wait<'a>>,
}

impl Call<'_> {
    /// The whole reply is there.
    pub(crate) fn complete(mut self) {
        self.answered();
        self.session.in_flight.fetch_sub(1, Ordering::Relaxed);
        std::mem::forget(self);
    }

    /// Its caller has an answer and waits no more, and the call goes on. Dropped from here on, it was not given up.
    pub(crate) fn answered(&mut self) {
        if let Some(wait) = self.wait.take() {
            wait.over();
        }
    }

    /// Ends the call as its result says.
    ///
    /// After an error of the server nothing but its "ready" follows, or the end of the session when the
    /// error is fatal. Any other error may have come in the middle of a reply, whose rest is on its way.
    pub(crate) fn end<T>(self, result: &Result<T, tokio_postgres::Error>) {
        match result.as_ref() {
            Ok(_) => self.complete(),
            Err(error) => self.fail(error),
        }
    }

    /// Ends the call, which failed.
    pub(crate) fn fail(mut self, error: &tokio_postgres::Error) {
        match error.as_db_error() {
            Some(error) => {
                if self.session.may_be_demotion(error.code()) {
                    self.session.refused();
                }
                // The severity as text may be translated. Servers before 9.6 and some poolers send no other.
                let is_fatal = match error.parsed_severity() {
                    Some(severity) => matches!(severity, Severity::Fatal | Severity::Panic),
                    None => matches!(error.severity(), "FATAL" | "PANIC"),
                };
                if is_fatal {
                    self.session.doom();
                }
                self.complete();
            }
            None => {
                self.answered();
                drop(self);
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.session.mark(CUT_SHORT);
        self.session.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

mod server_role;
#[cfg(test)]
mod tests;
