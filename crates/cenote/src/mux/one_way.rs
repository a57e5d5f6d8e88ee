//! A connector for one-way pools: a mux carries messages without a reply for as long as it has room for them.

use std::fmt;

use super::connect::{MuxConnect, MuxConnectError};
use super::error::CallError;
use super::handle::Mux;
use super::submit::Unsent;
use super::transport::Transport;
use crate::connect::{Connect, FailureKind, Multiplex, NotTaken, OneWay, Verdict};
use crate::dial::Dial;
use crate::report::{CloseReason, ConnectionInfo};

/// More leases than are held at once, each for as long as handing a message over takes: a connection with room is never
/// taken for a busy one.
const LEASES: usize = 1 << 16;

/// A connector whose connections are muxes for messages without a reply; [`MuxConnect::one_way`] makes one, and
/// [`OneWayPool`](crate::one_way::OneWayPool) has an example.
///
/// A connection has room while fewer than [`max_buffered`](super::MuxBuilder::max_buffered) bytes wait to be written, and
/// its peer does not owe the answer to a ping for long. A peer need never say anything; what it says without being asked is
/// an error, which ends the connection.
pub struct OneWayMux<T: Transport, Req, Resp> {
    connect: MuxConnect<T, Req, Resp>,
}

impl<T: Transport, Req, Resp> OneWayMux<T, Req, Resp> {
    pub(super) fn new(connect: MuxConnect<T, Req, Resp>) -> Self {
        Self { connect }
    }
}

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> Connect for OneWayMux<T, Req, Resp> {
    type Connection = Mux<Req, Resp>;
    type Error = MuxConnectError<T::Error>;

    async fn connect(&self, dial: &Dial) -> Result<Mux<Req, Resp>, Self::Error> {
        self.connect.connect(dial).await
    }

    fn is_open(&self, mux: &Mux<Req, Resp>) -> bool {
        self.connect.is_open(mux)
    }

    fn verdict(&self, mux: &mut Mux<Req, Resp>) -> Verdict {
        self.connect.verdict(mux)
    }

    fn classify(&self, error: &Self::Error) -> FailureKind {
        self.connect.classify(error)
    }

    fn endpoint(&self) -> Option<String> {
        self.connect.endpoint()
    }

    fn leaving(&self, mux: &mut Mux<Req, Resp>, info: &ConnectionInfo, reason: CloseReason) {
        self.connect.leaving(mux, info, reason);
    }

    /// What was handed over is written first, within `drain_timeout`.
    async fn close(&self, mux: Mux<Req, Resp>, info: &ConnectionInfo) {
        self.connect.close(mux, info).await;
    }
}

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> Multiplex
    for OneWayMux<T, Req, Resp>
{
    fn capacity(&self, mux: &Mux<Req, Resp>) -> usize {
        match mux.has_room() && self.connect.capacity(mux) > 0 {
            true => LEASES,
            false => 0,
        }
    }
}

impl<T: Transport, Req: Send + 'static, Resp: Send + 'static> OneWay for OneWayMux<T, Req, Resp> {
    type Message = Req;

    fn hand_over(&self, mux: &Mux<Req, Resp>, message: Req) -> Result<(), NotTaken<Req>> {
        mux.engine
            .send(message, &mux.order)
            .map_err(|unsent| match unsent {
                Unsent::NoRoom(message) | Unsent::Ended(message, _) => NotTaken::Back(message),
                Unsent::NotEncoded(CallError::Encode(error)) => NotTaken::Refused(Box::new(error)),
                Unsent::NotEncoded(error) => NotTaken::Refused(error.into()),
            })
    }
}

impl<T: Transport, Req, Resp> fmt::Debug for OneWayMux<T, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OneWayMux").field(&self.connect).finish()
    }
}
