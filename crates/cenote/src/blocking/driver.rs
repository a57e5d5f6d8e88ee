//! The pool's own thread, and the driver's blocking calls made to look asynchronous: each runs on a thread
//! of its own while the pool watches the time.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{self, EnterGuard, Handle};
use tokio::sync::oneshot;
use tokio::task;

use super::Connect;
use crate::connect::{self, FailureKind, Verdict};
use crate::dial::Dial;
use crate::error::SettingsError;
use crate::lifecycle::close::Close;
use crate::pool;
use crate::report::{CloseReason, ConnectionInfo};

/// The pool and its thread. Dropped with the last handle: the pool closes, and the thread ends when the
/// goodbyes are said.
pub(super) struct Driver<C: Connect> {
    pool: pool::Pool<Threads<C>>,
    handle: Handle,
    /// `None` only in `drop`.
    end: Option<oneshot::Sender<Close>>,
}

impl<C: Connect> Driver<C> {
    pub(super) fn start(builder: pool::PoolBuilder<Threads<C>>) -> Result<Self, SettingsError> {
        let (end, ended) = oneshot::channel();
        let thread = |error: io::Error| SettingsError {
            setting: "upkeep thread",
            value: error.to_string(),
            accepted: "the system must allow one more thread".into(),
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .thread_name("cenote-driver")
            .build()
            .map_err(thread)?;
        let handle = runtime.handle().clone();
        let pool = builder.runtime(handle.clone()).build()?;
        thread::Builder::new()
            .name("cenote-upkeep".into())
            .spawn(move || {
                runtime.block_on(async {
                    if let Ok(close) = ended.await {
                        close.await;
                    }
                });
                // Not waiting for drivers that hang.
                runtime.shutdown_background();
            })
            .map_err(thread)?;
        Ok(Self {
            pool,
            handle,
            end: Some(end),
        })
    }

    pub(super) fn pool(&self) -> &pool::Pool<Threads<C>> {
        &self.pool
    }

    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }
}

impl<C: Connect> Drop for Driver<C> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let limit = self.pool.settings().close_timeout;
            // The thread may have been refused by the system: then nothing is left to wait.
            let _ = end.send(self.pool.close().timeout(limit));
        }
    }
}

/// A connection's place between the pool and the thread that works on it.
pub struct Seat<T>(Option<T>);

impl<T> Seat<T> {
    pub(super) fn new(conn: T) -> Self {
        Self(Some(conn))
    }

    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_mut()
    }

    pub(super) fn into_connection(self) -> T {
        self.0.expect(SEATED)
    }

    pub(super) fn conn(&self) -> &T {
        self.0.as_ref().expect(SEATED)
    }

    pub(super) fn conn_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(SEATED)
    }
}

/// It is away only during a check, a reset or a hook; one that does not come back is closed.
const SEATED: &str = "a leased connection is in its seat";

impl<T: fmt::Debug> fmt::Debug for Seat<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Send + 'static> Seat<T> {
    /// Runs `work` on a thread of its own; the connection is away meanwhile, and for good if the caller
    /// stops waiting or `work` panics.
    pub(super) async fn run<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> R {
        let mut conn = self.0.take().expect(SEATED);
        let (conn, outcome) = call(move || {
            let outcome = work(&mut conn);
            (conn, outcome)
        })
        .await;
        self.0 = Some(conn);
        outcome
    }
}

/// Runs `work` on a thread of its own; its panic goes on in the caller, who catches it.
async fn call<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    match task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is going down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// A synchronous connector as the pool wants it.
#[derive(Debug)]
pub struct Threads<C>(pub(super) Arc<C>);

impl<C: Connect> connect::Connect for Threads<C> {
    type Connection = Seat<C::Connection>;
    type Error = C::Error;

    async fn connect(&self, _: &Dial) -> Result<Self::Connection, C::Error> {
        let connector = Arc::clone(&self.0);
        call(move || connector.connect()).await.map(Seat::new)
    }

    #[inline]
    fn is_open(&self, seat: &Self::Connection) -> bool {
        seat.0.as_ref().is_some_and(|conn| self.0.is_open(conn))
    }

    #[inline]
    fn verdict(&self, seat: &mut Self::Connection) -> Verdict {
        seat.0
            .as_mut()
            .map_or(Verdict::Close, |conn| self.0.verdict(conn))
    }

    fn classify(&self, error: &C::Error) -> FailureKind {
        self.0.classify(error)
    }

    fn endpoint(&self) -> Option<String> {
        self.0.endpoint()
    }

    async fn check(
        &self,
        seat: &mut Self::Connection,
        info: &ConnectionInfo,
    ) -> Result<(), C::Error> {
        let (connector, info) = (Arc::clone(&self.0), *info);
        seat.run(move |conn| connector.check(conn, &info)).await
    }

    async fn reset(
        &self,
        seat: &mut Self::Connection,
        info: &ConnectionInfo,
    ) -> Result<(), C::Error> {
        let (connector, info) = (Arc::clone(&self.0), *info);
        seat.run(move |conn| connector.reset(conn, &info)).await
    }

    async fn close(&self, seat: Self::Connection, info: &ConnectionInfo) {
        if let Some(conn) = seat.0 {
            let (connector, info) = (Arc::clone(&self.0), *info);
            call(move || connector.close(conn, &info)).await;
        }
    }

    fn leaving(&self, seat: &mut Self::Connection, info: &ConnectionInfo, reason: CloseReason) {
        if let Some(conn) = seat.get_mut() {
            self.0.leaving(conn, info, reason);
        }
    }
}
