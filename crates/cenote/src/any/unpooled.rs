//! No pool: a connection for each get. What a pool is measured against, and a way to switch pooling off
//! without another code path.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::erased::{BoxFuture, DynLease, ErasedPool};
use crate::connect::Connect;
use crate::connect::endpoint;
use crate::dial::Dial;
use crate::error::{ConnectError, GetError};
use crate::report::{CloseReason, ConnectionInfo};
use crate::rt::{self, Failed, Runtime};
use crate::settings::CONNECT_TIMEOUT;

/// Connects at every [`get`](Self::get) and closes when the lease is dropped.
///
/// ```
/// # use cenote::{Connect, Pool};
/// # use cenote::any::{DynPool, Unpooled};
/// # fn pool<C: Connect>(connector: C, pooled: bool) -> DynPool<C::Connection> {
/// if pooled { DynPool::new(Pool::new(connector)) } else { DynPool::new(Unpooled::new(connector)) }
/// # }
/// ```
pub struct Unpooled<C: Connect> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    connector: C,
    runtime: Runtime,
    connect_timeout: Duration,
    /// Of all connections that were opened for the same user.
    next_id: Arc<AtomicU64>,
}

/// In errors.
pub(super) const NAME: &str = "none";

/// For a goodbye.
const TIMEOUT: Duration = Duration::from_secs(5);

impl<C: Connect> Unpooled<C> {
    /// Connects with `connector`, within 3 s.
    pub fn new(connector: C) -> Self {
        Self::with_timeout(connector, CONNECT_TIMEOUT)
    }

    /// Connects with `connector`, within `connect_timeout`.
    pub fn with_timeout(connector: C, connect_timeout: Duration) -> Self {
        Self::numbering(connector, connect_timeout, Arc::new(AtomicU64::new(1)))
    }

    /// Its connections have their ids from `next_id`.
    pub(super) fn numbering(
        connector: C,
        connect_timeout: Duration,
        next_id: Arc<AtomicU64>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                connector,
                runtime: Runtime::callers(),
                connect_timeout,
                next_id,
            }),
        }
    }

    /// Opens a connection. Dropping the future cancels the dial.
    ///
    /// # Errors
    /// [`GetError::Connect`], [`GetError::NoRuntime`] outside a tokio runtime.
    pub async fn get(&self) -> Result<UnpooledLease<C>, GetError> {
        let name = || Arc::from(NAME);
        self.shared.runtime.see();
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(GetError::NoRuntime { pool: name() });
        }
        let limit = self.shared.connect_timeout;
        let dial = Dial::within(limit);
        let connect = async { self.shared.connector.connect(&dial).await };
        match rt::guarded(limit, connect).await {
            Ok(conn) => Ok(UnpooledLease {
                conn: Some(conn),
                id: self.shared.next_id.fetch_add(1, Relaxed),
                opened: Instant::now(),
                shared: Arc::clone(&self.shared),
            }),
            Err(failed) => Err(GetError::connect(
                name(),
                1,
                match failed {
                    Failed::TimedOut => {
                        ConnectError::timed_out(endpoint(&self.shared.connector), limit)
                    }
                    Failed::Panicked(panic) => ConnectError::Panicked(panic.into()),
                    Failed::Error(error) => ConnectError::Failed(Arc::new(error)),
                },
            )),
        }
    }
}

impl<C: Connect> ErasedPool<C::Connection> for Unpooled<C> {
    fn get(&self) -> BoxFuture<'_, Result<DynLease<C::Connection>, GetError>> {
        Box::pin(async move { Unpooled::get(self).await.map(DynLease::new) })
    }
}

impl<C: Connect> fmt::Debug for Unpooled<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpooled")
    }
}

/// A connection opened for one use.
#[must_use = "the connection is closed as soon as the lease is dropped"]
pub struct UnpooledLease<C: Connect> {
    /// `None` only while the lease ends.
    conn: Option<C::Connection>,
    id: u64,
    opened: Instant,
    shared: Arc<Shared<C>>,
}

const OPEN: &str = "a lease has its connection until it ends";

impl<C: Connect> Deref for UnpooledLease<C> {
    type Target = C::Connection;

    fn deref(&self) -> &C::Connection {
        self.conn.as_ref().expect(OPEN)
    }
}

impl<C: Connect> DerefMut for UnpooledLease<C> {
    fn deref_mut(&mut self) -> &mut C::Connection {
        self.conn.as_mut().expect(OPEN)
    }
}

impl<C: Connect> Drop for UnpooledLease<C> {
    fn drop(&mut self) {
        let Some(mut conn) = self.conn.take() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        let info = ConnectionInfo {
            id: self.id,
            age: self.opened.elapsed(),
            idle_for: Duration::ZERO,
            uses: 1,
        };
        // As of a pool that keeps none idle.
        let reason = CloseReason::MaxIdle;
        let _ = rt::calling(|| shared.connector.leaving(&mut conn, &info, reason));
        self.shared.runtime.spawn(async move {
            rt::within(TIMEOUT, async { shared.connector.close(conn, &info).await }).await;
        });
    }
}

impl<C: Connect> fmt::Debug for UnpooledLease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnpooledLease")
    }
}
