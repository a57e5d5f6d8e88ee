//! Sets that the program sends.

use std::convert::Infallible;
use std::fmt;

use tokio::sync::watch;

use super::discover::Discover;
use super::set::{EndpointSet, Key};

/// The sending half of [`channel`].
pub struct SetSender<K>(watch::Sender<Option<EndpointSet<K>>>);

/// The receiving half of [`channel`], a source.
pub struct Channel<K>(watch::Receiver<Option<EndpointSet<K>>>);

/// Sets that the program sends, from wherever it has them. Only the latest matters: one that was not looked at before the
/// next was sent is skipped.
///
/// ```
/// use cenote::endpoints::{EndpointSet, channel};
///
/// let (sender, source) = channel();
/// sender.send(EndpointSet::of(["10.0.0.1:80", "10.0.0.2:80"]));
/// # drop(source);
/// ```
pub fn channel<K: Key>() -> (SetSender<K>, Channel<K>) {
    let (sender, receiver) = watch::channel(None);
    (SetSender(sender), Channel(receiver))
}

impl<K: Key> SetSender<K> {
    /// From now on the service consists of these. Dropping the sender is no change: the last set stays.
    pub fn send(&self, set: EndpointSet<K>) {
        self.0.send_replace(Some(set));
    }
}

impl<K: Key> Discover for Channel<K> {
    type Key = K;
    type Error = Infallible;

    async fn next(&mut self) -> Option<Result<EndpointSet<K>, Infallible>> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(set) = &*self.0.borrow_and_update() {
                return Some(Ok(set.clone()));
            }
        }
    }

    fn name(&self) -> String {
        "a channel".into()
    }
}

impl<K> fmt::Debug for SetSender<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetSender").finish_non_exhaustive()
    }
}

impl<K> fmt::Debug for Channel<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}
