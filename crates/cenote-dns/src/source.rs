//! A question that is asked again and again: how long its answers are good for, and what it remembers of them.
//!
//! A question that panics is forgotten, with what it knew, and asked anew.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use cenote::endpoints::{EndpointSet, Key, Polling};

use crate::error::DnsError;
use crate::name_servers::NameServers;

/// What is asked, with what it remembers of the answers.
pub(crate) trait Question: Clone + Send + 'static {
    type Key: Key;

    fn ask(
        &mut self,
        name_servers: &mut NameServers,
    ) -> impl Future<Output = Result<Told<Self::Key>, DnsError>> + Send;
}

/// An answer.
pub(crate) struct Told<K> {
    pub(crate) set: EndpointSet<K>,
    /// Until it is asked for again, by what its records say.
    pub(crate) good_for: Duration,
}

/// From one question to the next, whatever the answer says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervals {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

pub(crate) struct Source<Q: Question> {
    intervals: Intervals,
    beginning: Asker<Q>,
    resting: Option<Asker<Q>>,
    polling: Polling<(Asker<Q>, Answer<Q>)>,
}

#[derive(Clone)]
struct Asker<Q> {
    question: Q,
    name_servers: NameServers,
}

type Answer<Q> = Result<Told<<Q as Question>::Key>, DnsError>;

impl<Q: Question> Source<Q> {
    pub(crate) fn new(question: Q, name_servers: NameServers, intervals: Intervals) -> Self {
        Self {
            intervals,
            beginning: Asker {
                question,
                name_servers,
            },
            resting: None,
            polling: Polling::new(intervals.min),
        }
    }

    /// The next answer, once it is due.
    pub(crate) async fn next(&mut self) -> Result<EndpointSet<Q::Key>, DnsError> {
        let Self {
            beginning, resting, ..
        } = self;
        let ask = || {
            let mut asker = resting.take().unwrap_or_else(|| beginning.clone());
            async move {
                let answer = asker.question.ask(&mut asker.name_servers).await;
                asker.name_servers.heard(&answer);
                (asker, answer)
            }
        };
        let (asker, answer) = self.polling.answer(ask).await;
        self.resting = Some(asker);
        let told = answer?;
        self.polling.ask_in(told.good_for.min(self.intervals.max));
        Ok(told.set)
    }

    /// It is asked as soon as the minimum interval is over.
    pub(crate) fn refresh(&mut self) {
        self.polling.refresh();
    }

    pub(crate) fn debug(
        &self,
        name: &'static str,
        what: &str,
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        f.debug_struct(name)
            .field("name", &what)
            .field("intervals", &self.intervals)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use cenote::time::Instant;

    use super::*;

    const INTERVALS: Intervals = Intervals {
        min: Duration::from_secs(5),
        max: Duration::from_secs(300),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Answers with how often it was asked, in all and of this memory.
    #[derive(Clone)]
    struct Counting {
        asked: Arc<AtomicU32>,
        remembered: u32,
        good_for: Duration,
        panics_at: u32,
    }

    impl Question for Counting {
        type Key = (u32, u32);

        async fn ask(&mut self, _: &mut NameServers) -> Result<Told<(u32, u32)>, DnsError> {
            let number = self.asked.fetch_add(1, SeqCst) + 1;
            self.remembered += 1;
            assert_ne!(number, self.panics_at, "told to");
            Ok(Told {
                set: EndpointSet::of([(number, self.remembered)]),
                good_for: self.good_for,
            })
        }
    }

    fn counting(good_for: Duration) -> Counting {
        Counting {
            asked: Arc::default(),
            remembered: 0,
            good_for,
            panics_at: 0,
        }
    }

    fn source(question: &Counting) -> Source<Counting> {
        let name_servers = NameServers::fixed(seconds(5), &[]);
        Source::new(question.clone(), name_servers, INTERVALS)
    }

    fn set(number: u32, remembered: u32) -> Result<EndpointSet<(u32, u32)>, DnsError> {
        Ok(EndpointSet::of([(number, remembered)]))
    }

    /// linkerd2-proxy #4449, hickory #3960: a time to live of 0.
    #[tokio::test(start_paused = true)]
    async fn an_answer_is_good_for_its_time_to_live_within_the_intervals() {
        for (good_for, interval) in [(0, 5), (4, 5), (60, 60), (86_400, 300)] {
            let mut source = source(&counting(seconds(good_for)));
            let began = Instant::now();
            for number in 1..4 {
                assert_eq!(source.next().await, set(number, number));
                assert_eq!(began.elapsed(), seconds(interval) * (number - 1));
            }
        }
    }

    /// pingora #1006: a panic in the update froze the membership for ever.
    #[tokio::test(start_paused = true)]
    async fn a_question_that_panics_is_forgotten_and_asked_anew_after_the_minimum_interval() {
        let mut question = counting(seconds(60));
        question.panics_at = 2;
        let began = Instant::now();
        let mut source = source(&question);
        assert_eq!(source.next().await, set(1, 1));
        let panicking = tokio::spawn(async move {
            let panicked = std::panic::AssertUnwindSafe(source.next());
            let panicked = futures_util::FutureExt::catch_unwind(panicked).await;
            (panicked.is_err(), source)
        });
        let (panicked, mut source) = panicking.await.unwrap();
        assert!(panicked);
        assert_eq!(source.next().await, set(3, 1));
        assert_eq!(began.elapsed(), seconds(60) + INTERVALS.min);
    }
}
