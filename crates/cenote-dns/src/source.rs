//! A question that is asked again and again: when, one at a time, and what becomes of it when nobody waits.
//!
//! However often `next` is dropped, what is under way goes on with the next call; it ends with the source. A question
//! that panics is forgotten, with what it knew, and asked anew.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cenote::endpoints::{EndpointSet, Key};
use cenote::time::{Instant, sleep_until};

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
    asked_at: Option<Instant>,
    /// When it is asked next; `None`: at once.
    due: Option<Instant>,
    beginning: Asker<Q>,
    resting: Option<Asker<Q>>,
    under_way: Option<UnderWay<Q>>,
}

#[derive(Clone)]
struct Asker<Q> {
    question: Q,
    name_servers: NameServers,
}

type Answer<Q> = Result<Told<<Q as Question>::Key>, DnsError>;
type UnderWay<Q> = Pin<Box<dyn Future<Output = (Asker<Q>, Answer<Q>)> + Send>>;

impl<Q: Question> Source<Q> {
    pub(crate) fn new(question: Q, name_servers: NameServers, intervals: Intervals) -> Self {
        Self {
            intervals,
            asked_at: None,
            due: None,
            beginning: Asker {
                question,
                name_servers,
            },
            resting: None,
            under_way: None,
        }
    }

    /// The next answer, once it is due.
    pub(crate) async fn next(&mut self) -> Result<EndpointSet<Q::Key>, DnsError> {
        if self.under_way.is_none() {
            if let Some(due) = self.due {
                sleep_until(due).await;
            }
            self.begin();
        }
        let (asker, answer) = poll_fn(|cx| self.poll(cx)).await;
        self.resting = Some(asker);
        let told = answer?;
        let Intervals { min, max } = self.intervals;
        self.due = self.asked_at.map(|at| at + told.good_for.clamp(min, max));
        Ok(told.set)
    }

    /// It is asked as soon as the minimum interval is over, unless a question is under way, whose answer is news.
    pub(crate) fn refresh(&mut self) {
        let soonest = self.asked_at.map(|at| at + self.intervals.min);
        self.due = self.due.min(soonest);
    }

    fn begin(&mut self) {
        let now = Instant::now();
        self.asked_at = Some(now);
        // If it fails, or panics.
        self.due = Some(now + self.intervals.min);
        let asker = self.resting.take();
        let mut asker = asker.unwrap_or_else(|| self.beginning.clone());
        self.under_way = Some(Box::pin(async move {
            let answer = asker.question.ask(&mut asker.name_servers).await;
            asker.name_servers.heard(&answer);
            (asker, answer)
        }));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Asker<Q>, Answer<Q>)> {
        // One that panics is not put back.
        let under_way = self.under_way.take();
        let mut under_way = under_way.expect("it was begun, and is polled to its end only");
        let polled = under_way.as_mut().poll(cx);
        if polled.is_pending() {
            self.under_way = Some(under_way);
        }
        polled
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

    use cenote::time::{sleep, timeout};

    use super::*;

    const INTERVALS: Intervals = Intervals {
        min: Duration::from_secs(5),
        max: Duration::from_secs(300),
    };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Answers after a while with how often it was asked, in all and of this memory.
    #[derive(Clone)]
    struct Counting {
        asked: Arc<AtomicU32>,
        ended: Arc<AtomicU32>,
        remembered: u32,
        takes: Duration,
        good_for: Duration,
        panics_at: u32,
    }

    /// Counts an answer that was given, or given up.
    struct Ended(Arc<AtomicU32>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Question for Counting {
        type Key = (u32, u32);

        async fn ask(&mut self, _: &mut NameServers) -> Result<Told<(u32, u32)>, DnsError> {
            let number = self.asked.fetch_add(1, SeqCst) + 1;
            let _ended = Ended(Arc::clone(&self.ended));
            self.remembered += 1;
            sleep(self.takes).await;
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
            ended: Arc::default(),
            remembered: 0,
            takes: Duration::ZERO,
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

    #[tokio::test(start_paused = true)]
    async fn a_refresh_asks_at_once_unless_the_minimum_interval_is_not_over() {
        let mut source = source(&counting(seconds(60)));
        source.next().await.unwrap();
        let began = Instant::now();
        for _ in 0..100 {
            source.refresh();
        }
        source.next().await.unwrap();
        assert_eq!(began.elapsed(), INTERVALS.min);
        sleep(seconds(20)).await;
        source.refresh();
        source.next().await.unwrap();
        assert_eq!(began.elapsed(), INTERVALS.min + seconds(20));
    }

    /// hickory #3563: each who wanted to know asked.
    #[tokio::test(start_paused = true)]
    async fn a_question_that_is_under_way_is_not_asked_again() {
        let mut question = counting(seconds(60));
        question.takes = seconds(10);
        let mut source = source(&question);
        for _ in 0..9 {
            timeout(seconds(1), source.next()).await.unwrap_err();
            source.refresh();
        }
        assert_eq!(source.next().await, set(1, 1));
        assert_eq!(question.asked.load(SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_the_source_ends_what_is_under_way() {
        let mut question = counting(seconds(60));
        question.takes = seconds(10);
        let mut source = source(&question);
        timeout(seconds(1), source.next()).await.unwrap_err();
        assert_eq!(question.ended.load(SeqCst), 0);
        drop(source);
        assert_eq!(question.ended.load(SeqCst), 1);
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
