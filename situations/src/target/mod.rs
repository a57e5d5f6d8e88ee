//! The four kinds of pool, each as its users have it.
//!
//! A user asks a question that nobody else asks and looks whether the answer is to it; before, that nobody else's
//! traces are in the session; and leaves traces of its own, or tries to where they are refused.

mod postgres_exclusive;
mod postgres_shared;
mod redis_exclusive;
mod redis_shared;
mod session;

pub use postgres_exclusive::PostgresExclusive;
pub use postgres_shared::PostgresShared;
pub use redis_exclusive::{RedisExclusive, big_value};
pub use redis_shared::RedisShared;

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::state::State;
use crate::trouble::Trouble;

/// Connections that a pool of the table may have at once.
pub const SIZE: usize = 4;

/// Where the pool's connections live.
pub enum Home {
    /// Where its users are.
    Users,
    /// A runtime of their own.
    Own(Handle),
}

/// How far the situation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    #[default]
    Before,
    /// It has.
    Begun,
}

/// Joins the user whose connection is in a state with the situation.
pub struct Cue {
    ready: Option<oneshot::Sender<()>>,
    phase: watch::Receiver<Phase>,
    /// How long its user waits for an answer before he asks again on the same connection. None: as long as it takes.
    patience: Option<Duration>,
}

impl Cue {
    /// One that tells `ready` and waits for `phase`.
    pub fn new(
        ready: oneshot::Sender<()>,
        phase: watch::Receiver<Phase>,
        patience: Option<Duration>,
    ) -> Self {
        Self {
            ready: Some(ready),
            phase,
            patience,
        }
    }

    /// What came of a call; `None` if its user gave it up.
    pub async fn wait<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        match self.patience {
            None => Some(call.await),
            Some(patience) => timeout(patience, call).await.ok(),
        }
    }

    /// The connection is in its state.
    pub fn ready(&mut self) {
        if let Some(ready) = self.ready.take() {
            // Nobody waits for it any more only where the cell has failed.
            let _ = ready.send(());
        }
    }

    /// The connection is in its state; returns when the situation has begun.
    pub async fn begun(&mut self) {
        self.ready();
        let _ = self.phase.wait_for(|now| *now == Phase::Begun).await;
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.phase.borrow() == Phase::Begun
    }
}

/// One kind of pool.
pub trait Target: Send + Sync + 'static {
    /// What a user holds.
    type Lease: Send + 'static;

    /// How long [`dawdle`](Self::dawdle) takes the server.
    const DAWDLES: Duration;

    /// A connection, or a place on one.
    fn get(&self) -> impl Future<Output = Result<Self::Lease, Trouble>> + Send;

    /// Looks for traces of others, leaves some, asks for `tag` by a write, and looks at the answer.
    fn ask<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        tag: i64,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// A write by one who has asked before, and whose traces are in the session.
    fn go_on<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        tag: i64,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// Asks for a reply of many megabytes, and looks at all of it.
    fn ask_much<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        tag: i64,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// A call that takes the server that long, to be dropped in the middle of it.
    fn dawdle<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        tag: i64,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// Listens on `channel`, and returns when a message came after the situation began, or an error.
    fn listen<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        channel: &'a str,
        cue: &'a mut Cue,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// Writes in a transaction, goes on when the situation has begun, and commits.
    fn transact<'a>(
        &'a self,
        lease: &'a mut Self::Lease,
        tag: i64,
        cue: &'a mut Cue,
    ) -> impl Future<Output = Result<(), Trouble>> + Send + 'a;

    /// Tries to bring a connection into a state that its kind refuses; an error if it is not refused.
    fn try_refused(
        &self,
        state: State,
        channel: &str,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// The pool as it is now, for reports.
    fn status(&self) -> String;
}
