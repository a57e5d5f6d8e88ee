//! Asking again and again what does not tell by itself: when, and one question at a time.
//!
//! What is asked is the source's; here a question is a future. Promises: one that has begun goes on until it is answered,
//! panics, or is dropped with its source, however often the wait for it is dropped; until then no other begins.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::rt::{self, Instant};

/// "Never again".
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The questions of a source that asks, one at a time: for sources of your own, over a catalogue, a key-value store or an
/// API.
///
/// A [`Discover::next`](super::Discover::next) is dropped and called again, as for each refresh. Were the question a part of
/// it, it would be lost, or asked twice. So it is a future of its own, which the source keeps in a `Polling`: `next` waits
/// for its answer, and the next `next` goes on with it. What a question needs to remember it takes with it, and brings back
/// with its answer.
///
/// - **One at a time.** While a question is under way, nothing has another begin.
/// - **When.** Intervals are from the beginning of one question to that of the next. The first is asked at once, each
///   other after the minimum interval, or after what [`ask_in`](Self::ask_in) says of it, which is said anew after each
///   answer. So a question that fails, and one that panics, is asked again after the minimum interval.
///   [`refresh`](Self::refresh) and [`hasten`](Self::hasten) have it asked sooner.
/// - **How long** a question takes is its own affair: put a [`timeout`](crate::time::timeout) around it, or wait no longer
///   with [`answer_within`](Self::answer_within) for one that cannot be given up.
/// - **Where.** It goes on while it is waited for; dropping the `Polling` drops it. What must run to its end, as blocking
///   work, belongs into a task whose handle is the question.
/// - **A question that panics** is forgotten, with what it took; the panic passes through `next`, where a
///   [`Discovery`](super::Discovery) counts it as a failure of the source.
///
/// ```
/// use cenote::endpoints::{Discover, EndpointSet, Polling};
/// use cenote::time::timeout;
/// use std::io;
/// use std::time::Duration;
///
/// /// Asks a catalogue that answers as soon as it has changed since what was heard last, as Consul and etcd do.
/// struct Catalogue {
///     client: Client,
///     /// What was heard last.
///     index: u64,
///     polling: Polling<io::Result<Changed>>,
/// }
///
/// impl Catalogue {
///     fn new(client: Client) -> Self {
///         Self { client, index: 0, polling: Polling::new(Duration::from_secs(1)) }
///     }
/// }
///
/// impl Discover for Catalogue {
///     type Key = String;
///     type Error = io::Error;
///
///     async fn next(&mut self) -> Option<Result<EndpointSet<String>, io::Error>> {
///         let answer = self.polling.answer(|| {
///             let (client, index) = (self.client.clone(), self.index);
///             async move {
///                 // The catalogue holds its answer back for five minutes at most.
///                 let answer = timeout(Duration::from_secs(330), client.changed_since(index)).await;
///                 answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
///             }
///         });
///         // From here on nothing waits, so nothing that was answered is lost.
///         Some(answer.await.map(|changed| {
///             self.index = changed.index;
///             EndpointSet::of(changed.endpoints)
///         }))
///     }
///
///     fn refresh(&mut self) {
///         self.polling.refresh();
///     }
/// }
/// # #[derive(Clone)] struct Client;
/// # struct Changed { index: u64, endpoints: Vec<String> }
/// # impl Client {
/// #     async fn changed_since(&self, index: u64) -> io::Result<Changed> {
/// #         Ok(Changed { index: index + 1, endpoints: vec!["10.0.0.1:80".into()] })
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let mut source = Catalogue::new(Client);
/// # assert_eq!(source.next().await.unwrap().unwrap().len(), 1);
/// # assert_eq!(source.index, 1);
/// # }
/// ```
pub struct Polling<T> {
    min_interval: Duration,
    /// When the last question began.
    asked_at: Option<Instant>,
    /// When the next begins; `None`: at once.
    due: Option<Instant>,
    under_way: Option<UnderWay<T>>,
}

struct UnderWay<T> {
    question: Pin<Box<dyn Future<Output = T> + Send>>,
    /// When it began, or was last said to be late.
    since: Instant,
}

impl<T> Polling<T> {
    /// Asks nothing yet. `min_interval` is from the beginning of one question to that of the next at least, but for what is
    /// [hastened](Self::hasten).
    pub fn new(min_interval: Duration) -> Self {
        Self {
            min_interval: min_interval.min(LONGEST),
            asked_at: None,
            due: None,
            under_way: None,
        }
    }

    /// The answer to the question that is under way; if there is none, to the one that `ask` makes, once it is due.
    ///
    /// Dropping it loses nothing: before the question is due, nothing was asked, and `ask` not called; afterwards it goes on
    /// with the next call.
    pub async fn answer<F>(&mut self, ask: impl FnOnce() -> F) -> T
    where
        F: Future<Output = T> + Send + 'static,
    {
        self.begun(ask).await;
        poll_fn(|cx| self.poll(cx)).await
    }

    /// As [`answer`](Self::answer), for a question that cannot be given up, such as work in a thread: `None` says that it
    /// has none so long after it began, or after this was last said. It goes on, and no other begins before it is answered.
    pub async fn answer_within<F>(
        &mut self,
        patience: Duration,
        ask: impl FnOnce() -> F,
    ) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let since = self.begun(ask).await;
        let late = since + patience.min(LONGEST);
        let answer = rt::timeout_at(late, poll_fn(|cx| self.poll(cx))).await;
        if let (Err(_), Some(under_way)) = (&answer, &mut self.under_way) {
            under_way.since = rt::now();
        }
        answer.ok()
    }

    /// The next question begins so long after the last one began, or after the minimum interval if that is longer. For
    /// after an answer that says, or has a rule for it, how long it is good for; before the first question it does nothing.
    pub fn ask_in(&mut self, interval: Duration) {
        let interval = interval.clamp(self.min_interval, LONGEST);
        self.due = self.asked_at.map(|at| at + interval);
    }

    /// The next question begins as soon as the minimum interval since the beginning of the last is over, if it was to begin
    /// later: [`Discover::refresh`](super::Discover::refresh). While a question is under way its answer is what was asked
    /// for, and this does nothing.
    pub fn refresh(&mut self) {
        self.hasten(self.min_interval);
    }

    /// As [`refresh`](Self::refresh), once `interval` is over, though the minimum interval may be longer: for a source that
    /// was told that something has changed.
    pub fn hasten(&mut self, interval: Duration) {
        if self.under_way.is_none() {
            let soonest = self.asked_at.map(|at| at + interval.min(LONGEST));
            self.due = self.due.min(soonest);
        }
    }

    /// When the next question begins: for a source that listens until then. `None`: at once, as the first does.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a question is under way.
    pub fn is_asking(&self) -> bool {
        self.under_way.is_some()
    }

    /// Has a question be under way. Since when it is waited for.
    async fn begun<F>(&mut self, ask: impl FnOnce() -> F) -> Instant
    where
        F: Future<Output = T> + Send + 'static,
    {
        if let Some(under_way) = &self.under_way {
            return under_way.since;
        }
        if let Some(due) = self.due {
            rt::sleep_until(due).await;
        }
        let now = rt::now();
        self.asked_at = Some(now);
        // Unless the answer says otherwise; and if making the question panics.
        self.due = Some(now + self.min_interval);
        self.under_way = Some(UnderWay {
            question: Box::pin(ask()),
            since: now,
        });
        now
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        // One that panics is not put back.
        let under_way = self.under_way.take();
        let mut under_way = under_way.expect("it has begun, and is polled to its end only");
        let polled = under_way.question.as_mut().poll(cx);
        if polled.is_pending() {
            self.under_way = Some(under_way);
        }
        polled
    }
}

impl<T> fmt::Debug for Polling<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("min_interval", &self.min_interval)
            .field("due", &self.due)
            .field("is_asking", &self.is_asking())
            .finish_non_exhaustive()
    }
}
