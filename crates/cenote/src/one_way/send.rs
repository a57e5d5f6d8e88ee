//! A message on its way into the queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::error::SendError;
use super::queue::{Closed, Place, PlaceWaiter, Waiting};
use super::{NoRuntime, OneWayPool};
use crate::connect::OneWay;

/// A [`OneWayPool::send`] under way. Dropped before it is done, nothing is sent, and its message goes with it; a place that
/// it was granted goes to the next in line.
#[must_use = "nothing is sent until it is awaited"]
pub struct Send<C: OneWay> {
    pool: OneWayPool<C>,
    /// Until it is taken or given back.
    message: Option<C::Message>,
    /// Once it waits for a place.
    waiter: Option<PlaceWaiter>,
}

impl<C: OneWay> Send<C> {
    pub(super) fn new(pool: OneWayPool<C>, message: C::Message) -> Self {
        Self {
            pool,
            message: Some(message),
            waiter: None,
        }
    }
}

// The message is moved, never polled.
impl<C: OneWay> Unpin for Send<C> {}

/// What a sender is told that gets no place.
type Refusal<M> = fn(M) -> SendError<M>;

impl<C: OneWay> Send<C> {
    /// The place that the message is to have, once it is known.
    fn poll_place(&mut self, cx: &Context<'_>) -> Poll<Result<Place, Refusal<C::Message>>> {
        let Some(waiter) = &mut self.waiter else {
            return Poll::Ready(Ok(Place::New));
        };
        let shared = &self.pool.shared;
        let outcome = loop {
            if let Some(outcome) = waiter.outcome() {
                break outcome;
            }
            match shared.queue.wait_on(waiter, cx.waker()) {
                Waiting::Over => {}
                Waiting::On => return Poll::Pending,
                Waiting::NobodyForwards => match shared.forward() {
                    Ok(()) => return Poll::Pending,
                    Err(NoRuntime) => return Poll::Ready(Err(SendError::NoRuntime)),
                },
            }
        };
        self.waiter = None;
        Poll::Ready(match outcome {
            Ok(()) => Ok(Place::Granted),
            Err(Closed) => Err(SendError::Closed),
        })
    }
}

impl<C: OneWay> Future for Send<C> {
    type Output = Result<(), SendError<C::Message>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let send = self.get_mut();
        loop {
            let place = ready!(send.poll_place(cx));
            let message = send.message.take();
            let message = message.expect("a send was polled after it was done");
            let place = match place {
                Ok(place) => place,
                Err(refused) => return Poll::Ready(Err(refused(message))),
            };
            let shared = &send.pool.shared;
            match (shared.put(message, place), place) {
                (Err(SendError::Full(back)), _) => {
                    send.message = Some(back);
                    // None where a place came free in between: it is asked for again.
                    send.waiter = shared.queue.wait(cx.waker());
                }
                (Err(refused), Place::Granted) => {
                    shared.queue.give_place_up();
                    return Poll::Ready(Err(refused));
                }
                (done, _) => return Poll::Ready(done),
            }
        }
    }
}

impl<C: OneWay> Drop for Send<C> {
    fn drop(&mut self) {
        if let Some(waiter) = &mut self.waiter {
            self.pool.shared.queue.leave(waiter);
        }
    }
}

impl<C: OneWay> fmt::Debug for Send<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Send")
            .field("pool", &self.pool.pool().name())
            .finish_non_exhaustive()
    }
}
