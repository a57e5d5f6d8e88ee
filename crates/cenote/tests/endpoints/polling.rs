use std::cell::Cell;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use cenote::endpoints::Polling;
use futures::{FutureExt, poll};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

const MIN: Duration = Duration::from_secs(5);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Questions, each answered with its number after `takes`.
#[derive(Clone)]
struct Asked {
    takes: Duration,
    begun: Arc<AtomicU32>,
    /// Answered, or given up.
    ended: Arc<AtomicU32>,
}

/// Counts a question that has ended.
struct Ended(Arc<AtomicU32>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn taking(takes: Duration) -> Asked {
    Asked {
        takes,
        begun: Arc::default(),
        ended: Arc::default(),
    }
}

impl Asked {
    fn ask(&self) -> impl Future<Output = u32> + Send + 'static + use<> {
        let number = self.begun.fetch_add(1, SeqCst) + 1;
        let ended = Ended(Arc::clone(&self.ended));
        let takes = self.takes;
        async move {
            let _ended = ended;
            sleep(takes).await;
            number
        }
    }

    fn begun(&self) -> u32 {
        self.begun.load(SeqCst)
    }

    fn ended(&self) -> u32 {
        self.ended.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_question_is_asked_at_once_and_each_other_after_the_minimum_interval() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(seconds(1)), Instant::now());
    for number in 1..4 {
        assert_eq!(polling.answer(|| asked.ask()).await, number);
        assert_eq!(began.elapsed(), MIN * (number - 1) + seconds(1));
    }
}

/// linkerd2-proxy #4449, hickory #3960: a time to live of 0.
#[tokio::test(start_paused = true)]
async fn an_answer_is_good_for_what_the_source_says_but_no_less_than_the_minimum_interval() {
    for (good_for, interval) in [(0, 5), (4, 5), (60, 60)] {
        let (mut polling, asked, began) = (Polling::new(MIN), taking(seconds(1)), Instant::now());
        polling.answer(|| asked.ask()).await;
        polling.ask_in(seconds(good_for));
        polling.answer(|| asked.ask()).await;
        assert_eq!(began.elapsed(), seconds(interval + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn no_interval_is_beyond_the_clock() {
    let (mut polling, asked) = (Polling::new(Duration::MAX), taking(Duration::ZERO));
    let answer = polling.answer_within(Duration::MAX, || asked.ask()).await;
    assert_eq!(answer, Some(1));
    polling.ask_in(Duration::MAX);
    polling.hasten(Duration::MAX);
    assert!(polling.due() > Some(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_at_once_unless_the_minimum_interval_is_not_over() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(Duration::ZERO), Instant::now());
    polling.answer(|| asked.ask()).await;
    polling.ask_in(seconds(60));
    for _ in 0..100 {
        polling.refresh();
    }
    polling.answer(|| asked.ask()).await;
    assert_eq!(began.elapsed(), MIN);
    polling.ask_in(seconds(60));
    sleep(seconds(20)).await;
    polling.refresh();
    polling.answer(|| asked.ask()).await;
    assert_eq!((began.elapsed(), asked.begun()), (MIN + seconds(20), 3));
}

#[tokio::test(start_paused = true)]
async fn news_is_looked_into_before_the_minimum_interval_is_over_and_nothing_puts_that_off() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(Duration::ZERO), Instant::now());
    polling.answer(|| asked.ask()).await;
    polling.hasten(seconds(1));
    polling.hasten(seconds(2));
    polling.refresh();
    assert_eq!(polling.due(), Some(began + seconds(1)));
    polling.answer(|| asked.ask()).await;
    assert_eq!(began.elapsed(), seconds(1));
}

#[tokio::test(start_paused = true)]
async fn the_first_question_is_not_put_off() {
    let mut polling = Polling::<u32>::new(MIN);
    polling.ask_in(seconds(60));
    polling.refresh();
    polling.hasten(seconds(1));
    assert_eq!(polling.due(), None);
}

/// A discovery drops `next` at each refresh, at whatever point it is.
#[tokio::test(start_paused = true)]
async fn a_wait_dropped_at_any_poll_neither_loses_the_question_nor_repeats_it() {
    const STEPS: u32 = 4;
    for polls in 0..=STEPS {
        let (mut polling, begun, steps) = (Polling::new(MIN), Cell::new(0), Arc::default());
        let ask = || {
            begun.set(begun.get() + 1);
            let steps: Arc<AtomicU32> = Arc::clone(&steps);
            async move {
                for _ in 0..STEPS {
                    yield_now().await;
                    steps.fetch_add(1, SeqCst);
                }
                "the answer"
            }
        };
        {
            let mut dropped = pin!(polling.answer(ask));
            for _ in 0..polls {
                assert!(poll!(&mut dropped).is_pending());
            }
        }
        assert_eq!(polling.is_asking(), polls > 0);
        assert_eq!(polling.answer(ask).await, "the answer");
        assert_eq!((begun.get(), steps.load(SeqCst)), (1, STEPS));
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_dropped_before_the_question_is_due_has_asked_nothing() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(Duration::ZERO), Instant::now());
    polling.answer(|| asked.ask()).await;
    for _ in 0..4 {
        timeout(seconds(1), polling.answer(|| asked.ask()))
            .await
            .unwrap_err();
        assert_eq!((asked.begun(), polling.is_asking()), (1, false));
    }
    assert_eq!(polling.answer(|| asked.ask()).await, 2);
    assert_eq!(began.elapsed(), MIN);
}

/// kong #5477, hickory #3563, and every thundering herd of resolutions: however many want to know, one question is under
/// way.
#[tokio::test(start_paused = true)]
async fn a_question_that_is_under_way_is_not_asked_again() {
    let (mut polling, asked) = (Polling::new(MIN), taking(seconds(30)));
    for _ in 0..20 {
        timeout(seconds(1), polling.answer(|| asked.ask()))
            .await
            .unwrap_err();
        polling.refresh();
        polling.hasten(Duration::ZERO);
    }
    assert_eq!(polling.answer(|| asked.ask()).await, 1);
    assert_eq!(asked.begun(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_late_is_told_again_and_again_and_no_other_begins_before_its_answer() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(seconds(25)), Instant::now());
    let patience = seconds(10);
    // However often the wait for it is dropped, its time goes on.
    for _ in 0..9 {
        let answer = polling.answer_within(patience, || asked.ask());
        timeout(seconds(1), answer).await.unwrap_err();
    }
    for late in [10, 20] {
        let answer = polling.answer_within(patience, || asked.ask()).await;
        assert_eq!((answer, began.elapsed()), (None, seconds(late)));
    }
    let answer = polling.answer_within(patience, || asked.ask()).await;
    assert_eq!((answer, began.elapsed()), (Some(1), seconds(25)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_polling_ends_the_question() {
    let (mut polling, asked) = (Polling::new(MIN), taking(seconds(30)));
    timeout(seconds(1), polling.answer(|| asked.ask()))
        .await
        .unwrap_err();
    assert_eq!(asked.ended(), 0);
    drop(polling);
    assert_eq!(asked.ended(), 1);
}

/// pingora #1006: a panic in the update froze the membership for ever.
#[tokio::test(start_paused = true)]
async fn a_question_that_panics_is_forgotten_and_asked_anew_after_the_minimum_interval() {
    let (mut polling, asked, began) = (Polling::new(MIN), taking(Duration::ZERO), Instant::now());
    let panicking = polling.answer(|| async { panic!("told to") });
    assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
    assert_eq!(polling.answer(|| asked.ask()).await, 1);
    assert_eq!(began.elapsed(), MIN);
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_making_panics_is_asked_anew_after_the_minimum_interval() {
    fn none() -> std::future::Ready<u32> {
        panic!("told to")
    }
    let (mut polling, asked, began) = (Polling::new(MIN), taking(Duration::ZERO), Instant::now());
    let panicking = polling.answer(none);
    assert!(AssertUnwindSafe(panicking).catch_unwind().await.is_err());
    assert_eq!(polling.answer(|| asked.ask()).await, 1);
    assert_eq!(began.elapsed(), MIN);
}
