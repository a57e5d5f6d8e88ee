//! Whether and when a call may begin: the connection's phase, the tags that no lane caches, and the queue for them.
//! Behind one lock, the slow path beside the lanes' caches.

use super::error::{CallError, Disconnected, Sent};
use super::lane::{Lanes, LockedLane};
use super::silence::GiveUps;
use super::tags::Tags;

pub(super) struct Admission {
    pub(super) phase: Phase,
    pub(super) tags: Tags,
    /// Whether the lanes' tag caches are frozen, so that all tags are here. They are while a caller waits for one,
    /// while tags are withheld, and in every phase but `Open`.
    is_frozen: bool,
    /// A ping is without a reply. Its index is the one after those of `tags`, so that it never waits for one.
    pub(super) is_ping_pending: bool,
    /// The callers that gave up since the peer's last byte.
    pub(super) give_ups: GiveUps,
}

pub(super) enum Phase {
    Open,
    /// No new calls; the connection ends when the pending ones have, for this reason.
    Draining(Disconnected),
    Ended(Disconnected),
}

impl Admission {
    pub(super) fn new(tags: Tags) -> Self {
        Self {
            phase: Phase::Open,
            tags,
            is_frozen: false,
            is_ping_pending: false,
            give_ups: GiveUps::default(),
        }
    }

    /// Whether a new call may begin.
    pub(super) fn admits_new(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Draining(cause) | Phase::Ended(cause) => Err(CallError::Disconnected {
                cause: cause.clone(),
                sent: Sent::No,
            }),
        }
    }

    /// Whether a call that queued before may go on.
    pub(super) fn admits_queued(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open | Phase::Draining(_) => Ok(()),
            Phase::Ended(_) => self.admits_new(),
        }
    }

    /// A free tag, wherever it is, with more of them for the cache of the caller's lane. None: the caches are frozen,
    /// and the caller may wait.
    pub(super) fn take_tag<'a, Req: 'a>(
        &mut self,
        lanes: &Lanes<Req>,
        lane: impl FnOnce() -> LockedLane<'a, Req>,
    ) -> Option<u32> {
        if let Some(index) = self.tags.take() {
            if !self.is_frozen {
                lanes.refill(&mut lane(), &mut self.tags);
            }
            return Some(index);
        }
        if self.is_frozen {
            return None;
        }
        self.freeze(lanes);
        self.tags.take()
    }

    /// Moves every cached tag here. On return no call is still beginning through a lane: each lane's lock was taken
    /// after its cache was frozen.
    pub(super) fn freeze<Req>(&mut self, lanes: &Lanes<Req>) {
        if !self.is_frozen {
            self.is_frozen = true;
            self.tags.put_back(lanes.freeze());
        }
    }

    /// Lets lanes cache tags again, if no caller waits for one and there are enough.
    pub(super) fn thaw<Req>(&mut self, lanes: &Lanes<Req>) {
        if self.is_frozen
            && matches!(self.phase, Phase::Open)
            && !self.tags.are_withheld()
            && self.tags.waiting() == 0
            && lanes.refill_size(self.tags.free()) > 0
        {
            self.is_frozen = false;
            lanes.thaw();
        }
    }

    /// Whether no caller waits for a tag or a reply. Exact in every phase but `Open`.
    pub(super) fn is_idle(&self) -> bool {
        self.tags.taken() == self.tags.abandoned() && self.tags.waiting() == 0
    }

    /// Whether a drain has nothing left to wait for here.
    pub(super) fn has_drained(&self) -> bool {
        matches!(self.phase, Phase::Draining(_)) && self.is_idle()
    }
}
