//! When the sentinels are asked. Knows no clock: it is told what happens, and when a question begins.

use cenote::time::Instant;
use std::time::Duration;

/// From a question to the next that news gives rise to: a failover is some ten events within a second.
const AFTER_NEWS: Duration = Duration::from_millis(50);

/// From one question to the next, if nothing is heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

#[derive(Debug)]
pub(super) struct Schedule {
    intervals: Intervals,
    asked_at: Option<Instant>,
    due: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(intervals: Intervals) -> Self {
        Self {
            intervals,
            asked_at: None,
            due: None,
        }
    }

    /// When the next question is to be asked; `None`: at once.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn begins(&mut self, now: Instant) {
        self.asked_at = Some(now);
        // If it fails, or panics.
        self.due = Some(now + self.intervals.min);
    }

    /// The question was answered by a sentinel that tells news.
    pub(super) fn answered_by_one_that_is_heard(&mut self) {
        let Intervals { min, max } = self.intervals;
        self.due = self.asked_at.map(|at| at + max.max(min));
    }

    pub(super) fn heard_news(&mut self) {
        self.hasten(AFTER_NEWS);
    }

    /// There is reason to ask, and somebody to be spared.
    pub(super) fn is_in_doubt(&mut self) {
        self.hasten(self.intervals.min);
    }

    fn hasten(&mut self, interval: Duration) {
        let soonest = self.asked_at.map(|at| at + interval);
        self.due = self.due.min(soonest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_secs(1);
    const MAX: Duration = Duration::from_secs(10);

    fn begun(min: Duration, max: Duration) -> (Schedule, Instant) {
        let mut schedule = Schedule::new(Intervals { min, max });
        assert_eq!(schedule.due(), None);
        let now = Instant::now();
        schedule.begins(now);
        (schedule, now)
    }

    #[test]
    fn the_next_question_is_due_after_the_maximum_interval_or_the_minimum_one_if_nobody_is_heard() {
        let (mut schedule, now) = begun(MIN, MAX);
        assert_eq!(schedule.due(), Some(now + MIN));
        schedule.answered_by_one_that_is_heard();
        assert_eq!(schedule.due(), Some(now + MAX));
        let (mut schedule, now) = begun(MAX, MIN);
        schedule.answered_by_one_that_is_heard();
        assert_eq!(schedule.due(), Some(now + MAX), "never sooner");
    }

    #[test]
    fn news_is_looked_into_at_once_and_a_doubt_after_the_minimum_interval_however_often() {
        let (mut schedule, now) = begun(MIN, MAX);
        schedule.answered_by_one_that_is_heard();
        for _ in 0..100 {
            schedule.is_in_doubt();
        }
        assert_eq!(schedule.due(), Some(now + MIN));
        for _ in 0..100 {
            schedule.heard_news();
        }
        assert_eq!(schedule.due(), Some(now + AFTER_NEWS));
        schedule.is_in_doubt();
        assert_eq!(schedule.due(), Some(now + AFTER_NEWS), "never later");
    }

    #[test]
    fn the_first_question_is_not_put_off() {
        let mut schedule = Schedule::new(Intervals { min: MIN, max: MAX });
        schedule.is_in_doubt();
        schedule.heard_news();
        assert_eq!(schedule.due(), None);
    }
}
