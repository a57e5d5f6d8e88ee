//! Asking again and again what does not tell by itself: how often, one question at a time, and for how long.
//!
//! A source that asks keeps this beside what it knows. However often its `next` is dropped, a question that is under way
//! goes on, and its time with it.

use std::io;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::rt::{self, Instant};

/// "Never again".
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// After so long a question counts as failed; its answer is still waited for before the next is asked.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The questions of one source, and their answers.
pub(super) struct Polling<T> {
    /// From one question to the next, and at least.
    every: Duration,
    at_least: Duration,
    /// When the next is asked; `None`: at once.
    due: Option<Instant>,
    asked_at: Option<Instant>,
    /// What was asked and is not answered.
    asking: Option<JoinHandle<io::Result<T>>>,
}

impl<T> Polling<T> {
    pub(super) fn new(every: Duration, at_least: Duration) -> Self {
        Self {
            every,
            at_least,
            due: None,
            asked_at: None,
            asking: None,
        }
    }

    pub(super) fn set_every(&mut self, interval: Duration) {
        self.every = interval.clamp(self.at_least, LONGEST);
    }

    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// The answer to the next question, once it is due, or to the one that is under way. The next is due an interval after
    /// this one was asked, unless [`ask_in`](Self::ask_in) says otherwise.
    pub(super) async fn answer(
        &mut self,
        ask: impl FnOnce() -> JoinHandle<io::Result<T>>,
    ) -> io::Result<T> {
        if let Some(due) = self.due {
            rt::sleep_until(due).await;
        }
        let asked_at = *self.asked_at.get_or_insert_with(rt::now);
        let asking = self.asking.get_or_insert_with(ask);
        let left = (asked_at + PATIENCE).saturating_duration_since(rt::now());
        let answer = rt::timeout(left, asking).await;
        self.asked_at = None;
        self.due = Some(asked_at + self.every);
        let Ok(answer) = answer else {
            return Err(io::ErrorKind::TimedOut.into());
        };
        self.asking = None;
        // A task that panicked, or was aborted as its runtime ends, is no answer.
        answer.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// The next question is asked this long from now.
    pub(super) fn ask_in(&mut self, pause: Duration) {
        self.due = Some(rt::now() + pause);
    }

    /// The next question is asked as soon as may be, unless one is under way, whose answer is news.
    pub(super) fn refresh(&mut self) {
        if let (None, Some(due)) = (self.asked_at, &mut self.due) {
            *due = (*due).min(rt::now() + self.at_least);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const EVERY: Duration = Duration::from_secs(30);
    const AT_LEAST: Duration = Duration::from_secs(1);

    fn polling() -> Polling<u32> {
        Polling::new(EVERY, AT_LEAST)
    }

    /// An answer that takes so long, counted as it is asked for.
    fn answered_in(time: Duration, asked: &Cell<u32>) -> JoinHandle<io::Result<u32>> {
        asked.set(asked.get() + 1);
        let number = asked.get();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            Ok(number)
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_question_is_asked_at_once_and_the_others_an_interval_apart() {
        let (mut polling, asked, began) = (polling(), Cell::new(0), rt::now());
        polling.set_every(Duration::from_secs(10));
        for number in 1..4 {
            let answer = polling.answer(|| answered_in(AT_LEAST, &asked)).await;
            assert_eq!(answer.unwrap(), number);
            let passed = Duration::from_secs(10) * (number - 1) + AT_LEAST;
            assert_eq!(rt::now() - began, passed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_interval_is_shorter_than_the_least_nor_beyond_the_clock() {
        let (mut polling, asked) = (polling(), Cell::new(0));
        for (set, kept) in [(Duration::ZERO, AT_LEAST), (Duration::MAX, LONGEST)] {
            polling.set_every(set);
            assert_eq!(polling.every(), kept);
            polling.ask_in(Duration::ZERO);
            let answer = polling.answer(|| answered_in(Duration::ZERO, &asked)).await;
            assert!(answer.is_ok());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_has_the_next_question_asked_soon_and_no_storm() {
        let (mut polling, asked) = (polling(), Cell::new(0));
        polling
            .answer(|| answered_in(Duration::ZERO, &asked))
            .await
            .unwrap();
        let began = rt::now();
        for _ in 0..100 {
            polling.refresh();
        }
        polling
            .answer(|| answered_in(Duration::ZERO, &asked))
            .await
            .unwrap();
        assert_eq!((rt::now() - began, asked.get()), (AT_LEAST, 2));
    }

    /// kong #5477, and every thundering herd of resolutions: however many want to know, one question is under way.
    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_under_way_is_not_asked_again_and_its_time_goes_on() {
        let (mut polling, asked, began) = (polling(), Cell::new(0), rt::now());
        for _ in 0..9 {
            let answer = polling.answer(|| answered_in(Duration::from_secs(11), &asked));
            rt::timeout(AT_LEAST, answer).await.unwrap_err();
            polling.refresh();
        }
        let late = polling.answer(|| answered_in(EVERY, &asked)).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(rt::now() - began, PATIENCE);
        polling.ask_in(Duration::ZERO);
        let answer = polling.answer(|| answered_in(EVERY, &asked)).await;
        assert_eq!(
            (answer.unwrap(), asked.get()),
            (1, 1),
            "the answer to the first"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_that_panics_is_an_error_and_is_asked_again() {
        let (mut polling, asked) = (polling(), Cell::new(0));
        let answer = polling
            .answer(|| tokio::spawn(async { panic!("told to") }))
            .await;
        assert!(answer.unwrap_err().to_string().contains("panicked"));
        let answer = polling.answer(|| answered_in(Duration::ZERO, &asked)).await;
        assert_eq!(answer.unwrap(), 1);
    }
}
