//! A handle on the pool of one key.

use std::fmt;
use std::ops::Deref;

use super::entry::InUse;
use super::pools::KeyedPool;

/// The pool of one key, from [`Keyed::pool`](crate::Keyed::pool) or [`Keyed::find`](crate::Keyed::find): all that its pool
/// can do, without a look-up. Its `get` costs what that of a pool costs which has no key.
///
/// While it is there, the key is not forgotten, however long nobody uses it; it keeps the pool open as well when the
/// [`Keyed`](crate::Keyed) is dropped. Cheap to clone: a clone of the pool behind it (`Pool::clone(&handle)`) keeps that pool
/// open, and not its key.
pub struct KeyHandle<K: Send + Sync + 'static, P: KeyedPool> {
    pub(super) entry: InUse<K, P>,
}

impl<K: Send + Sync + 'static, P: KeyedPool> KeyHandle<K, P> {
    /// Whose pool it is.
    pub fn key(handle: &Self) -> &K {
        &handle.entry.key
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Deref for KeyHandle<K, P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.entry.pool
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Clone for KeyHandle<K, P> {
    fn clone(&self) -> Self {
        Self {
            entry: self.entry.clone(),
        }
    }
}

impl<K: fmt::Debug + Send + Sync + 'static, P: KeyedPool> fmt::Debug for KeyHandle<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyHandle")
            .field("key", &self.entry.key)
            .field("status", &self.entry.pool.status())
            .finish()
    }
}
