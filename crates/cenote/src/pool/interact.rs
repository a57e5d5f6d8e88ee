//! Blocking work on a leased connection, from a task that must not block.

use super::lease::OwnedLease;
use crate::connect::Connect;
use crate::rt;

/// Why [`OwnedLease::interact`] has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InteractError {
    /// The closure panicked, and the connection is closed; the message of the panic.
    #[error("the closure panicked: {0}")]
    Panicked(String),
    /// The runtime was shut down before the closure began; the connection is back in its pool.
    #[error("the runtime was shut down before the closure began")]
    Aborted,
}

impl<C: Connect> OwnedLease<C> {
    /// Runs a closure that may block, as calls of a synchronous driver do, on a thread for such work
    /// ([`spawn_blocking`](tokio::task::spawn_blocking)), with the connection in its hands. The lease comes back with the
    /// outcome.
    ///
    /// ```
    /// # use cenote::{Connect, OwnedLease, Pool};
    /// # struct Sqlite; impl Sqlite { fn count(&mut self, _: &str) -> u64 { 0 } }
    /// # async fn f<C: Connect<Connection = Sqlite>>(pool: Pool<C>) -> Result<(), Box<dyn std::error::Error>> {
    /// let lease = pool.get_owned().await?;
    /// let (lease, users) = OwnedLease::interact(lease, |conn| conn.count("users")).await?;
    /// let (_, orders) = OwnedLease::interact(lease, |conn| conn.count("orders")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future does not stop the closure, for nothing can: it runs to its end, and only then the lease goes
    /// back to the pool, so that nobody else has the connection meanwhile. Before its first poll it has begun nothing,
    /// and the lease goes back at once.
    ///
    /// # Errors
    /// - [`Panicked`](InteractError::Panicked): the closure panicked; the connection is closed.
    /// - [`Aborted`](InteractError::Aborted): the runtime was shut down before the closure began: the
    ///   [pool's own](crate::pool::PoolBuilder::runtime); without one the caller's, or outside any the last that the
    ///   pool was used on.
    pub async fn interact<T: Send + 'static>(
        lease: Self,
        work: impl FnOnce(&mut C::Connection) -> T + Send + 'static,
    ) -> Result<(Self, T), InteractError> {
        let core = lease.core();
        let running = core.owner.runtime.spawn_blocking(move || {
            let mut lease = lease;
            match rt::calling(|| work(&mut lease)) {
                Ok(outcome) => Ok((lease, outcome)),
                Err(panic) => {
                    Self::panicked(lease, &panic);
                    Err(InteractError::Panicked(panic))
                }
            }
        });
        // No lease is given where none was ever seen.
        let running = running.ok_or(InteractError::Aborted)?;
        running.await.unwrap_or(Err(InteractError::Aborted))
    }
}
