//! The task that asks a source, and what its handles know.

use std::any::type_name;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tokio::sync::{broadcast, watch};

use super::discover::Discover;
use super::set::{EndpointSet, Key};
use super::status::{DiscoveryStatus, Failing};
use crate::error::{SettingsError, with_causes};
use crate::rt::{self, AbortHandle, Instant, Runtime};
use crate::settings::Backoff;
use crate::sync::Notify;

/// What a service consists of, as a source tells it: the last good set, and how old that is.
///
/// A task asks the source, so that news is heard while nobody calls (linkerd2 #2550). It ends with the last handle, when
/// the source has nothing more to tell, or with the runtime on which it was started; the last set stays, and pools over it
/// serve on any runtime. One that ends before the source was heard has no set, and pools over it serve nobody. Handles are
/// cheap to clone; each hears of every change, or of several as one.
///
/// - A source that fails, or panics, changes nothing: the last good set stays, for [`status`](Self::status) to say how
///   old it is, and the source is asked again (pingora #1006).
/// - An empty set counts as such a failure, unless [`EmptySets::Obeyed`] says otherwise: a name server or a catalogue
///   that has lost its data would else take the whole service away.
/// - A set equal to the last is no change, whatever order it is in.
pub struct Discovery<K: Key> {
    known: watch::Receiver<Known<K>>,
    /// The version this handle has told of.
    seen: u64,
    /// Whether it failed, as this handle has told.
    saw_failing: bool,
    refresh: Arc<Notify>,
    /// Told whole to each pool; apart, for a key's clone is user code.
    rechecks: broadcast::Sender<Arc<K>>,
    task: Arc<Task>,
}

/// Of so many endpoints a pool that does not come to look hears one by one that they are to be dialled again; of more, that
/// all are.
const RECHECKS: usize = 64;

/// Ended with the last handle.
struct Task {
    asking: AbortHandle,
    runtime: Runtime,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// What the task has found out.
struct Known<K> {
    /// What the source calls itself.
    source: Arc<str>,
    set: EndpointSet<K>,
    version: u64,
    told_at: Option<Instant>,
    failing: Option<Failures>,
    has_ended: bool,
}

struct Failures {
    began: Instant,
    count: u64,
    error: Arc<str>,
}

/// What a discovery tells.
pub(crate) enum News<K> {
    Set(EndpointSet<K>),
    /// The source fails, for the first time since it last told a set.
    Failed(Arc<str>),
    /// It does not any more.
    Recovered,
}

/// Whether a set without endpoints is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmptySets {
    /// It is a failure of the source: the last good set stays.
    #[default]
    Kept,
    /// The service has no endpoints: for sources that know, such as one that scales to zero.
    Obeyed,
}

/// How a source is asked.
#[derive(Debug)]
#[must_use = "nothing is asked before it is started"]
pub struct DiscoveryBuilder<D> {
    source: D,
    empty_sets: EmptySets,
}

impl<D: Discover> DiscoveryBuilder<D> {
    /// Whether a set without endpoints is believed. Default: [`EmptySets::Kept`].
    pub fn empty_sets(mut self, empty_sets: EmptySets) -> Self {
        self.empty_sets = empty_sets;
        self
    }

    /// Begins to ask.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no tokio runtime to ask on.
    pub fn start(self) -> Result<Discovery<D::Key>, SettingsError> {
        let name = rt::calling(|| self.source.name());
        let (sender, known) = watch::channel(Known {
            source: name.unwrap_or_else(|_| type_name::<D>().into()).into(),
            set: EndpointSet::default(),
            version: 0,
            told_at: None,
            failing: None,
            has_ended: false,
        });
        let refresh = Arc::new(Notify::new());
        let asking = Asking {
            source: self.source,
            known: sender,
            refresh: Arc::clone(&refresh),
            empty_sets: self.empty_sets,
            backoff: Backoff::default(),
            rng: Rng::new(),
        };
        let begun = Runtime::here().zip(rt::spawn_here(asking.run()));
        let Some((runtime, asking)) = begun else {
            return Err(SettingsError {
                setting: "runtime",
                value: "none".into(),
                accepted: "a source is asked on a tokio runtime: start it there".into(),
            });
        };
        Ok(Discovery {
            known,
            seen: 0,
            saw_failing: false,
            refresh,
            rechecks: broadcast::channel(RECHECKS).0,
            task: Arc::new(Task { asking, runtime }),
        })
    }
}

impl<K: Key> Discovery<K> {
    /// Has a task ask this source, with the default settings.
    ///
    /// # Errors
    /// [`SettingsError`] if there is no tokio runtime to ask on.
    pub fn start<D: Discover<Key = K>>(source: D) -> Result<Self, SettingsError> {
        Self::builder(source).start()
    }

    /// For other settings than the default ones.
    pub fn builder<D: Discover<Key = K>>(source: D) -> DiscoveryBuilder<D> {
        DiscoveryBuilder {
            source,
            empty_sets: EmptySets::default(),
        }
    }

    /// The last good set; empty before the first.
    pub fn set(&self) -> EndpointSet<K> {
        self.known.borrow().set.clone()
    }

    /// The set, once it is another than this handle has told of; `None` when there will be no other. Dropping it loses
    /// nothing.
    pub async fn changed(&mut self) -> Option<EndpointSet<K>> {
        loop {
            if let News::Set(set) = self.news().await? {
                return Some(set);
            }
        }
    }

    /// As [`changed`](Self::changed), with how the source does.
    pub(crate) async fn news(&mut self) -> Option<News<K>> {
        loop {
            {
                let known = self.known.borrow_and_update();
                if known.failing.is_some() != self.saw_failing {
                    self.saw_failing = known.failing.is_some();
                    let failing = known.failing.as_ref();
                    return Some(failing.map_or(News::Recovered, |failing| {
                        News::Failed(Arc::clone(&failing.error))
                    }));
                }
                if known.version != self.seen {
                    self.seen = known.version;
                    return Some(News::Set(known.set.clone()));
                }
            }
            // The last handle but the task's is this one: it fails when the task has ended.
            self.known.changed().await.ok()?;
        }
    }

    /// What the source calls itself.
    pub(crate) fn source(&self) -> Arc<str> {
        Arc::clone(&self.known.borrow().source)
    }

    /// Asks the source to look again soon: there is reason to believe that the set has changed. However often this is
    /// said, the source hears of it once for each answer, and keeps to the bounds it has.
    pub fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Something was learned of the endpoint with this key, by whatever way: it may be up again, or what is wanted. Pools
    /// over this discovery that failed to connect to it, or found it [unsuitable](crate::FailureKind::Unsuitable), do not
    /// put the next dial off: it begins when they have a use for it, which is at once where callers wait for a
    /// connection, and not at all in a pool that nobody uses. If a dial is under way that fails, as it met the endpoint
    /// before, so it is for the one after that.
    ///
    /// For what knows better than a back-off, such as a connection to a server that tells of its new role. Each call
    /// may cost that server a dial from each pool: not for a loop.
    pub fn recheck(&self, key: K) {
        // Where no pool listens there is nothing to be done.
        let _ = self.rechecks.send(Arc::new(key));
    }

    /// What was said by [`recheck`](Self::recheck) from now on.
    pub(crate) fn rechecks(&self) -> broadcast::Receiver<Arc<K>> {
        self.rechecks.subscribe()
    }

    /// Begins `task` where the source is asked.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.task.runtime.spawn(task);
    }

    /// What tells the [`status`](Self::status), without keeping the source asked.
    pub(crate) fn teller(&self) -> impl Fn() -> DiscoveryStatus + Send + Sync + use<K> {
        let known = self.known.clone();
        move || status(&known)
    }

    /// How good what is known is.
    pub fn status(&self) -> DiscoveryStatus {
        status(&self.known)
    }
}

fn status<K: Key>(known: &watch::Receiver<Known<K>>) -> DiscoveryStatus {
    let has_gone = known.has_changed().is_err();
    {
        let now = rt::now();
        let known = known.borrow();
        let since = |then: Instant| now.saturating_duration_since(then);
        DiscoveryStatus {
            source: Arc::clone(&known.source),
            version: known.version,
            endpoints: known.set.len(),
            age: known.told_at.map(since),
            failing: known.failing.as_ref().map(|failing| Failing {
                since: since(failing.began),
                failures: failing.count,
                error: Arc::clone(&failing.error),
            }),
            has_ended: known.has_ended || has_gone,
        }
    }
}

impl<K: Key> Clone for Discovery<K> {
    /// A handle that has told of nothing yet.
    fn clone(&self) -> Self {
        Self {
            known: self.known.clone(),
            seen: 0,
            saw_failing: false,
            refresh: Arc::clone(&self.refresh),
            rechecks: self.rechecks.clone(),
            task: Arc::clone(&self.task),
        }
    }
}

impl<K: Key> fmt::Debug for Discovery<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Discovery").field(&self.status()).finish()
    }
}

/// The task's side.
struct Asking<D: Discover> {
    source: D,
    known: watch::Sender<Known<D::Key>>,
    refresh: Arc<Notify>,
    empty_sets: EmptySets,
    /// Between questions to a source that fails at once.
    backoff: Backoff,
    rng: Rng,
}

/// What a source said.
enum Told<K> {
    Set(EndpointSet<K>),
    Failure(String),
    End,
}

/// So many answers in a row that came at once are taken for what they are.
const AT_ONCE: u32 = 3;
/// An answer within this time came at once.
const INSTANT: Duration = Duration::from_millis(1);
/// Between sets that come at once.
const BETWEEN_SETS: Duration = Duration::from_millis(100);

impl<D: Discover> Asking<D> {
    async fn run(mut self) {
        // Answers in a row that came at once.
        let mut at_once = 0_u32;
        loop {
            let asked_at = rt::now();
            let is_good = match self.ask().await {
                Told::Set(set) if set.is_empty() && self.empty_sets == EmptySets::Kept => {
                    self.failed("it told a set without endpoints".into());
                    true
                }
                Told::Set(set) => match rt::calling(|| self.good(set)) {
                    Ok(()) => true,
                    Err(panic) => {
                        self.failed(format!("panicked: {panic}"));
                        false
                    }
                },
                Told::Failure(error) => {
                    self.failed(error);
                    false
                }
                Told::End => {
                    self.known.send_modify(|known| known.has_ended = true);
                    return;
                }
            };
            at_once = match rt::now().saturating_duration_since(asked_at) {
                took if took < INSTANT => at_once.saturating_add(1),
                _ => 0,
            };
            // A source that is always ready would have the thread to itself.
            if at_once > AT_ONCE {
                let nanos = self.backoff.delay(at_once - AT_ONCE, &mut self.rng);
                let pause = if is_good {
                    BETWEEN_SETS
                } else {
                    Duration::from_nanos(nanos)
                };
                rt::sleep(pause).await;
            }
        }
    }

    /// The source's next word. Of what is asked of it meanwhile it hears once, or it might never come to an end.
    async fn ask(&mut self) -> Told<D::Key> {
        let refreshed = {
            let next = rt::catching(async { self.source.next().await });
            tokio::select! {
                biased;
                told = next => Err(told),
                () = self.refresh.notified() => Ok(()),
            }
        };
        let told = match refreshed {
            Err(told) => told,
            Ok(()) => match rt::calling(|| self.source.refresh()) {
                Ok(()) => rt::catching(async { self.source.next().await }).await,
                Err(panic) => Err(panic),
            },
        };
        match told {
            Ok(Some(Ok(set))) => Told::Set(set),
            Ok(Some(Err(error))) => {
                let text = rt::calling(|| with_causes(&error));
                Told::Failure(text.unwrap_or_else(|panic| panic))
            }
            Ok(None) => Told::End,
            Err(panic) => Told::Failure(format!("panicked: {panic}")),
        }
    }

    fn good(&self, set: EndpointSet<D::Key>) {
        // Keys are compared, and dropped, out of the lock: that is user code.
        let (version, before) = {
            let known = self.known.borrow();
            (known.version, known.set.clone())
        };
        // The first is a change, even where it is an empty one.
        let another = (version == 0 || before != set).then_some(set);
        let now = rt::now();
        self.known.send_modify(|known| {
            known.told_at = Some(now);
            known.failing = None;
            if let Some(set) = another {
                known.set = set;
                known.version += 1;
            }
        });
    }

    fn failed(&self, error: String) {
        let now = rt::now();
        self.known.send_modify(|known| {
            let failing = known.failing.get_or_insert_with(|| Failures {
                began: now,
                count: 0,
                error: Arc::from(""),
            });
            failing.count += 1;
            failing.error = error.into();
        });
    }
}
