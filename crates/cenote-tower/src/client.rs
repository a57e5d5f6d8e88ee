//! A mux as a service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use cenote::mux::{Call, CallError, Mux, Permit, Reserve};
use tower::Service;
use tower::load::Load;

/// A [`Mux`] as a tower service. Clones share the connection. Calls of one handle are sent in the order of their first
/// polls, those of clones in any order.
///
/// `poll_ready` takes a turn, in arrival order, and keeps it for the next `call`: a service that is ready can
/// be called without waiting. The turn is this handle's alone: a clone begins without one, and a handle that is
/// dropped, or finds its connection closed, gives it back. Who polls a service to readiness and then lets
/// it lie keeps others from calling; tower's `Buffer` and `Balance` do not.
///
/// Its [`Load`] is the number of calls that are pending or wait for their turn.
#[derive(Debug)]
pub struct Client<Req, Resp> {
    mux: Mux<Req, Resp>,
    turn: Turn<Req, Resp>,
}

enum Turn<Req, Resp> {
    None,
    Awaited(Reserve<Req, Resp>),
    Taken(Permit<Req, Resp>),
}

impl<Req, Resp> std::fmt::Debug for Turn<Req, Resp> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Awaited(_) => "awaited",
            Self::Taken(_) => "taken",
        })
    }
}

impl<Req, Resp> Client<Req, Resp> {
    /// A service that calls through `mux`.
    pub fn new(mux: Mux<Req, Resp>) -> Self {
        Self {
            mux,
            turn: Turn::None,
        }
    }

    /// The connection.
    pub fn mux(&self) -> &Mux<Req, Resp> {
        &self.mux
    }
}

impl<Req, Resp> Clone for Client<Req, Resp> {
    fn clone(&self) -> Self {
        Self::new(self.mux.clone())
    }
}

impl<Req: 'static, Resp: 'static> Service<Req> for Client<Req, Resp> {
    type Response = Resp;
    type Error = CallError;
    type Future = Call<'static, Req, Resp>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        loop {
            match &mut self.turn {
                Turn::Taken(_) if self.mux.is_open() => return Poll::Ready(Ok(())),
                // The next attempt says why it is closed.
                Turn::Taken(_) => self.turn = Turn::None,
                Turn::None => self.turn = Turn::Awaited(self.mux.reserve()),
                Turn::Awaited(reserve) => {
                    let taken = ready!(Pin::new(reserve).poll(cx));
                    self.turn = Turn::None;
                    self.turn = Turn::Taken(taken?);
                }
            }
        }
    }

    /// # Panics
    /// If it was not ready: `poll_ready` comes first, as for any service.
    fn call(&mut self, request: Req) -> Self::Future {
        match std::mem::replace(&mut self.turn, Turn::None) {
            Turn::Taken(permit) => permit.call(request),
            Turn::None | Turn::Awaited(_) => panic!("poll_ready comes before call"),
        }
    }
}

impl<Req, Resp> Load for Client<Req, Resp> {
    type Metric = usize;

    fn load(&self) -> usize {
        self.mux.load()
    }
}
