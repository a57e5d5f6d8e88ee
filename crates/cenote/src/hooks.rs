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
    before_close: Box<[CloseHook<C::Connection>]>,
    observers: Box<[Observer]>,
}

impl<C: Connect> Default for Hooks<C> {
    fn default() -> Self {
        Self {
            after_connect: Chain::default(),
            before_get: Chain::default(),
            after_return: Chain::default(),
            before_close: Box::default(),
            observers: Box::default(),
        }
    }
}

impl<C: Connect> Hooks<C> {
    pub(crate) fn add_before_close(&mut self, hook: CloseHook<C::Connection>) {
        add(&mut self.before_close, hook);
    }

    pub(crate) fn add_observer(&mut self, observer: Observer) {
        add(&mut self.observers, observer);
    }

    pub(crate) fn has_observers(&self) -> bool {
        !self.observers.is_empty()
    }

    /// Shows a connection that leaves to all who asked for it. The panic of one is nobody else's affair.
    pub(crate) fn before_close(
        &self,
        conn: &mut C::Connection,
        info: &ConnectionInfo,
        reason: CloseReason,
    ) {
        for hook in &*self.before_close {
            let _ = rt::calling(|| hook(conn, info, reason));
        }
    }

    /// Tells all observers. The panic of one is nobody else's affair.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        for observer in &*self.observers {
            let _ = rt::calling(|| observer(event));
        }
    }
}

/// Lists are as long as they are: most pools have none, and keep no room for more.
fn add<T>(list: &mut Box<[T]>, one: T) {
    let mut longer = std::mem::take(list).into_vec();
    longer.push(one);
    *list = longer.into_boxed_slice();
}

/// The hooks of one turn.
pub(crate) struct Chain<T>(Box<[Hook<T>]>);

impl<T> Default for Chain<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> Chain<T> {
    pub(crate) fn push(&mut self, hook: Hook<T>) {
        add(&mut self.0, hook);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs them one after the other; the first error ends it.
    pub(crate) async fn run(&self, conn: &mut T, info: &ConnectionInfo) -> Result<(), BoxError> {
        for hook in &*self.0 {
            hook(conn, info).await?;
        }
        Ok(())
    }
}
