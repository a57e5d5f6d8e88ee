//! What callers go to when a lane does not serve them: the phase, the tags that are in no lane's stock, and the
//! queue for them.

use super::error::{CallError, Disconnected, Sent};
use super::lane::{Held, Lanes};
use super::silence::Row;
use super::tags::Tags;

pub(super) struct Desk {
    pub(super) phase: Phase,
    pub(super) tags: Tags,
    /// Whether the lanes' stocks are shut, so that all tags are here. They are while anyone waits for one, while none
    /// is given, and in every phase but `Open`.
    is_shut: bool,
    /// A ping is without a reply. Its cell is the one after those of `tags`, so that it never waits for one.
    pub(super) pinged: bool,
    /// The callers that gave up since the peer's last byte.
    pub(super) row: Row,
}

pub(super) enum Phase {
    Open,
    /// No new calls; it ends when the pending ones have, for this reason.
    Draining(Disconnected),
    Ended(Disconnected),
}

impl Desk {
    pub(super) fn new(tags: Tags) -> Self {
        Self {
            phase: Phase::Open,
            tags,
            is_shut: false,
            pinged: false,
            row: Row::default(),
        }
    }

    /// Whether a new call may begin.
    pub(super) fn accepts(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Draining(cause) | Phase::Ended(cause) => Err(CallError::Disconnected {
                cause: cause.clone(),
                sent: Sent::No,
            }),
        }
    }

    /// Whether a call that queued before may go on.
    pub(super) fn still_serves(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open | Phase::Draining(_) => Ok(()),
            Phase::Ended(_) => self.accepts(),
        }
    }

    /// A free tag, wherever it is, with more of them for the stock of the caller's lane. None: the stocks are shut, and
    /// one may wait.
    pub(super) fn take<'a, Req: 'a>(
        &mut self,
        lanes: &Lanes<Req>,
        lane: impl FnOnce() -> Held<'a, Req>,
    ) -> Option<u32> {
        if let Some(index) = self.tags.take() {
            if !self.is_shut {
                lanes.restock(&mut lane(), &mut self.tags);
            }
            return Some(index);
        }
        if self.is_shut {
            return None;
        }
        self.shut(lanes);
        self.tags.take()
    }

    /// All tags come here. Nobody is in the middle of a call's beginning any more that went by a lane.
    pub(super) fn shut<Req>(&mut self, lanes: &Lanes<Req>) {
        if !self.is_shut {
            self.is_shut = true;
            self.tags.put_back(lanes.shut());
        }
    }

    /// Tags may lie in stock again, if nobody waits for them and there are enough.
    pub(super) fn reopen<Req>(&mut self, lanes: &Lanes<Req>) {
        if self.is_shut
            && matches!(self.phase, Phase::Open)
            && !self.tags.are_withheld()
            && self.tags.waiting() == 0
            && lanes.ration(self.tags.free()) > 0
        {
            self.is_shut = false;
            lanes.open();
        }
    }

    /// Whether nobody waits for anything any more. Exact in every phase but `Open`.
    pub(super) fn is_quiet(&self) -> bool {
        self.tags.taken() == self.tags.abandoned() && self.tags.waiting() == 0
    }

    /// Whether this is what a drain waited for.
    pub(super) fn has_drained(&self) -> bool {
        matches!(self.phase, Phase::Draining(_)) && self.is_quiet()
    }
}
