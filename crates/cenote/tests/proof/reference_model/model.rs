//! The reference: a pool that is obviously right. No tasks, no locks, no wake-ups, no slots: a queue, the
//! connections in the pool's hands, the connections in users' hands.
//!
//! It says exactly, after every operation, how many are leased, idle and waiting; and after every turn who was
//! served, in which order, and who waits in vain and why. What a user may not count on, it does not say but
//! reads off the real pool and finds allowed or not (`allowed`):
//!
//! - *Which* idle connection is leased, where it is only promised to be alive and, idle for long, checked.
//! - *How many* are opened beyond those needed: a dial outlives its getter, who may be served by a return.
//! - *When*, within upkeep's turn, a connection is found too old.
//! - Whether those who wait while nothing is open learn of a dial that was left hanging before the next one
//!   succeeds.

use std::collections::{BTreeMap, VecDeque};

use cenote::report::{CloseReason, PoolState};

use super::allowed::{Conn, Modes};
use super::operation::Step;

use crate::server::Act;

/// Milliseconds. Every step of the server, and every string of retries that `replay`'s settings allow, is over
/// well before a turn is; all operations happen at the beginning of one.
pub const TURN: u64 = 3_000;
/// At the end of a turn, when who can be served has been.
pub const ACQUIRE_TIMEOUT: u64 = 11 * TURN - 100;
pub const MAX_WAITERS: usize = 3;

/// What a breach of the reference is.
pub type Checked<T = ()> = Result<T, String>;

/// By order of arrival.
pub type Getter = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A lease on the connection with this number.
    Served(usize),
    Failed(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    TimedOut,
    QueueFull,
    Connect,
    Closed,
}

/// What was done, and what the real pool answered.
#[derive(Clone, Copy, Debug)]
pub enum Did {
    /// A getter was polled.
    Poll {
        getter: Getter,
        outcome: Option<Outcome>,
        /// How many wait now.
        waiters: usize,
    },
    TryGet {
        got: Result<usize, cenote::error::TryGetError>,
        /// How many are idle now.
        idle: usize,
    },
    Cancel(Getter),
    Return(usize),
    Kill(usize),
    Soil(usize),
    /// It left the pool.
    Part(usize, CloseReason),
    Resize(usize),
    Pause,
    Resume,
    Evict,
    Close,
    Restart,
    Tell(Step, Act),
}

pub struct Model {
    pub now: u64,
    pub phase: PoolState,
    pub max_size: usize,
    pub modes: Modes,
    /// Who waits, and until when.
    pub queue: VecDeque<(Getter, u64)>,
    /// Who was given a connection and has not looked; and whether that can be leased as it is for sure.
    pub handed: Vec<(Getter, u64, bool)>,
    /// Who waits for an idle connection to be checked.
    pub checking: Vec<(Getter, u64)>,
    /// Connections in a check whose getter is gone, and in a reset.
    pub checking_for_nobody: usize,
    pub resetting: usize,
    /// Who waits in vain and has not looked.
    pub refused: BTreeMap<Getter, Failure>,
    /// In the pool's hands: idle, or any of the above's.
    pub pooled: Vec<Conn>,
    pub leased: Vec<Conn>,
    /// How often a dial was called for in this turn, and how many were under way when it began.
    pub wanted: usize,
    pub hanging: usize,
    /// Why the user who gives one up does, while that is under way.
    pub parting: Option<CloseReason>,
}

impl Model {
    pub fn new(max_size: usize) -> Self {
        Self {
            now: 0,
            phase: PoolState::Open,
            max_size,
            modes: Modes::default(),
            queue: VecDeque::new(),
            handed: Vec::new(),
            checking: Vec::new(),
            checking_for_nobody: 0,
            resetting: 0,
            refused: BTreeMap::new(),
            pooled: Vec::new(),
            leased: Vec::new(),
            wanted: 0,
            hanging: 0,
            parting: None,
        }
    }

    /// Connections of the pool's that are not idle.
    pub fn engaged(&self) -> usize {
        self.handed.len() + self.checking.len() + self.checking_for_nobody + self.resetting
    }

    pub fn idle(&self) -> usize {
        self.pooled.len().saturating_sub(self.engaged())
    }

    pub fn size(&self) -> usize {
        self.pooled.len() + self.leased.len()
    }

    pub fn is_open(&self) -> bool {
        self.phase == PoolState::Open
    }

    /// Something was done at this instant, and these connections were closed at once.
    pub fn did(&mut self, did: Did, closed: &[(usize, CloseReason)]) -> Checked {
        match did {
            Did::Poll { .. } | Did::TryGet { .. } | Did::Resume => {}
            Did::Cancel(getter) => self.cancel(getter),
            Did::Return(id) => self.take_back(id, None)?,
            Did::Part(id, why) => self.take_back(id, Some(why))?,
            Did::Kill(id) => self.lease(id)?.alive = false,
            Did::Soil(id) => self.lease(id)?.soiled = true,
            Did::Resize(max_size) => self.max_size = max_size,
            Did::Pause if self.is_open() => self.phase = PoolState::Paused,
            Did::Pause => {}
            Did::Evict => self.all().for_each(|conn| conn.doomed = true),
            Did::Restart => {
                self.all().for_each(|conn| conn.alive = false);
                self.handed
                    .iter_mut()
                    .for_each(|(_, _, sure)| *sure = false);
            }
            Did::Close => {
                self.phase = PoolState::Closed;
                let waited = self.queue.drain(..);
                self.refused
                    .extend(waited.map(|(getter, _)| (getter, Failure::Closed)));
            }
            Did::Tell(step, act) => self.modes.tell(step, act),
        }
        self.close_each(closed, self.now)?;
        let mut is_fresh = false;
        match did {
            Did::Poll {
                getter,
                outcome: Some(outcome),
                ..
            } => self.answered(getter, outcome)?,
            Did::Poll {
                getter, waiters, ..
            } => self.unanswered(getter, waiters)?,
            Did::TryGet { got, idle } => self.tried(got, idle)?,
            Did::Resume if self.phase == PoolState::Paused => self.phase = PoolState::Open,
            Did::Return(id) => {
                self.came_back(id)?;
                is_fresh = true;
            }
            Did::Part(id, _) => {
                let stayed = self.pooled.iter().any(|conn| conn.id == id);
                ensure(!stayed, || format!("connection {id} should have gone"))?;
            }
            Did::Evict => ensure(self.idle() == 0, || "some outlast an evict".into())?,
            _ => {}
        }
        self.hand_over(is_fresh);
        self.duties()
    }

    /// Serves those who wait from what is idle.
    fn hand_over(&mut self, is_fresh: bool) {
        while self.is_open() && self.idle() > 0 {
            let Some((getter, until)) = self.queue.pop_front() else {
                return;
            };
            self.handed.push((getter, until, is_fresh));
        }
    }

    /// A getter got its answer at once.
    fn answered(&mut self, getter: Getter, outcome: Outcome) -> Checked {
        if let Outcome::Failed(failure) = outcome {
            let is_new = !self.forget(getter);
            let expected = match self.refused.remove(&getter) {
                Some(failure) => Some(failure),
                None if self.phase == PoolState::Closed => Some(Failure::Closed),
                None if is_new && self.queue.len() >= MAX_WAITERS => Some(Failure::QueueFull),
                None => None,
            };
            return ensure(expected == Some(failure), || {
                format!("getter {getter} failed with {failure:?}, expected was {expected:?}")
            });
        }
        let Outcome::Served(id) = outcome else {
            return Ok(());
        };
        let entitled = if self.forget(getter) {
            true
        } else {
            self.is_open() && self.queue.is_empty() && self.idle() > 0
        };
        ensure(entitled, || {
            format!("Fair: getter {getter} was served before its turn")
        })?;
        self.lend(id, self.now)
    }

    /// Out of those who were handed a connection or check one, if it is among them.
    fn forget(&mut self, getter: Getter) -> bool {
        let before = self.handed.len() + self.checking.len();
        self.handed.retain(|(other, ..)| *other != getter);
        self.checking.retain(|(other, _)| *other != getter);
        self.handed.len() + self.checking.len() < before
    }

    /// A getter was polled and got no answer. Where it stands now is the real pool's to say: the duties tell
    /// whether that is right.
    fn unanswered(&mut self, getter: Getter, waiters: usize) -> Checked {
        if self.queue.iter().any(|(other, _)| *other == getter)
            || self.checking.iter().any(|(other, _)| *other == getter)
        {
            return Ok(());
        }
        let handed = self.handed.iter().find(|(other, ..)| *other == getter);
        let handed = handed.map(|(_, until, _)| *until);
        self.forget(getter);
        let until = handed.unwrap_or(self.now + ACQUIRE_TIMEOUT);
        let is_full = handed.is_none() && self.queue.len() >= MAX_WAITERS;
        let refused = self.phase == PoolState::Closed || is_full;
        ensure(!refused, || {
            format!("getter {getter} waits, though it should have been sent away")
        })?;
        if waiters == self.queue.len() {
            self.checking.push((getter, until));
        } else if handed.is_some() {
            self.queue.push_front((getter, until));
        } else {
            self.queue.push_back((getter, until));
        }
        self.wanted += 1;
        Ok(())
    }

    fn cancel(&mut self, getter: Getter) {
        let was_checking = self.checking.iter().any(|(other, _)| *other == getter);
        if self.forget(getter) {
            self.blur_idle_times(self.now);
        }
        self.checking_for_nobody += usize::from(was_checking);
        self.refused.remove(&getter);
        self.queue.retain(|(other, _)| *other != getter);
    }

    fn tried(&mut self, got: Result<usize, cenote::error::TryGetError>, idle: usize) -> Checked {
        use cenote::error::TryGetError::{Closed, NoneIdle, Paused};
        let refusal = match self.phase {
            PoolState::Closed => Closed,
            PoolState::Paused => Paused,
            _ => NoneIdle,
        };
        let had = self.idle();
        match got {
            Ok(id) => {
                let entitled = self.is_open() && self.queue.is_empty() && had > 0;
                ensure(entitled, || "Fair: try_get did not wait its turn".into())?;
                let age = self.now - self.pooled_conn(id)?.idle.latest;
                ensure(!Conn::must_be_checked(age), || {
                    format!("connection {id} was leased unchecked after {age} ms")
                })?;
                self.lend(id, self.now)?;
            }
            Err(error) => ensure(error == refusal, || {
                format!("try_get failed with {error:?}")
            })?,
        }
        // Those it passed over are being checked.
        let left = had - usize::from(got.is_ok());
        if self.is_open() && self.queue.is_empty() {
            let passed = left.saturating_sub(idle);
            let others_engaged = self.pooled.len() > left;
            let unfit = self
                .pooled
                .iter()
                .filter(|conn| conn.may_be_passed(self.now));
            ensure(passed <= unfit.count() || others_engaged, || {
                format!("try_get passed over {passed}, more than need a check")
            })?;
            ensure(got.is_ok() || passed == left, || {
                "try_get overlooked one".into()
            })?;
            self.checking_for_nobody += passed;
            self.blur_idle_times(self.now);
        }
        Ok(())
    }
}

/// `condition` holds, or it is a breach.
pub fn ensure(condition: bool, breach: impl FnOnce() -> String) -> Checked {
    if condition { Ok(()) } else { Err(breach()) }
}
