//! A handle on the pool of one key.

use std::fmt;
use std::ops::Deref;

use super::map::InUse;
use super::pools::Pooled;

/// The pool of one key, from [`Keyed::pool`](crate::Keyed::pool) or [`Keyed::find`](crate::Keyed::find): all that its pool
/// can do, without a look-up. Its `get` costs what that of a pool costs which has no key.
///
/// While it is there, the key is not forgotten, however long nobody uses it; it keeps the pool open as well when the
/// [`Keyed`](crate::Keyed) is dropped. Cheap to clone: a clone of the pool behind it (`Pool::clone(&handle)`) keeps that pool
/// open, and not its key.
pub struct KeyPool<K: Send + Sync + 'static, P: Pooled> {
    pub(super) entry: InUse<K, P>,
}

impl<K: Send + Sync + 'static, P: Pooled> KeyPool<K, P> {
    /// Whose pool it is.
    pub fn key(handle: &Self) -> &K {
        &handle.entry.key
    }
}

impl<K: Send + Sync + 'static, P: Pooled> Deref for KeyPool<K, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.entry.pool
    }
}

impl<K: Send + Sync + 'static, P: Pooled> Clone for KeyPool<K, P> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
        }
    }
}

impl<K: fmt::Debug + Send + Sync + 'static, P: Pooled> fmt::Debug for KeyPool<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool")
            .field("key", &self.entry.key)
            .field("status", &self.entry.pool.status())
            .finish()
    }
}
