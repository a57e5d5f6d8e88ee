//! The future of a `get` by key. Its first poll takes an idle connection of the key's pool and is done; until there is
//! something to wait for it allocates nothing.

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::entry::InUse;
use super::map::Map;
use super::pools::KeyedPool;
use crate::error::GetError;

/// A [`Keyed::get`](crate::Keyed::get) under way.
///
/// Dropping it leaves the queue of the key's pool and loses nothing, as dropping [`Get`](crate::pool::Get) does.
#[must_use = "a get does nothing until it is awaited"]
pub struct KeyedGet<'a, Q: ?Sized, K, P: KeyedPool> {
    map: &'a Arc<Map<K, P>>,
    key: &'a Q,
    call_site: &'static Location<'static>,
    limit: Option<Duration>,
    /// Once there is something to wait for.
    waiting: Option<Waiting<P>>,
}

type Waiting<P> =
    Pin<Box<dyn Future<Output = Result<<P as super::pools::Face>::Lease, GetError>> + Send>>;

impl<'a, Q: ?Sized, K, P: KeyedPool> KeyedGet<'a, Q, K, P> {
    pub(super) fn new(
        map: &'a Arc<Map<K, P>>,
        key: &'a Q,
        call_site: &'static Location<'static>,
    ) -> Self {
        Self {
            map,
            key,
            call_site,
            limit: None,
            waiting: None,
        }
    }

    /// Waits this long at most, instead of `acquire_timeout` of the key's pool. Costs a timer of its own if it must wait.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl<Q, K, P> Future for KeyedGet<'_, Q, K, P>
where
    K: Borrow<Q> + Send + Sync + 'static,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    P: KeyedPool,
{
    type Output = Result<P::Lease, GetError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let waiting = match &mut this.waiting {
            Some(waiting) => waiting,
            None => {
                let (map, call_site) = (this.map, this.call_site);
                if let Some(lease) = map.take_hinted(this.key, call_site) {
                    return Poll::Ready(Ok(lease));
                }
                let entry = map.entry(this.key)?;
                let entry = match map.take(entry, call_site) {
                    Ok(lease) => return Poll::Ready(Ok(lease)),
                    Err(entry) => entry,
                };
                this.waiting
                    .insert(Box::pin(wait(entry, call_site, this.limit)))
            }
        };
        waiting.as_mut().poll(cx)
    }
}

/// Keeps the entry until it is over.
async fn wait<K: Send + Sync + 'static, P: KeyedPool>(
    entry: InUse<K, P>,
    call_site: &'static Location<'static>,
    limit: Option<Duration>,
) -> Result<P::Lease, GetError> {
    entry.pool.wait(call_site, limit).await
}

impl<Q: ?Sized, K, P: KeyedPool> fmt::Debug for KeyedGet<'_, Q, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedGet")
            .field("pools", &self.map.name)
            .finish_non_exhaustive()
    }
}
