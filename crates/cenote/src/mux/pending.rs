//! The pending table: for each request without a reply, where its reply goes.
//!
//! A tag's index is the right to its entry in the table; from the request on the caller and the driver share the entry,
//! under the entry's own lock. A tag is in quarantine while its entry is `Abandoned`: its caller has left, its reply is
//! still to come.
//!
//! Promises: a reply reaches the request it answers or nobody; a caller whose waker is in an entry is woken when its
//! reply comes and when the connection ends.
//!
//! Lock order: admission, lane, entry. No user code runs under an entry's lock: replies are dropped, and wakers cloned,
//! dropped and woken, by the methods' callers.

use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, lock};
use crate::wake::release;

/// Entries are made in chunks, as more requests are pending at once than ever before.
#[cfg(not(cenote_loom))]
const CHUNK: usize = 64;
/// Each entry is a lock that the models explore.
#[cfg(cenote_loom)]
const CHUNK: usize = 2;

type Chunk<R> = Box<[Mutex<PendingCall<R>>]>;

pub(super) struct PendingTable<R> {
    chunks: Box<[OnceLock<Chunk<R>>]>,
    index_bits: u32,
    mask: u32,
}

/// An entry.
struct PendingCall<R> {
    /// How often the entry was occupied: the upper bits of its tags.
    uses: u32,
    state: CallState,
    /// The tick at which the call began: its lower half, which keeps the entry small.
    began: u32,
    /// The caller's, while it waits; none if the caller was woken, and has not looked since.
    waker: Option<Waker>,
    /// Set while the state is `Answered`.
    reply: Option<R>,
}

#[derive(Clone, Copy)]
enum CallState {
    Free,
    Waiting,
    Answered,
    /// The caller left; the reply is still to come.
    Abandoned,
    /// The connection ended first.
    Ended,
}

/// What became of a reply.
pub(super) enum Delivery<R> {
    /// Its caller has it, and is to be woken unless it is about to look anyway.
    ToCaller(Option<Waker>),
    /// Its caller has left: the tag is free, to be given back.
    ToNobody(u32, R),
    /// No pending request has this tag.
    Unknown,
}

/// What a caller that left leaves behind.
pub(super) enum Left<R> {
    /// The tag is free, to be given back; the reply was there, or will never come.
    Free(Option<R>),
    /// The entry is the driver's until the reply comes. With the caller's waker, to be dropped.
    Quarantined(Option<Waker>),
}

impl<R> PendingTable<R> {
    /// Room for `cap` pending requests, with tags of `tag_bits`.
    pub(super) fn new(cap: usize, tag_bits: u32) -> Self {
        let index_bits = usize::BITS - (cap - 1).leading_zeros();
        Self {
            chunks: (0..cap.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(),
            index_bits,
            mask: u32::MAX >> (32 - tag_bits.min(32)),
        }
    }

    fn entry(&self, index: u32) -> Option<&Mutex<PendingCall<R>>> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }

    /// The entry of a tag that was taken, so that it exists.
    fn locked(&self, index: u32) -> MutexGuard<'_, PendingCall<R>> {
        lock(self.entry(index).expect("the entry of a taken tag exists"))
    }

    fn tag(&self, index: u32, uses: u32) -> u32 {
        // With all bits taken by the index there is no room for the uses.
        (uses.checked_shl(self.index_bits).unwrap_or(0) | index) & self.mask
    }

    fn occupy(&self, index: u32, state: CallState, waker: Option<Waker>, began: u64) -> u32 {
        self.chunks[index as usize / CHUNK].get_or_init(|| {
            let free = || PendingCall {
                uses: 0,
                state: CallState::Free,
                began: 0,
                waker: None,
                reply: None,
            };
            (0..CHUNK).map(|_| Mutex::new(free())).collect()
        });
        let mut call = self.locked(index);
        call.uses = call.uses.wrapping_add(1);
        call.state = state;
        call.began = began as u32;
        call.waker = waker;
        self.tag(index, call.uses)
    }

    /// Occupies a free entry for a call; its tag.
    pub(super) fn insert(&self, index: u32, waker: Waker, began: u64) -> u32 {
        self.occupy(index, CallState::Waiting, Some(waker), began)
    }

    /// Occupies a free entry for a request whose reply is to be dropped; its tag.
    pub(super) fn insert_abandoned(&self, index: u32) -> u32 {
        self.occupy(index, CallState::Abandoned, None, 0)
    }

    /// A request was not sent after all: its entry is free.
    pub(super) fn remove(&self, index: u32) {
        let mut call = self.locked(index);
        call.state = CallState::Free;
        let waker = call.waker.take();
        drop(call);
        release(waker);
    }

    /// A reply with a tag.
    #[inline]
    pub(super) fn deliver_to_tag(&self, tag: u64, reply: R) -> Delivery<R> {
        let high = u32::MAX.checked_shl(self.index_bits).unwrap_or(0);
        let Ok(tag) = u32::try_from(tag) else {
            return Delivery::Unknown;
        };
        let index = tag & !high;
        let Some(entry) = self.entry(index) else {
            return Delivery::Unknown;
        };
        let call = lock(entry);
        if self.tag(index, call.uses) != tag {
            return Delivery::Unknown;
        }
        Self::answer(call, index, reply)
    }

    /// A reply to the request with this index.
    #[inline]
    pub(super) fn deliver(&self, index: u32, reply: R) -> Delivery<R> {
        match self.entry(index) {
            Some(entry) => Self::answer(lock(entry), index, reply),
            None => Delivery::Unknown,
        }
    }

    #[inline]
    fn answer(mut call: MutexGuard<'_, PendingCall<R>>, index: u32, reply: R) -> Delivery<R> {
        match call.state {
            CallState::Waiting => {
                call.state = CallState::Answered;
                call.reply = Some(reply);
                Delivery::ToCaller(call.waker.take())
            }
            CallState::Abandoned => {
                call.state = CallState::Free;
                Delivery::ToNobody(index, reply)
            }
            CallState::Free | CallState::Answered | CallState::Ended => Delivery::Unknown,
        }
    }

    /// The reply, if it has come; none if the connection ended first. Then the tag is free, to be given
    /// back. Else `cx` is woken when either happens.
    #[inline]
    pub(super) fn poll(&self, index: u32, cx: &Context<'_>) -> Poll<Option<R>> {
        let mut own = None;
        loop {
            let mut call = self.locked(index);
            if !matches!(call.state, CallState::Waiting) {
                call.state = CallState::Free;
                return Poll::Ready(call.reply.take());
            }
            let is_known = |waker: &Waker| waker.will_wake(cx.waker());
            if call.waker.as_ref().is_some_and(is_known) {
                return Poll::Pending;
            }
            if let Some(own) = own.take() {
                let other = call.waker.replace(own);
                drop(call);
                release(other);
                return Poll::Pending;
            }
            drop(call);
            own = Some(cx.waker().clone());
        }
    }

    /// The caller leaves without its reply.
    pub(super) fn leave(&self, index: u32) -> Left<R> {
        let mut call = self.locked(index);
        if let CallState::Waiting = call.state {
            call.state = CallState::Abandoned;
            return Left::Quarantined(call.waker.take());
        }
        call.state = CallState::Free;
        Left::Free(call.reply.take())
    }

    fn all(&self) -> impl Iterator<Item = &Mutex<PendingCall<R>>> {
        self.chunks.iter().filter_map(OnceLock::get).flatten()
    }

    /// The connection ended: no reply comes any more. The wakers of the callers that wait.
    pub(super) fn end(&self) -> Vec<Waker> {
        self.all()
            .filter_map(|entry| {
                let mut call = lock(entry);
                match call.state {
                    // There before the end.
                    CallState::Answered => None,
                    _ => {
                        call.state = CallState::Ended;
                        call.waker.take()
                    }
                }
            })
            .collect()
    }

    /// The wakers of calls that are overdue: woken, a caller looks at the time, and leaves another waker if it waits
    /// on.
    pub(super) fn overdue(&self, is_overdue: impl Fn(u32) -> bool) -> Vec<Waker> {
        self.all()
            .filter_map(|entry| {
                let mut call = lock(entry);
                match call.state {
                    CallState::Waiting if is_overdue(call.began) => call.waker.take(),
                    _ => None,
                }
            })
            .collect()
    }
}
