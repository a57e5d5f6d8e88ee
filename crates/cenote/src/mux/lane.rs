//! Where callers put what is to be written: a few lanes, so that threads seldom wait for one another. A thread has
//! one of them; two share one where there are more threads than lanes.
//!
//! A lane holds a clone of the codec's encoder, the frames that it has made since the lane was last taken, and a
//! stock of free tags. The holder of the writer's lock takes what all lanes hold.
//!
//! ## Order
//! Requests made on one handle are written in the order of their first polls, though its caller moves from thread
//! to thread. The handle's [`Order`] says in which lane its last request was put and how often that lane had been
//! taken by then. Unless it has been taken since, the next request goes into the same lane, behind it; if it has,
//! the other is taken, and so written, after it.

use std::collections::VecDeque;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicUsize as Tally;

use bytes::BytesMut;

use super::codec::Encode;
use super::settings::MAX_ENCODERS;
use super::tags::Tags;
use crate::error::BoxError;
use crate::rt::calling;
use crate::sync::{AtomicU64, AtomicUsize, Mutex, MutexGuard, Ordering, lock, thread_number};

/// A handle knows its lane in so many bits.
const LANE_BITS: u32 = 8;
const _: () = assert!(MAX_ENCODERS < 1 << LANE_BITS);

/// A buffer that grew beyond this is not kept.
const KEEP: usize = 1 << 20;

/// At most so many tags go into a lane's stock at once.
const RESTOCK: usize = 32;

pub(super) struct Lanes<Req> {
    lanes: Box<[Padded<Req>]>,
    /// For replies in order: the cells of the requests that were taken, in the order of their frames. Its lock is
    /// taken under a lane's; none is taken under it.
    order: Option<Mutex<VecDeque<u32>>>,
    /// Bytes of messages without a reply that have not been taken. Counted up and down under the locks of lanes.
    one_way: AtomicUsize,
}

/// In cache lines of its own.
#[repr(align(128))]
struct Padded<Req> {
    /// How often the lane was taken with something in it. Changed under the lane's lock. Its readers go by it to
    /// another lane, so that its release orders that lane's frame behind those that were taken.
    taken: AtomicU64,
    /// How many tags are in stock, to be read without the lock; written under it. Only a number: it needs no order, and
    /// the models need not look at it.
    stocked: Tally,
    lane: Mutex<Lane<Req>>,
}

/// A lane that is locked.
pub(super) struct Held<'a, Req> {
    stocked: &'a Tally,
    lane: MutexGuard<'a, Lane<Req>>,
}

impl<Req> Deref for Held<'_, Req> {
    type Target = Lane<Req>;

    fn deref(&self) -> &Lane<Req> {
        &self.lane
    }
}

impl<Req> DerefMut for Held<'_, Req> {
    fn deref_mut(&mut self) -> &mut Lane<Req> {
        &mut self.lane
    }
}

impl<Req> Drop for Held<'_, Req> {
    fn drop(&mut self) {
        let tags = self.lane.stock.tags.len();
        self.stocked.store(tags, Ordering::Relaxed);
    }
}

impl<Req> Padded<Req> {
    fn hold(&self) -> Held<'_, Req> {
        Held {
            stocked: &self.stocked,
            lane: lock(&self.lane),
        }
    }
}

pub(super) struct Lane<Req> {
    encode: Encode<Req>,
    buffer: BytesMut,
    /// The cells of the frames in `buffer`, where replies come in order.
    cells: Option<Vec<u32>>,
    frames: usize,
    /// Those that are to have a reply.
    calls: usize,
    /// Bytes in `buffer` of messages without a reply.
    one_way: usize,
    pub(super) stock: Stock,
}

/// Tags that are free, for the lane's callers to use without going to the desk.
///
/// Invariant: shut, it is empty, and all tags go by the desk. It is shut while anyone waits for a tag, and when no
/// new calls are taken.
pub(super) struct Stock {
    tags: Vec<u32>,
    is_shut: bool,
}

/// Of one handle: the lane of its last request, and how often that had been taken then.
pub(super) struct Order(AtomicU64);

/// Why a message was not appended.
pub(super) enum Unencoded {
    Refused(BoxError),
    /// Or it took away what others had appended.
    Panicked,
}

impl Order {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Clone for Order {
    /// What follows on the new handle comes after what was before on this one.
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Acquire)))
    }
}

impl<Req> Lanes<Req> {
    pub(super) fn new(encoders: Vec<Encode<Req>>, in_order: bool) -> Self {
        let lane = |encode| Padded {
            taken: AtomicU64::new(0),
            stocked: Tally::new(0),
            lane: Mutex::new(Lane {
                encode,
                buffer: BytesMut::new(),
                cells: in_order.then(Vec::new),
                frames: 0,
                calls: 0,
                one_way: 0,
                stock: Stock {
                    tags: Vec::new(),
                    is_shut: false,
                },
            }),
        };
        Self {
            lanes: encoders.into_iter().map(lane).collect(),
            order: in_order.then(|| Mutex::new(VecDeque::new())),
            one_way: AtomicUsize::new(0),
        }
    }

    fn mine(&self) -> usize {
        // In 32 bits, of which a remainder takes less time.
        (thread_number() as u32 % self.lanes.len() as u32) as usize
    }

    /// This thread's lane.
    pub(super) fn of_thread(&self) -> Held<'_, Req> {
        self.lanes[self.mine()].hold()
    }

    /// The lane for the next request of the handle with this order.
    pub(super) fn lane_for(&self, order: &Order) -> Held<'_, Req> {
        if let [only] = &*self.lanes {
            return only.hold();
        }
        let mine = self.mine();
        loop {
            let last = order.0.load(Ordering::Acquire);
            let lane = last as usize % (1 << LANE_BITS);
            let is_untaken =
                |at: &Padded<Req>| at.taken.load(Ordering::Acquire) == last >> LANE_BITS;
            let at = match self.lanes.get(lane) {
                Some(other) if lane != mine && is_untaken(other) => lane,
                _ => mine,
            };
            let held = self.lanes[at].hold();
            // It changes only under the lock.
            let taken = self.lanes[at].taken.load(Ordering::Relaxed);
            let next = (taken << LANE_BITS) | at as u64;
            // Where two threads use one handle, the later of the two looks again.
            if next == last
                || (order.0)
                    .compare_exchange(last, next, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
            {
                return held;
            }
        }
    }

    /// Takes all frames away and puts them behind those in `into`, by way of `spare`, which is empty before and
    /// after. How many are to have a reply.
    ///
    /// One at a time: the writer's lock is held.
    pub(super) fn take(&self, into: &mut BytesMut, spare: &mut BytesMut) -> usize {
        let mut calls = 0;
        for Padded { taken, lane, .. } in &self.lanes {
            let mut lane = lock(lane);
            if lane.frames == 0 {
                continue;
            }
            mem::swap(&mut lane.buffer, spare);
            lane.frames = 0;
            calls += mem::take(&mut lane.calls);
            let one_way = mem::take(&mut lane.one_way);
            if one_way > 0 {
                self.one_way.fetch_sub(one_way, Ordering::Relaxed);
            }
            if let (Some(order), Some(cells)) = (&self.order, &mut lane.cells) {
                lock(order).extend(cells.drain(..));
            }
            let times = taken.load(Ordering::Relaxed) + 1;
            taken.store(times, Ordering::Release);
            drop(lane);
            if into.is_empty() {
                mem::swap(into, spare);
            } else {
                into.extend_from_slice(spare);
                empty(spare);
            }
        }
        calls
    }

    /// Whether there is nothing to take.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes
            .iter()
            .all(|Padded { lane, .. }| lock(lane).frames == 0)
    }

    /// Where replies come in order: puts the cells of the requests taken since into `next`, which is empty.
    pub(super) fn written_in_order(&self, next: &mut VecDeque<u32>) {
        debug_assert!(next.is_empty());
        if let Some(order) = &self.order {
            mem::swap(&mut *lock(order), next);
        }
    }

    /// Appends a message without a reply to a lane of these; gives it back where as many bytes of such messages
    /// as `max` or more wait to be taken. As many lanes as there are may find so at once.
    pub(super) fn append_one_way(
        &self,
        lane: &mut Lane<Req>,
        message: Req,
        max: usize,
    ) -> Result<Result<(), Unencoded>, Req> {
        if self.one_way.load(Ordering::Relaxed) >= max {
            return Err(message);
        }
        let before = lane.buffer.len();
        let appended = lane.append(None, message);
        let bytes = lane.buffer.len().saturating_sub(before);
        lane.one_way += bytes;
        self.one_way.fetch_add(bytes, Ordering::Relaxed);
        Ok(appended)
    }

    /// Shuts all stocks and takes what was in them. A call that begins after that goes by the desk; on return no call
    /// is still beginning through a lane, for each lane's lock was taken.
    pub(super) fn shut(&self) -> Vec<u32> {
        let mut tags = Vec::new();
        for lane in &self.lanes {
            let stock = &mut lane.hold().stock;
            stock.is_shut = true;
            tags.append(&mut stock.tags);
        }
        tags
    }

    pub(super) fn open(&self) {
        for Padded { lane, .. } in &self.lanes {
            lock(lane).stock.is_shut = false;
        }
    }

    /// How many tags are in stock; nearly so while calls begin and end.
    pub(super) fn stocked(&self) -> usize {
        let stocked = self.lanes.iter().map(|lane| &lane.stocked);
        stocked.map(|tags| tags.load(Ordering::Relaxed)).sum()
    }

    /// How many tags to put into a stock when `free` are left: the fewer there are, the fewer lie about.
    pub(super) fn ration(&self, free: usize) -> usize {
        (free / (2 * self.lanes.len())).min(RESTOCK)
    }

    /// Puts some tags into a stock of these. The desk's lock is held.
    pub(super) fn restock(&self, lane: &mut Lane<Req>, tags: &mut Tags) {
        let ration = self.ration(tags.free());
        lane.stock
            .tags
            .extend((0..ration).map_while(|_| tags.take()));
    }
}

impl<Req> Lane<Req> {
    /// Appends a request: its tag and its cell.
    pub(super) fn append_call(
        &mut self,
        tag: u32,
        cell: u32,
        request: Req,
    ) -> Result<(), Unencoded> {
        self.append(Some(tag), request)?;
        self.calls += 1;
        if let Some(cells) = &mut self.cells {
            cells.push(cell);
        }
        Ok(())
    }

    fn append(&mut self, tag: Option<u32>, message: Req) -> Result<(), Unencoded> {
        let from = self.buffer.len();
        let encoded = calling(|| (self.encode)(tag, message, &mut self.buffer));
        if self.buffer.len() < from {
            // It took other frames away, whose callers wait: as bad as a panic.
            return Err(Unencoded::Panicked);
        }
        if !matches!(encoded, Ok(Ok(()))) {
            // No half frame is ever sent.
            self.buffer.truncate(from);
        }
        encoded
            .map_err(|_| Unencoded::Panicked)?
            .map_err(Unencoded::Refused)?;
        self.frames += 1;
        Ok(())
    }
}

/// Empties a buffer, and keeps its memory unless that is much.
pub(super) fn empty(buffer: &mut BytesMut) {
    if buffer.capacity() > KEEP {
        *buffer = BytesMut::new();
    } else {
        buffer.clear();
    }
}

impl Stock {
    /// A free tag, if there is one.
    pub(super) fn take(&mut self) -> Option<u32> {
        self.tags.pop()
    }

    /// Whether new calls are taken and nobody waits.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut
    }

    /// Puts a free tag in, to be used next, since its cell is warm; or not, if it is shut.
    #[must_use = "if it is shut, the tag goes to the desk"]
    pub(super) fn put(&mut self, tag: u32) -> Result<(), Shut> {
        if self.is_shut {
            return Err(Shut);
        }
        self.tags.push(tag);
        Ok(())
    }
}

/// The stock takes nothing.
pub(super) struct Shut;
