//! What the reference says of time that passes: who is served from what there is and what is opened, who
//! learns that it waits in vain.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cenote::report::{CloseReason, PoolState};

use super::allowed::Span;
use super::model::{Checked, Failure, Getter, Model, Outcome, ensure};

/// What the real pool did in a turn, or some.
pub struct Seen {
    /// In the order in which the getters were woken.
    pub outcomes: Vec<(Getter, Outcome)>,
    pub opened: Range<usize>,
    pub closed: Vec<(usize, CloseReason)>,
    /// Whether somebody was served only after upkeep may have looked around.
    pub served_late: bool,
    /// Dials under way at the end.
    pub opening: usize,
}

/// Who must be served in order of arrival. A getter that is handed a bad connection keeps its turn, but may
/// find the next in line served when it has found out.
struct Order {
    /// Those who waited as the turn began, if no connection was bad.
    waited: BTreeSet<Getter>,
    /// Those who are given one of these: opened when whoever was handed a bad one had found out.
    opened: Range<usize>,
    /// Those whose connection was being checked: it becomes theirs only if the pool wants that still.
    checking: BTreeSet<Getter>,
}

impl Model {
    /// Time has passed, up to `end`: who could be served has been, who is out of time knows.
    pub fn passed(&mut self, end: u64, seen: &Seen) -> Checked {
        let of_this_turn = Span {
            earliest: self.now,
            latest: end,
        };
        let nothing_leased = self.leased.is_empty();
        self.opened(seen.opened.clone(), of_this_turn)?;
        self.close_each(&seen.closed, end)?;
        if self.handed.len() + self.checking.len() + self.checking_for_nobody > 0 {
            self.blur_idle_times(end);
        }
        for conn in self.pooled.iter_mut().filter(|conn| conn.soiled) {
            conn.soiled = false;
            conn.idle = of_this_turn;
        }
        let is_slow = self.hanging > 0 || !self.modes.are_instant();
        ensure(is_slow || !seen.served_late, || {
            "Wake: somebody was served only when upkeep looked".into()
        })?;
        let order = self.order(seen);
        (self.checking_for_nobody, self.resetting) = (0, 0);

        let mut refused = std::mem::take(&mut self.refused);
        let served = self.serve(&mut refused, seen)?;
        self.refuse(&mut refused, seen, nothing_leased)?;
        let is_due = |(_, until): &(Getter, u64)| *until < end;
        let due = self.queue.iter().filter(|place| is_due(place));
        refused.extend(due.map(|(getter, _)| (*getter, Failure::TimedOut)));
        self.queue.retain(|place| !is_due(place));

        self.compare(end, seen, served, refused, &order)?;
        self.settled(end, seen.opening)
    }

    fn order(&self, seen: &Seen) -> Order {
        let is_bad =
            |why: &CloseReason| matches!(why, CloseReason::Broken | CloseReason::CheckFailed);
        let all_good = !seen.closed.iter().any(|(_, why)| is_bad(why));
        let at_once = self.checking_for_nobody + self.resetting == 0;
        let waited = self.queue.iter().map(|(getter, _)| *getter);
        Order {
            checking: self.checking.iter().map(|(getter, _)| *getter).collect(),
            waited: waited.filter(|_| all_good).collect(),
            opened: if at_once && self.modes.checks_are_instant() {
                seen.opened.clone()
            } else {
                0..0
            },
        }
    }

    /// These were served and those refused, and nobody else.
    fn compare(
        &mut self,
        end: u64,
        seen: &Seen,
        mut served: BTreeSet<Getter>,
        mut refused: BTreeMap<Getter, Failure>,
        order: &Order,
    ) -> Checked {
        let mut last = None;
        for &(getter, outcome) in &seen.outcomes {
            let id = match outcome {
                Outcome::Served(id) => id,
                Outcome::Failed(failure) => {
                    let expected = refused.remove(&getter);
                    ensure(expected == Some(failure), || {
                        format!("getter {getter} failed with {failure:?}, expected: {expected:?}")
                    })?;
                    continue;
                }
            };
            ensure(served.remove(&getter), || {
                format!("Fair: getter {getter} was served, and it was the turn of {served:?}")
            })?;
            let was_lendable = self.is_open() && !self.pooled_conn(id)?.doomed;
            ensure(was_lendable || !order.checking.contains(&getter), || {
                format!(
                    "connection {id} was leased after its check, though paused, closed or evicted"
                )
            })?;
            let is_new = order.opened.contains(&id);
            if is_new || order.waited.contains(&getter) {
                ensure(last < Some(getter), || {
                    format!("Fair: getter {getter} was served after {last:?}")
                })?;
                let mut left = self.queue.iter().map(|(other, _)| *other);
                let passed = left.find(|other| is_new && *other < getter);
                ensure(passed.is_none(), || {
                    format!("Fair: getter {getter} was served before {passed:?}")
                })?;
                last = Some(getter);
            }
            self.lend(id, end)?;
        }
        ensure(served.is_empty(), || {
            format!("Wake: {served:?} should have been served")
        })?;
        ensure(refused.is_empty(), || format!("not told: {refused:?}"))
    }

    /// Gives what there is to those whose turn it is, in order of arrival; who they are.
    fn serve(
        &mut self,
        refused: &mut BTreeMap<Getter, Failure>,
        seen: &Seen,
    ) -> Checked<BTreeSet<Getter>> {
        let handed = self.handed.drain(..);
        let mut holders: Vec<_> = handed.collect();
        holders.extend(
            self.checking
                .drain(..)
                .map(|(getter, until)| (getter, until, false)),
        );
        let was_served = |getter| {
            let served = |(other, outcome): &(_, _)| {
                *other == getter && matches!(outcome, Outcome::Served(_))
            };
            seen.outcomes.iter().any(served)
        };
        // Which of these lost the connection they had is left open; they are in front of all others.
        holders.sort_by_key(|(getter, ..)| (!was_served(*getter), *getter));
        if self.is_open() {
            for (getter, until, _) in holders.into_iter().rev() {
                self.wanted += 1;
                self.queue.push_front((getter, until));
            }
            let count = self.queue.len().min(self.pooled.len());
            return Ok(self
                .queue
                .drain(..count)
                .map(|(getter, _)| getter)
                .collect());
        }
        // What was in their hands already they keep, if it needs no check; else it is too late.
        let (served, late): (Vec<_>, Vec<_>) = holders
            .into_iter()
            .partition(|(getter, ..)| was_served(*getter));
        for (getter, until, sure) in late.into_iter().rev() {
            ensure(!sure, || {
                format!("getter {getter} had its connection already")
            })?;
            match self.phase {
                PoolState::Closed => drop(refused.insert(getter, Failure::Closed)),
                _ => self.queue.push_front((getter, until)),
            }
        }
        Ok(served.into_iter().map(|(getter, ..)| getter).collect())
    }

    /// All who wait learn that nothing can be opened, if anyone does.
    fn refuse(
        &mut self,
        expected: &mut BTreeMap<Getter, Failure>,
        seen: &Seen,
        nothing_leased: bool,
    ) -> Checked {
        let refusal = Outcome::Failed(Failure::Connect);
        if !seen.outcomes.iter().any(|(_, outcome)| *outcome == refusal) {
            return Ok(());
        }
        let why = self.modes.connect_is_bad() || self.hanging > 0;
        ensure(why && nothing_leased && self.pooled.is_empty(), || {
            "waiters learnt a connect error without need".into()
        })?;
        expected.extend(
            self.queue
                .drain(..)
                .map(|(getter, _)| (getter, Failure::Connect)),
        );
        Ok(())
    }
}
