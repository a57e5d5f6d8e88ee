//! The user's code that runs at turns of a connection's life, and how the pool calls it.

use std::future::Future;
use std::pin::Pin;

use crate::connect::Connect;
use crate::error::BoxError;
use crate::event::{CloseReason, ConnectionInfo, Event};

/// What an asynchronous hook returns: `Box::pin(async move { .. })`.
pub type HookFuture<'a> = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send + 'a>>;

type Hook<T> = Box<dyn for<'a> Fn(&'a mut T, &ConnectionInfo) -> HookFuture<'a> + Send + Sync>;
type CloseHook<T> = Box<dyn Fn(&mut T, &ConnectionInfo, CloseReason) + Send + Sync>;
type EventHook = Box<dyn Fn(&Event<'_>) + Send + Sync>;

pub(crate) struct Hooks<C: Connect> {
    pub(crate) after_connect: Option<Hook<C::Connection>>,
    pub(crate) before_get: Option<Hook<C::Connection>>,
    pub(crate) after_return: Option<Hook<C::Connection>>,
    pub(crate) before_close: Option<CloseHook<C::Connection>>,
    pub(crate) on_event: Option<EventHook>,
}

impl<C: Connect> Default for Hooks<C> {
    fn default() -> Self {
        Self {
            after_connect: None,
            before_get: None,
            after_return: None,
            before_close: None,
            on_event: None,
        }
    }
}

impl<C: Connect> Hooks<C> {
    /// Tells the handler, if there is one. Its panic is its own affair.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        if let Some(on_event) = &self.on_event {
            let _ = crate::rt::calling(|| on_event(event));
        }
    }
}
