//! What became of every question of a cell's users, and what follows: since when service is as before, and how long
//! the longest call took.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::trouble::Trouble;

/// An answer that takes longer is no service.
pub const SLOW: Duration = Duration::from_secs(1);
/// So long all must have been well for service to be as before.
pub const STEADY: Duration = Duration::from_secs(1);

/// The questions of some users.
#[derive(Debug)]
pub struct Journal {
    kept: Mutex<Vec<User>>,
}

#[derive(Debug, Default)]
struct User {
    /// When it asked what it waits for now.
    pending: Option<Instant>,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    asked: Instant,
    done: Instant,
    trouble: Option<Trouble>,
}

impl Call {
    fn is_good(&self) -> bool {
        self.trouble.is_none() && self.done - self.asked <= SLOW
    }
}

impl Journal {
    /// For so many users.
    #[must_use]
    pub fn new(users: usize) -> Self {
        let mut kept = Vec::new();
        kept.resize_with(users, User::default);
        Self {
            kept: Mutex::new(kept),
        }
    }

    /// A user asks.
    pub fn asks(&self, user: usize) -> Instant {
        let now = Instant::now();
        self.kept()[user].pending = Some(now);
        now
    }

    /// It has an answer, or none.
    pub fn has(&self, user: usize, asked: Instant, result: Result<(), Trouble>) {
        let done = Instant::now();
        let user = &mut self.kept()[user];
        user.pending = None;
        user.calls.push(Call {
            asked,
            done,
            trouble: result.err(),
        });
    }

    /// Whether each user has been answered.
    pub fn all_were_answered(&self) -> bool {
        self.kept()
            .iter()
            .all(|user| user.calls.iter().any(|call| call.trouble.is_none()))
    }

    /// Since when, after `end`, all users are answered at once, if that has been so for a while; never before `end`.
    pub fn as_before(&self, end: Instant) -> Option<Instant> {
        let now = Instant::now();
        let mut latest = end;
        for user in self.kept().iter() {
            if user.pending.is_some_and(|asked| now - asked > SLOW) {
                return None;
            }
            let first = user
                .calls
                .iter()
                .find(|call| call.asked >= end && call.is_good())?;
            latest = latest.max(first.done);
            let trouble = user.calls.iter().rev().find(|call| !call.is_good());
            if let Some(trouble) = trouble {
                latest = latest.max(trouble.done);
            }
        }
        (now - latest >= STEADY).then_some(latest)
    }

    /// How long the longest call took that was under way between these, from `begin` on.
    pub fn longest(&self, begin: Instant, end: Instant) -> Duration {
        let kept = self.kept();
        let calls = kept.iter().flat_map(|user| &user.calls);
        calls
            .filter(|call| call.done > begin && call.asked < end)
            .map(|call| call.done - call.asked.max(begin))
            .max()
            .unwrap_or_default()
    }

    /// How many calls failed after `begin`, and the most frequent of their errors.
    pub fn failures_after(&self, begin: Instant) -> (usize, Option<String>) {
        let kept = self.kept();
        let mut texts = BTreeMap::<String, usize>::new();
        for call in kept.iter().flat_map(|user| &user.calls) {
            if let Some(trouble) = &call.trouble
                && call.done > begin
            {
                *texts.entry(trouble.to_string()).or_default() += 1;
            }
        }
        let count = texts.values().sum();
        let most = texts.into_iter().max_by_key(|(_, count)| *count);
        (count, most.map(|(text, _)| text))
    }

    /// What reached those whom it must not reach.
    pub fn leaks(&self) -> Vec<String> {
        let kept = self.kept();
        let troubles = kept
            .iter()
            .flat_map(|user| &user.calls)
            .filter_map(|call| call.trouble.as_ref());
        troubles
            .filter(|trouble| matches!(trouble, Trouble::Leak(_)))
            .map(Trouble::to_string)
            .collect()
    }

    /// How many questions were answered.
    pub fn answered(&self) -> usize {
        let kept = self.kept();
        let calls = kept.iter().flat_map(|user| &user.calls);
        calls.filter(|call| call.trouble.is_none()).count()
    }

    /// Nothing that panics runs under the lock.
    fn kept(&self) -> MutexGuard<'_, Vec<User>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLIS: Duration = Duration::from_millis(1);

    fn failed() -> Trouble {
        Trouble::Failed("no".into())
    }

    #[tokio::test(start_paused = true)]
    async fn service_is_as_before_from_the_last_trouble_on_once_it_was_steady() {
        let journal = Journal::new(1);
        let end = Instant::now();
        let step = |millis: u32, result| {
            let journal = &journal;
            async move {
                let asked = journal.asks(0);
                tokio::time::advance(millis * MILLIS).await;
                journal.has(0, asked, result);
            }
        };
        step(100, Ok(())).await;
        step(300, Err(failed())).await;
        step(100, Ok(())).await;
        assert_eq!(journal.as_before(end), None, "it was not steady yet");
        for _ in 0..10 {
            step(100, Ok(())).await;
        }
        assert_eq!(journal.as_before(end), Some(end + 400 * MILLIS));
        assert_eq!(journal.failures_after(end), (1, Some("no".into())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_that_waits_for_an_answer_is_not_served() {
        let journal = Journal::new(1);
        let end = Instant::now();
        let asked = journal.asks(0);
        journal.has(0, asked, Ok(()));
        journal.asks(0);
        tokio::time::advance(1_500 * MILLIS).await;
        assert_eq!(journal.as_before(end), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_call_counts_from_the_beginning_of_the_situation() {
        let journal = Journal::new(1);
        let asked = journal.asks(0);
        tokio::time::advance(100 * MILLIS).await;
        let begin = Instant::now();
        tokio::time::advance(200 * MILLIS).await;
        journal.has(0, asked, Ok(()));
        assert_eq!(journal.longest(begin, Instant::now()), 200 * MILLIS);
    }
}
