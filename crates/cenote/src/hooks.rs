//! The user's code that runs at turns of a connection's life, and how the pool calls it: all that were given, in the
//! order they were given.

use std::future::Future;
use std::pin::Pin;

use crate::connect::Connect;
use crate::error::BoxError;
use crate::report::{CloseReason, ConnectionInfo, Event};
use crate::rt;

/// What an asynchronous hook returns: `Box::pin(async move { .. })`.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

type Hook<T> = Box<dyn for<'a> Fn(&'a mut T, &ConnectionInfo) -> HookFuture<'a> + Send + Sync>;
type CloseHook<T> = Box<dyn Fn(&mut T, &ConnectionInfo, CloseReason) + Send + Sync>;
type Observer = Box<dyn Fn(&Event<'_>) + Send + Sync>;

pub(crate) struct Hooks<C: Connect> {
    pub(crate) after_connect: Chain<C::Connection>,
    pub(crate) before_get: Chain<C::Connection>,
    pub(crate) after_return: Chain<C::Connection>,
    pub(crate) before_close: Vec<CloseHook<C::Connection>>,
    pub(crate) observers: Vec<Observer>,
}

impl<C: Connect> Default for Hooks<C> {
    fn default() -> Self {
        Self {
            after_connect: Chain::default(),
            before_get: Chain::default(),
            after_return: Chain::default(),
            before_close: Vec::new(),
            observers: Vec::new(),
        }
    }
}

impl<C: Connect> Hooks<C> {
    /// Shows a connection that leaves to all who asked for it. The panic of one is nobody else's affair.
    pub(crate) fn before_close(
        &self,
        conn: &mut C::Connection,
        info: &ConnectionInfo,
        reason: CloseReason,
    ) {
        for hook in &self.before_close {
            let _ = rt::calling(|| hook(conn, info, reason));
        }
    }

    /// Tells all observers. The panic of one is nobody else's affair.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        for observer in &self.observers {
            let _ = rt::calling(|| observer(event));
        }
    }
}

/// The hooks of one turn.
pub(crate) struct Chain<T>(Vec<Hook<T>>);

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chain<T> {
    pub(crate) fn push(&mut self, hook: Hook<T>) {
        self.0.push(hook);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs them one after the other; the first error ends it.
    pub(crate) async fn run(&self, conn: &mut T, info: &ConnectionInfo) -> Result<(), BoxError> {
        for hook in &self.0 {
            hook(conn, info).await?;
        }
        Ok(())
    }
}
