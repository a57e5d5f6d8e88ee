//! A discovery of tower's as a source of endpoint sets.

use std::collections::BTreeSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use cenote::endpoints::{Discover, EndpointSet, Key};
use tower::BoxError;
use tower::discover::{self, Change};

use crate::error::TowerError;

/// What a [`tower::discover::Discover`] finds, a stream of changes, as a source of whole sets for a
/// [`Discovery`](cenote::endpoints::Discovery).
///
/// Changes that are ready together are told as one set. The services that come with them are dropped: pools of Cenote's
/// make their own connections. After an error the stream is asked again; what it told before still holds.
///
/// ```
/// use cenote::endpoints::{Discovery, EndpointSet};
/// use cenote_tower::Discovered;
/// use tower::discover::Change;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
/// let changes = [Change::Insert("10.0.0.1:80", ()), Change::Insert("10.0.0.2:80", ())];
/// let stream = futures::stream::iter(changes.map(Ok::<_, std::io::Error>));
/// let mut discovery = Discovery::start(Discovered::new(stream))?;
/// let set = discovery.changed().await.expect("there are two");
/// assert_eq!(set, EndpointSet::of(["10.0.0.1:80", "10.0.0.2:80"]));
/// # Ok(()) }
/// ```
pub struct Discovered<D: discover::Discover> {
    changes: Pin<Box<D>>,
    endpoints: BTreeSet<D::Key>,
    /// The set is another than was told.
    has_news: bool,
    has_ended: bool,
}

type Answer<D> =
    Option<Result<EndpointSet<<D as discover::Discover>::Key>, <D as discover::Discover>::Error>>;

/// So many changes are taken for one set at most, or a stream that is always ready would never be told of.
const AT_ONCE: usize = 1_000;

impl<D: discover::Discover<Key: Key>> Discovered<D> {
    /// Takes the changes of this stream.
    pub fn new(changes: D) -> Self {
        Self {
            changes: Box::pin(changes),
            endpoints: BTreeSet::new(),
            has_news: false,
            has_ended: false,
        }
    }

    fn poll_set(&mut self, cx: &mut Context<'_>) -> Poll<Answer<D>> {
        for _ in 0..AT_ONCE {
            if self.has_ended {
                break;
            }
            match self.changes.as_mut().poll_discover(cx) {
                Poll::Ready(Some(Ok(change))) => {
                    self.has_news |= match change {
                        Change::Insert(key, _) => self.endpoints.insert(key),
                        Change::Remove(key) => self.endpoints.remove(&key),
                    };
                }
                // What came before it is told with the next answer.
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => self.has_ended = true,
                Poll::Pending if self.has_news => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        if std::mem::take(&mut self.has_news) {
            return Poll::Ready(Some(Ok(EndpointSet::of(self.endpoints.iter().cloned()))));
        }
        if self.has_ended {
            return Poll::Ready(None);
        }
        // A thousand changes that change nothing: others have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<D> Discover for Discovered<D>
where
    D: discover::Discover<Key: Key, Error: Into<BoxError>> + Send + 'static,
{
    type Key = D::Key;
    type Error = TowerError;

    async fn next(&mut self) -> Option<Result<EndpointSet<D::Key>, TowerError>> {
        let set = poll_fn(|cx| self.poll_set(cx)).await?;
        Some(set.map_err(TowerError::new))
    }

    /// A discovery of tower's says nothing of itself.
    fn name(&self) -> String {
        "tower's Discover".into()
    }
}

impl<D: discover::Discover<Key: Key>> fmt::Debug for Discovered<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovered")
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
