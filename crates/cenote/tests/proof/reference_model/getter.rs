//! Getters and leases of the real pool, polled by hand: only when woken, unless the script says so.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use cenote::{GetError, Lease, OwnedLease, Pool};
use futures::TryFutureExt;
use tokio::sync::Notify;

use super::model::Getter;

use crate::server::{Conn, Server};

/// A lease, of either kind.
pub enum Held<'p> {
    Tied(Lease<'p, Server>),
    Owned(OwnedLease<Server>),
}

impl Held<'_> {
    pub fn conn(&mut self) -> &mut Conn {
        match self {
            Held::Tied(lease) => lease,
            Held::Owned(lease) => lease,
        }
    }
}

/// Who was woken, in order. A waker that another has replaced wakes nobody.
#[derive(Default)]
pub struct Woken {
    order: Mutex<VecDeque<(Getter, u64)>>,
    pub any: Notify,
}

struct GettersWaker {
    getter: Getter,
    serial: u64,
    woken: Arc<Woken>,
}

impl Wake for GettersWaker {
    fn wake(self: Arc<Self>) {
        self.woken
            .order
            .lock()
            .unwrap()
            .push_back((self.getter, self.serial));
        self.woken.any.notify_one();
    }
}

pub struct Pending<'p> {
    pub getter: Getter,
    get: Pin<Box<dyn Future<Output = Result<Held<'p>, GetError>> + 'p>>,
    /// Of its latest waker.
    serial: u64,
}

impl Woken {
    pub fn next(&self) -> Option<(Getter, u64)> {
        self.order.lock().unwrap().pop_front()
    }
}

impl<'p> Pending<'p> {
    /// Tied to the handle and owned in turn: they come back by different ways.
    pub fn new(pool: &'p Pool<Server>, getter: Getter) -> Self {
        Self {
            getter,
            get: match getter % 2 {
                0 => Box::pin(pool.get().map_ok(Held::Tied)),
                _ => Box::pin(pool.get_owned().map_ok(Held::Owned)),
            },
            serial: 0,
        }
    }

    /// Polls it with a new waker.
    pub fn poll(&mut self, woken: &Arc<Woken>) -> Poll<Result<Held<'p>, GetError>> {
        self.serial += 1;
        let waker = Waker::from(Arc::new(GettersWaker {
            getter: self.getter,
            serial: self.serial,
            woken: Arc::clone(woken),
        }));
        self.get.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub fn is_woken_by(&self, (getter, serial): (Getter, u64)) -> bool {
        (self.getter, self.serial) == (getter, serial)
    }
}
