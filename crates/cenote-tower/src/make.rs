//! A connector of tower's as a connector of cenote's.

use std::fmt;

use cenote::{Connect, Dial, Multiplex, Verdict};
use tower::{BoxError, Service, ServiceExt};

use crate::error::TowerError;

/// A `MakeService`-style connector, a service that makes services, as a [`Connect`].
///
/// Tower's services do not say whether a connection is as good as new once its leases are over: that verdict
/// is the third argument of [`new`](Self::new). Nor do they say how many calls they can carry and whether they
/// are still connected: say it with [`capacity`](Self::capacity) and [`is_open`](Self::is_open).
///
/// ```
/// use cenote::{SharedPool, Verdict};
/// use cenote_tower::MakeConnect;
/// use tower::service_fn;
///
/// # type Client = cenote_tower::Client<String, String>;
/// # async fn connect(_: &'static str) -> std::io::Result<Client> { Err(std::io::ErrorKind::Other.into()) }
/// let make = service_fn(connect); // to an address, as a `cenote_tower::Client`
/// // Its calls leave nothing behind on the connection.
/// let connector = MakeConnect::new(make, "10.0.0.1:80", |_: &mut Client| Verdict::Reuse)
///     .capacity(1_024) // one call at a time without this
///     .is_open(|client: &Client| client.mux().is_open()); // leased after its end without this
/// let pool = SharedPool::new(connector);
/// ```
pub struct MakeConnect<M, T, S> {
    make: M,
    target: T,
    capacity: usize,
    is_open: fn(&S) -> bool,
    verdict: fn(&mut S) -> Verdict,
}

impl<M, T, S> MakeConnect<M, T, S> {
    /// Has `make` connect to `target`; `verdict` judges a connection whose leases are over, as
    /// [`Connect::verdict`] does.
    pub fn new(make: M, target: T, verdict: fn(&mut S) -> Verdict) -> Self {
        Self {
            make,
            target,
            capacity: 1,
            is_open: |_| true,
            verdict,
        }
    }

    /// How many calls each connection can carry at once. Default: 1.
    pub fn capacity(mut self, calls: usize) -> Self {
        self.capacity = calls;
        self
    }

    /// How to see that a connection is closed. Default: it never is.
    pub fn is_open(mut self, is_open: fn(&S) -> bool) -> Self {
        self.is_open = is_open;
        self
    }
}

impl<M, T: fmt::Debug, S> fmt::Debug for MakeConnect<M, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MakeConnect")
            .field("target", &self.target)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<M, T, S> Connect for MakeConnect<M, T, S>
where
    M: Service<T, Response = S, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    T: Clone + Send + Sync + 'static,
    S: Send + 'static,
{
    type Connection = S;
    type Error = TowerError;

    async fn connect(&self, _: &Dial) -> Result<S, TowerError> {
        let connected = self.make.clone().oneshot(self.target.clone()).await;
        connected.map_err(TowerError::new)
    }

    fn is_open(&self, service: &S) -> bool {
        (self.is_open)(service)
    }

    fn verdict(&self, service: &mut S) -> Verdict {
        (self.verdict)(service)
    }
}

impl<M, T, S> Multiplex for MakeConnect<M, T, S>
where
    M: Service<T, Response = S, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    T: Clone + Send + Sync + 'static,
    S: Send + Sync + 'static,
{
    fn capacity(&self, _: &S) -> usize {
        self.capacity
    }
}
