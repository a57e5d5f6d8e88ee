//! What the reference leaves open, and within what bounds: when and why connections may be opened and closed,
//! and when they must be. With it the duties that hold after every operation.

use cenote::report::{CloseReason, PoolState};

use super::model::{Checked, Model, ensure};
use super::operation::Step;

use crate::server::Act;

/// Milliseconds.
pub const CHECK_AFTER_IDLE: u64 = 10_000;
pub const IDLE_TIMEOUT: u64 = 60_000;
pub const MAX_LIFETIME: u64 = 200_000;
pub const MAX_CONNECTING: usize = 2;
/// How often upkeep looks, and by how much its clock may lag.
const UPKEEP: u64 = 1_000;

/// When something was, in a turn in which it is not known when.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub earliest: u64,
    pub latest: u64,
}

impl Span {
    fn at(now: u64) -> Self {
        Self {
            earliest: now,
            latest: now,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Conn {
    /// The server's number for it.
    pub id: usize,
    pub alive: bool,
    /// To be reset before anyone else has it.
    pub soiled: bool,
    /// Evicted.
    pub doomed: bool,
    pub opened: Span,
    /// Since when it idles, while it does.
    pub idle: Span,
}

impl Conn {
    /// Idle for that long it is never leased unchecked.
    pub fn must_be_checked(age: u64) -> bool {
        age > CHECK_AFTER_IDLE
    }

    /// Whether it may need a check, so that who takes only what is ready passes it over.
    pub fn may_be_passed(&self, now: u64) -> bool {
        !self.alive || now - self.idle.earliest + 2 * UPKEEP >= CHECK_AFTER_IDLE
    }
}

/// How the server's steps go; and went, since the turn began.
pub struct Modes {
    connect: Act,
    check: Act,
    reset: Act,
    goodbye: Act,
    /// All that this turn has seen.
    this_turn: Vec<(Step, Act)>,
}

fn is_bad(act: Act) -> bool {
    matches!(act, Act::Fail | Act::Never)
}

impl Default for Modes {
    fn default() -> Self {
        let mut modes = Self {
            connect: Act::Ok,
            check: Act::Ok,
            reset: Act::Ok,
            goodbye: Act::Ok,
            this_turn: Vec::new(),
        };
        modes.new_turn();
        modes
    }
}

impl Modes {
    pub fn tell(&mut self, step: Step, act: Act) {
        match step {
            Step::Connect => self.connect = act,
            Step::Check => self.check = act,
            Step::Reset => self.reset = act,
            Step::Goodbye => self.goodbye = act,
        }
        self.this_turn.push((step, act));
    }

    pub fn connect_is_bad(&self) -> bool {
        is_bad(self.connect)
    }

    fn now_and_before(&self, step: Step) -> impl Iterator<Item = Act> {
        let this_turn = self.this_turn.iter();
        this_turn
            .filter(move |(other, _)| *other == step)
            .map(|(_, act)| *act)
    }

    /// At some moment of this turn.
    fn was_bad(&self, step: Step) -> bool {
        self.now_and_before(step).any(is_bad)
    }

    /// At no moment of this turn a check would have succeeded.
    fn checks_fail(&self) -> bool {
        self.now_and_before(Step::Check).all(is_bad)
    }

    /// No step takes time, or has to be repeated.
    pub fn are_instant(&self) -> bool {
        self.this_turn.iter().all(|(_, act)| *act == Act::Ok)
    }

    pub fn checks_are_instant(&self) -> bool {
        let mut acts = self.now_and_before(Step::Check);
        acts.all(|act| matches!(act, Act::Ok | Act::Fail))
    }

    /// A reset begun now ends at its first poll.
    fn resets_are_instant(&self) -> bool {
        matches!(self.reset, Act::Ok | Act::Fail)
    }

    fn new_turn(&mut self) {
        self.this_turn = vec![
            (Step::Connect, self.connect),
            (Step::Check, self.check),
            (Step::Reset, self.reset),
            (Step::Goodbye, self.goodbye),
        ];
    }
}

impl Model {
    /// In users' hands and in the pool's.
    pub fn all(&mut self) -> impl Iterator<Item = &mut Conn> {
        self.pooled.iter_mut().chain(&mut self.leased)
    }

    pub fn lease(&mut self, id: usize) -> Checked<&mut Conn> {
        let found = self.leased.iter_mut().find(|conn| conn.id == id);
        found.ok_or_else(|| format!("no lease on connection {id}"))
    }

    pub fn pooled_conn(&self, id: usize) -> Checked<&Conn> {
        let found = self.pooled.iter().find(|conn| conn.id == id);
        found.ok_or_else(|| format!("Exclusive: connection {id} was not the pool's to lease"))
    }

    /// An idle connection becomes a lease, by `end`.
    pub fn lend(&mut self, id: usize, end: u64) -> Checked {
        let conn = self.pooled_conn(id)?;
        ensure(conn.alive, || format!("connection {id} was leased dead"))?;
        let is_stale = Conn::must_be_checked(self.now.saturating_sub(conn.idle.latest));
        ensure(!(is_stale && self.modes.checks_fail()), || {
            format!("connection {id} was leased though its check could not succeed")
        })?;
        let expired = end - conn.opened.latest > MAX_LIFETIME + (end - self.now) + 2 * UPKEEP;
        ensure(!expired, || {
            format!("connection {id} was leased past its lifetime")
        })?;
        let index = self.pooled.iter().position(|conn| conn.id == id);
        let conn = index.map(|index| self.pooled.swap_remove(index));
        self.leased.extend(conn);
        Ok(())
    }

    /// A lease ends; for a reason of its user's, or as it is.
    pub fn take_back(&mut self, id: usize, parting: Option<CloseReason>) -> Checked {
        self.lease(id)?.idle = Span::at(self.now);
        let index = self.leased.iter().position(|conn| conn.id == id);
        let conn = index.map(|index| self.leased.remove(index));
        self.parting = parting;
        self.pooled.extend(conn);
        Ok(())
    }

    /// A connection that came back is still there: in its reset, or idle, or on its way to the next, not closed.
    pub fn came_back(&mut self, id: usize) -> Checked {
        let Ok(conn) = self.pooled_conn(id) else {
            return Ok(());
        };
        let in_reset = conn.soiled && !self.modes.resets_are_instant();
        // How many are too many is asked after the reset.
        let over_size = self.size() > self.max_size && !in_reset;
        let unwanted = conn.doomed || over_size || self.phase == PoolState::Closed;
        ensure(conn.alive && !unwanted, || {
            format!("connection {id} came back and should have been closed")
        })?;
        if in_reset {
            self.resetting += 1;
        } else {
            let came_back = self.pooled.iter_mut().filter(|conn| conn.id == id);
            came_back.for_each(|conn| conn.soiled = false);
        }
        Ok(())
    }

    /// Some idle connection, unknown which, may count as just come back.
    pub fn blur_idle_times(&mut self, end: u64) {
        self.pooled
            .iter_mut()
            .for_each(|conn| conn.idle.latest = end);
    }

    pub fn opened(&mut self, ids: std::ops::Range<usize>, when: Span) -> Checked {
        let wanted = self.wanted + self.handed.len() + self.checking.len();
        ensure(ids.len() <= wanted, || {
            format!(
                "{} opened where {wanted} could be needed at most",
                ids.len()
            )
        })?;
        ensure(ids.is_empty() || !self.modes.connect_is_bad(), || {
            "opened by a server that opens none".into()
        })?;
        self.pooled.extend(ids.map(|id| Conn {
            id,
            alive: true,
            soiled: false,
            doomed: false,
            opened: when,
            idle: when,
        }));
        Ok(())
    }

    pub fn close_each(&mut self, closed: &[(usize, CloseReason)], end: u64) -> Checked {
        for &(id, why) in closed {
            let index = self.pooled.iter().position(|conn| conn.id == id);
            let Some(index) = index else {
                return Err(format!(
                    "connection {id} closed ({why}) in its user's hands"
                ));
            };
            ensure(self.may_close(&self.pooled[index], why, end), || {
                format!(
                    "connection {id} closed ({why}) without reason: {:?}",
                    self.pooled[index]
                )
            })?;
            self.pooled.swap_remove(index);
        }
        Ok(())
    }

    fn may_close(&self, conn: &Conn, why: CloseReason, end: u64) -> bool {
        let dials = MAX_CONNECTING.min(self.wanted + self.hanging);
        match why {
            CloseReason::IdleTimeout => end - conn.idle.earliest + UPKEEP >= IDLE_TIMEOUT,
            CloseReason::MaxLifetime => end - conn.opened.earliest >= MAX_LIFETIME,
            CloseReason::Resized => self.size() + dials > self.max_size,
            CloseReason::Evicted => conn.doomed,
            CloseReason::Broken => !conn.alive,
            CloseReason::CheckFailed => !conn.alive || self.modes.was_bad(Step::Check),
            CloseReason::ResetFailed => conn.soiled && self.modes.was_bad(Step::Reset),
            CloseReason::PoolClosed => self.phase == PoolState::Closed,
            CloseReason::Discarded | CloseReason::Detached => self.parting == Some(why),
            _ => false,
        }
    }

    /// What holds after every operation.
    pub fn duties(&mut self) -> Checked {
        self.parting = None;
        ensure(self.engaged() <= self.pooled.len(), || {
            format!(
                "Conserved: {} of {} engaged",
                self.engaged(),
                self.pooled.len()
            )
        })?;
        ensure(
            self.phase != PoolState::Open || self.queue.is_empty() || self.idle() == 0,
            || format!("Wake: {:?} wait beside {} idle", self.queue, self.idle()),
        )?;
        ensure(self.size() <= self.max_size || self.idle() == 0, || {
            format!(
                "Bound: {} of {}, and {} idle",
                self.size(),
                self.max_size,
                self.idle()
            )
        })?;
        ensure(self.phase != PoolState::Closed || self.idle() == 0, || {
            format!("End: closed, and {} idle", self.idle())
        })
    }

    /// What holds when nothing is under way any more, at the end of a turn.
    pub fn settled(&mut self, end: u64, opening: usize) -> Checked {
        for conn in &self.pooled {
            let since = |span: Span| end.saturating_sub(span.latest);
            let outlived = since(conn.idle) > IDLE_TIMEOUT + 2 * UPKEEP
                || since(conn.opened) > MAX_LIFETIME + 2 * UPKEEP;
            ensure(!outlived && !conn.doomed, || {
                format!("should have been closed: {conn:?}")
            })?;
        }
        let full = self.size() >= self.max_size;
        let stuck = self.modes.connect_is_bad() && self.size() > 0;
        let waits = self.phase == PoolState::Open && !self.queue.is_empty();
        ensure(!waits || full || stuck, || {
            format!("{:?} wait though a connection could be opened", self.queue)
        })?;
        let may_dial = self.modes.connect == Act::Never && self.wanted + self.hanging > 0;
        ensure(opening <= if may_dial { MAX_CONNECTING } else { 0 }, || {
            format!("{opening} dials under way that should have ended")
        })?;
        self.now = end;
        self.hanging = opening;
        self.wanted = self.queue.len();
        self.modes.new_turn();
        self.duties()
    }
}
