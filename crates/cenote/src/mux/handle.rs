//! A connection's handle, and how the futures made on it hold it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::error::Disconnected;
use super::lane::HandleOrder;

/// One connection that many callers share; a [`MuxBuilder`](super::MuxBuilder) makes one. Cheap to clone; when the
/// last clone is dropped, the connection is closed once its pending calls have ended.
pub struct Mux<Req, Resp> {
    pub(super) engine: Arc<Engine<Req, Resp>>,
    /// Where this handle's last request was put.
    pub(super) order: Arc<HandleOrder>,
}

impl<Req, Resp> Mux<Req, Resp> {
    pub(super) fn new(engine: Engine<Req, Resp>) -> Self {
        Self {
            engine: Arc::new(engine),
            order: Arc::new(HandleOrder::new()),
        }
    }

    /// The same handle, for a future that is to own it.
    pub(super) fn same(&self) -> Self {
        self.engine.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            engine: Arc::clone(&self.engine),
            order: Arc::clone(&self.order),
        }
    }

    /// Whether it takes new calls: it has not ended, is not being closed and its peer answers.
    pub fn is_open(&self) -> bool {
        self.engine.is_open()
    }

    /// How many requests have no reply yet, those whose callers have left included; nearly so while calls begin and
    /// end.
    pub fn in_flight(&self) -> usize {
        self.engine.in_flight()
    }

    /// Of the requests without a reply, how many whose callers have left.
    pub fn abandoned(&self) -> usize {
        self.engine.abandoned()
    }

    /// How many calls wait for their turn.
    pub fn queued(&self) -> usize {
        self.engine.admission().tags.waiting()
    }

    /// How busy it is: its pending requests and the calls that wait for their turn. Nearly so while calls begin and
    /// end, and cheap enough for every call, as where connections are balanced by load.
    pub fn load(&self) -> usize {
        let (pending, queued) = self.engine.pending_and_queued();
        pending + queued
    }

    /// How many requests may be pending at once.
    pub fn max_in_flight(&self) -> usize {
        self.engine.settings.max_in_flight
    }

    /// Whether [`send`](Self::send) would not wait: fewer than `max_buffered` bytes of messages without a reply are to be
    /// written.
    pub fn has_room(&self) -> bool {
        let engine = &self.engine;
        engine.lanes.has_one_way_room(engine.settings.max_buffered)
    }

    /// How many leases of a [`SharedPool`](crate::SharedPool) it can carry as of now, for
    /// [`Multiplex::capacity`](crate::Multiplex::capacity): as many as requests may be pending, but for those whose
    /// callers have left; and none while the peer owes the answer to a ping for more than a quarter of
    /// [`ping_timeout`](super::MuxBuilder::ping_timeout). Such a peer either speaks again or the connection ends; until
    /// then the pool sends nobody new to it.
    pub fn capacity(&self) -> usize {
        if self.engine.activity.is_suspect() {
            return 0;
        }
        self.max_in_flight().saturating_sub(self.abandoned())
    }
}

impl<Req, Resp> Clone for Mux<Req, Resp> {
    fn clone(&self) -> Self {
        self.engine.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            engine: Arc::clone(&self.engine),
            order: Arc::new(HandleOrder::clone(&self.order)),
        }
    }
}

impl<Req, Resp> Drop for Mux<Req, Resp> {
    fn drop(&mut self) {
        // A handle is cloned from a handle, so that nothing can follow the last.
        if self.engine.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.engine
                .drain(self.engine.admission(), Disconnected::Closed);
        }
    }
}

impl<Req, Resp> fmt::Debug for Mux<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mux")
            .field("is_open", &self.is_open())
            .field("in_flight", &self.in_flight())
            .field("queued", &self.queued())
            .finish_non_exhaustive()
    }
}

/// The handle that a future was made on.
pub(super) enum MuxRef<'a, Req, Resp> {
    Borrowed(&'a Mux<Req, Resp>),
    Owned(Mux<Req, Resp>),
}

impl<Req, Resp> MuxRef<'_, Req, Resp> {
    pub(super) fn mux(&self) -> &Mux<Req, Resp> {
        match self {
            Self::Borrowed(mux) => mux,
            Self::Owned(mux) => mux,
        }
    }

    pub(super) fn engine(&self) -> &Engine<Req, Resp> {
        &self.mux().engine
    }

    /// The same handle without a tie to the borrowed one.
    pub(super) fn to_owned(&self) -> MuxRef<'static, Req, Resp> {
        MuxRef::Owned(self.mux().same())
    }
}
