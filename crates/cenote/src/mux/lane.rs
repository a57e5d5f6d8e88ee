//! Where callers put what is to be written: a few lanes, so that threads seldom wait for one another. A thread has
//! one of them; two share one where there are more threads than lanes.
//!
//! A lane holds a clone of the codec's encoder, the frames that were encoded since the lane was last taken, and a cache
//! of free tags. The holder of the write half's lock takes the frames of all lanes.
//!
//! ## Order
//! Requests made on one handle are written in the order of their first polls, though its caller moves from thread
//! to thread. The handle's [`HandleOrder`] says in which lane its last request was put and how often that lane had been
//! taken by then. If it has not been taken since, the next request goes into the same lane, behind the last; if it has,
//! the next request's lane is taken, and so written, after it.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic;

use bytes::BytesMut;

use super::codec::Encode;
use super::settings::MAX_ENCODERS;
use super::tags::Tags;
use crate::error::BoxError;
use crate::permit_cache::{PermitCache, ration};
use crate::rt::calling;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, lock, own_shard};

/// A handle knows its lane in so many bits.
const LANE_BITS: u32 = 8;
const _: () = assert!(MAX_ENCODERS < 1 << LANE_BITS);

/// A buffer that grew beyond this is not kept.
const MAX_KEPT: usize = 1 << 20;

pub(super) struct Lanes<Req> {
    lanes: Box<[PaddedLane<Req>]>,
    /// For replies in order: the indices of the requests that were taken, in the order of their frames. Its lock is
    /// taken under a lane's; none is taken under it.
    written: Option<Mutex<VecDeque<u32>>>,
    /// Bytes of messages without a reply that have not been taken. Counted up and down under the locks of lanes.
    one_way: AtomicUsize,
}

/// In cache lines of its own.
#[repr(align(128))]
struct PaddedLane<Req> {
    /// How often the lane was taken with something in it. Changed under the lane's lock. A reader goes by it to another
    /// lane: its `Acquire` pairs with the `Release` of the taking, so that the frame put there is taken later.
    taken: AtomicU64,
    /// How many tags are cached, to be read without the lock; written under it. Only a number: it needs no order, and
    /// the models need not look at it.
    cached: atomic::AtomicUsize,
    lane: Mutex<Lane<Req>>,
}

/// A lane that is locked.
pub(super) struct LockedLane<'a, Req> {
    cached: &'a atomic::AtomicUsize,
    lane: MutexGuard<'a, Lane<Req>>,
}

impl<Req> Deref for LockedLane<'_, Req> {
    type Target = Lane<Req>;

    fn deref(&self) -> &Lane<Req> {
        &self.lane
    }
}

impl<Req> DerefMut for LockedLane<'_, Req> {
    fn deref_mut(&mut self) -> &mut Lane<Req> {
        &mut self.lane
    }
}

impl<Req> Drop for LockedLane<'_, Req> {
    fn drop(&mut self) {
        let tags = self.lane.cache.len();
        self.cached.store(tags, Ordering::Relaxed);
    }
}

impl<Req> PaddedLane<Req> {
    fn lock(&self) -> LockedLane<'_, Req> {
        LockedLane {
            cached: &self.cached,
            lane: lock(&self.lane),
        }
    }
}

pub(super) struct Lane<Req> {
    encode: Encode<Req>,
    buffer: BytesMut,
    /// The indices of the requests in `buffer`, where replies come in order.
    indices: Option<Vec<u32>>,
    frames: usize,
    /// Those that are to have a reply.
    calls: usize,
    /// Bytes in `buffer` of messages without a reply.
    one_way: usize,
    /// Free tags, for its callers to use without the admission's lock. Caches are frozen while a caller waits for a tag,
    /// while tags are withheld, and when no new calls are taken.
    pub(super) cache: PermitCache<u32>,
}

/// What was taken from all lanes.
#[derive(Default)]
pub(super) struct Taken {
    /// Frames that are to have a reply.
    pub(super) calls: usize,
    /// There is room again for messages without a reply.
    pub(super) made_room: bool,
}

/// Of one handle: the lane of its last request, and how often that had been taken then.
pub(super) struct HandleOrder(AtomicU64);

/// Why a message was not appended.
pub(super) enum EncodeFailure {
    Refused(BoxError),
    /// Also when the encoder truncated the buffer: other callers' frames are lost, as after a panic.
    Panicked,
}

impl HandleOrder {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Clone for HandleOrder {
    /// What follows on the new handle comes after what was before on this one.
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Acquire)))
    }
}

impl<Req> Lanes<Req> {
    pub(super) fn new(encoders: Vec<Encode<Req>>, in_order: bool) -> Self {
        let lane = |encode| PaddedLane {
            taken: AtomicU64::new(0),
            cached: atomic::AtomicUsize::new(0),
            lane: Mutex::new(Lane {
                encode,
                buffer: BytesMut::new(),
                indices: in_order.then(Vec::new),
                frames: 0,
                calls: 0,
                one_way: 0,
                cache: PermitCache::new(usize::MAX),
            }),
        };
        Self {
            lanes: encoders.into_iter().map(lane).collect(),
            written: in_order.then(|| Mutex::new(VecDeque::new())),
            one_way: AtomicUsize::new(0),
        }
    }

    /// This thread's lane.
    pub(super) fn of_thread(&self) -> LockedLane<'_, Req> {
        self.lanes[own_shard(self.lanes.len())].lock()
    }

    /// The lane for the next request of the handle with this order.
    pub(super) fn lane_for(&self, order: &HandleOrder) -> LockedLane<'_, Req> {
        if let [only] = &*self.lanes {
            return only.lock();
        }
        let own = own_shard(self.lanes.len());
        loop {
            let last = order.0.load(Ordering::Acquire);
            let lane = last as usize % (1 << LANE_BITS);
            let is_untaken =
                |at: &PaddedLane<Req>| at.taken.load(Ordering::Acquire) == last >> LANE_BITS;
            let at = match self.lanes.get(lane) {
                Some(other) if lane != own && is_untaken(other) => lane,
                _ => own,
            };
            let locked = self.lanes[at].lock();
            // It changes only under the lock.
            let taken = self.lanes[at].taken.load(Ordering::Relaxed);
            let next = (taken << LANE_BITS) | at as u64;
            // Where two threads use one handle, the later of the two looks again.
            if next == last
                || (order.0)
                    .compare_exchange(last, next, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                return locked;
            }
        }
    }

    /// Takes all frames away and puts them behind those in `into`, by way of `spare`, which is empty before and
    /// after. There was no room for messages without a reply where they had come to `max_one_way` bytes.
    ///
    /// One at a time: the write half's lock is held.
    pub(super) fn take(
        &self,
        into: &mut BytesMut,
        spare: &mut BytesMut,
        max_one_way: usize,
    ) -> Taken {
        let mut all = Taken::default();
        for PaddedLane { taken, lane, .. } in &self.lanes {
            let mut lane = lock(lane);
            if lane.frames == 0 {
                continue;
            }
            mem::swap(&mut lane.buffer, spare);
            lane.frames = 0;
            all.calls += mem::take(&mut lane.calls);
            let one_way = mem::take(&mut lane.one_way);
            if one_way > 0 {
                let before = self.one_way.fetch_sub(one_way, Ordering::Relaxed);
                all.made_room |= before >= max_one_way && before - one_way < max_one_way;
            }
            if let (Some(written), Some(indices)) = (&self.written, &mut lane.indices) {
                lock(written).extend(indices.drain(..));
            }
            let times = taken.load(Ordering::Relaxed) + 1;
            taken.store(times, Ordering::Release);
            drop(lane);
            if into.is_empty() {
                mem::swap(into, spare);
            } else {
                into.extend_from_slice(spare);
                clear_buffer(spare);
            }
        }
        all
    }

    /// Whether fewer bytes of messages without a reply than `max` wait to be taken.
    pub(super) fn has_one_way_room(&self, max: usize) -> bool {
        self.one_way.load(Ordering::Relaxed) < max
    }

    /// Whether there is nothing to take.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes
            .iter()
            .all(|PaddedLane { lane, .. }| lock(lane).frames == 0)
    }

    /// Where replies come in order: puts the indices of the requests taken since into `next`, which is empty.
    pub(super) fn take_written(&self, next: &mut VecDeque<u32>) {
        debug_assert!(next.is_empty());
        if let Some(written) = &self.written {
            mem::swap(&mut *lock(written), next);
        }
    }

    /// Appends a message without a reply to a lane of these; gives it back where as many bytes of such messages
    /// as `max` or more wait to be taken. As many lanes as there are may find so at once.
    pub(super) fn append_one_way(
        &self,
        lane: &mut Lane<Req>,
        message: Req,
        max: usize,
    ) -> Result<Result<(), EncodeFailure>, Req> {
        if !self.has_one_way_room(max) {
            return Err(message);
        }
        let before = lane.buffer.len();
        let appended = lane.append(None, message);
        let bytes = lane.buffer.len().saturating_sub(before);
        lane.one_way += bytes;
        self.one_way.fetch_add(bytes, Ordering::Relaxed);
        Ok(appended)
    }

    /// Freezes all tag caches and takes their tags. A call that begins after that goes through the admission; on return
    /// no call is still beginning through a lane, for each lane's lock was taken.
    pub(super) fn freeze(&self) -> Vec<u32> {
        let mut tags = Vec::new();
        for lane in &self.lanes {
            lane.lock().cache.freeze(&mut tags);
        }
        tags
    }

    pub(super) fn thaw(&self) {
        for PaddedLane { lane, .. } in &self.lanes {
            lock(lane).cache.allow(usize::MAX);
        }
    }

    /// How many tags are cached; nearly so while calls begin and end.
    pub(super) fn cached(&self) -> usize {
        let cached = self.lanes.iter().map(|lane| &lane.cached);
        cached.map(|tags| tags.load(Ordering::Relaxed)).sum()
    }

    /// How many tags to put into a cache when `free` are left: the fewer there are, the fewer lie unused in other
    /// lanes.
    pub(super) fn refill_size(&self, free: usize) -> usize {
        ration(free, self.lanes.len())
    }

    /// Puts some tags into the cache of a lane of these. The admission's lock is held.
    pub(super) fn refill(&self, lane: &mut Lane<Req>, tags: &mut Tags) {
        let size = self.refill_size(tags.free());
        lane.cache.refill((0..size).map_while(|_| tags.take()));
    }
}

impl<Req> Lane<Req> {
    /// Appends a request with this tag and this index in the pending table.
    pub(super) fn append_call(
        &mut self,
        tag: u32,
        index: u32,
        request: Req,
    ) -> Result<(), EncodeFailure> {
        self.append(Some(tag), request)?;
        self.calls += 1;
        if let Some(indices) = &mut self.indices {
            indices.push(index);
        }
        Ok(())
    }

    fn append(&mut self, tag: Option<u32>, message: Req) -> Result<(), EncodeFailure> {
        let from = self.buffer.len();
        let encoded = calling(|| (self.encode)(tag, message, &mut self.buffer));
        if self.buffer.len() < from {
            // It took other frames away, whose callers wait: as bad as a panic.
            return Err(EncodeFailure::Panicked);
        }
        if !matches!(encoded, Ok(Ok(()))) {
            // No half frame is ever sent.
            self.buffer.truncate(from);
        }
        encoded
            .map_err(|_| EncodeFailure::Panicked)?
            .map_err(EncodeFailure::Refused)?;
        self.frames += 1;
        Ok(())
    }
}

/// Empties a buffer, and keeps its memory unless that is much.
pub(super) fn clear_buffer(buffer: &mut BytesMut) {
    if buffer.capacity() > MAX_KEPT {
        *buffer = BytesMut::new();
    } else {
        buffer.clear();
    }
}
