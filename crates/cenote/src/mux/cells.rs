//! The tag table: for each request that is pending, where its reply goes.
//!
//! A tag, from the desk or a lane's stock, is the right to its cell; from the request on the caller and the reader
//! share the cell, under the cell's own lock. A tag is in quarantine while its cell is `Abandoned`: its caller has
//! left, its reply is still to come.
//!
//! Promises: a reply reaches the request it answers or nobody; a caller that waits in a cell is woken when its
//! reply comes and when the connection ends.
//!
//! Lock order: desk, lane, cell. No user code runs under a cell's lock: replies are dropped, and wakers cloned, dropped
//! and woken, by the methods' callers.

use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, lock};
use crate::wake::release;

/// Cells are made in chunks, as more are pending at once than ever before.
#[cfg(not(cenote_loom))]
const CHUNK: usize = 64;
/// Each is a lock that the models count with.
#[cfg(cenote_loom)]
const CHUNK: usize = 2;

type Chunk<R> = Box<[Mutex<Cell<R>>]>;

pub(super) struct Cells<R> {
    chunks: Box<[OnceLock<Chunk<R>>]>,
    index_bits: u32,
    mask: u32,
}

struct Cell<R> {
    /// How often the cell was taken: the upper bits of its tags.
    uses: u32,
    state: State,
    /// The tick at which the call began.
    began: u32,
    /// The caller, while it waits; none if it was woken, and has not looked since.
    waker: Option<Waker>,
    /// There, when it is answered.
    reply: Option<R>,
}

#[derive(Clone, Copy)]
enum State {
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
    /// Nobody waited for it any more: the cell is free, to be given back.
    ToNobody(u32, R),
    /// No pending request has this tag.
    Unknown,
}

/// What a caller that left leaves behind.
pub(super) enum Left<R> {
    /// The cell is free, to be given back; the reply was there, or will never come.
    Free(Option<R>),
    /// The cell is the reader's until the reply comes. With the caller's waker, to be dropped.
    Quarantined(Option<Waker>),
}

impl<R> Cells<R> {
    /// Room for `cap` pending requests, with tags of `tag_bits`.
    pub(super) fn new(cap: usize, tag_bits: u32) -> Self {
        let index_bits = usize::BITS - (cap - 1).leading_zeros();
        Self {
            chunks: (0..cap.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect(),
            index_bits,
            mask: u32::MAX >> (32 - tag_bits.min(32)),
        }
    }

    fn cell(&self, index: u32) -> Option<&Mutex<Cell<R>>> {
        let index = index as usize;
        self.chunks.get(index / CHUNK)?.get()?.get(index % CHUNK)
    }

    /// Of a cell that was taken, so that it exists.
    fn taken(&self, index: u32) -> MutexGuard<'_, Cell<R>> {
        lock(self.cell(index).expect("a taken cell exists"))
    }

    fn tag(&self, index: u32, uses: u32) -> u32 {
        // With all bits taken by the index there is no room for the uses.
        (uses.checked_shl(self.index_bits).unwrap_or(0) | index) & self.mask
    }

    fn begin(&self, index: u32, state: State, waker: Option<Waker>, began: u32) -> u32 {
        self.chunks[index as usize / CHUNK].get_or_init(|| {
            let free = || Cell {
                uses: 0,
                state: State::Free,
                began: 0,
                waker: None,
                reply: None,
            };
            (0..CHUNK).map(|_| Mutex::new(free())).collect()
        });
        let mut cell = self.taken(index);
        cell.uses = cell.uses.wrapping_add(1);
        cell.state = state;
        cell.began = began;
        cell.waker = waker;
        self.tag(index, cell.uses)
    }

    /// Takes a free cell for a call; its tag.
    pub(super) fn begin_call(&self, index: u32, waker: Waker, began: u32) -> u32 {
        self.begin(index, State::Waiting, Some(waker), began)
    }

    /// Takes a free cell for a request whose reply nobody waits for; its tag.
    pub(super) fn begin_unwatched(&self, index: u32) -> u32 {
        self.begin(index, State::Abandoned, None, 0)
    }

    /// A request was not sent after all: its cell is free.
    pub(super) fn revoke(&self, index: u32) {
        let mut cell = self.taken(index);
        cell.state = State::Free;
        let waker = cell.waker.take();
        drop(cell);
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
        let Some(cell) = self.cell(index) else {
            return Delivery::Unknown;
        };
        let cell = lock(cell);
        if self.tag(index, cell.uses) != tag {
            return Delivery::Unknown;
        }
        Self::answer(cell, index, reply)
    }

    /// A reply to the request in this cell.
    #[inline]
    pub(super) fn deliver(&self, index: u32, reply: R) -> Delivery<R> {
        match self.cell(index) {
            Some(cell) => Self::answer(lock(cell), index, reply),
            None => Delivery::Unknown,
        }
    }

    #[inline]
    fn answer(mut cell: MutexGuard<'_, Cell<R>>, index: u32, reply: R) -> Delivery<R> {
        match cell.state {
            State::Waiting => {
                cell.state = State::Answered;
                cell.reply = Some(reply);
                Delivery::ToCaller(cell.waker.take())
            }
            State::Abandoned => {
                cell.state = State::Free;
                Delivery::ToNobody(index, reply)
            }
            State::Free | State::Answered | State::Ended => Delivery::Unknown,
        }
    }

    /// The reply, if it has come; none if the connection ended first. Then the cell is free, to be given
    /// back. Else wakes `cx` when either happens.
    #[inline]
    pub(super) fn poll(&self, index: u32, cx: &Context<'_>) -> Poll<Option<R>> {
        let mut own = None;
        loop {
            let mut cell = self.taken(index);
            if !matches!(cell.state, State::Waiting) {
                cell.state = State::Free;
                return Poll::Ready(cell.reply.take());
            }
            let is_known = |waker: &Waker| waker.will_wake(cx.waker());
            if cell.waker.as_ref().is_some_and(is_known) {
                return Poll::Pending;
            }
            if let Some(own) = own.take() {
                let other = cell.waker.replace(own);
                drop(cell);
                release(other);
                return Poll::Pending;
            }
            drop(cell);
            own = Some(cx.waker().clone());
        }
    }

    /// The caller leaves without its reply.
    pub(super) fn leave(&self, index: u32) -> Left<R> {
        let mut cell = self.taken(index);
        if let State::Waiting = cell.state {
            cell.state = State::Abandoned;
            return Left::Quarantined(cell.waker.take());
        }
        cell.state = State::Free;
        Left::Free(cell.reply.take())
    }

    fn all(&self) -> impl Iterator<Item = &Mutex<Cell<R>>> {
        self.chunks.iter().filter_map(OnceLock::get).flatten()
    }

    /// The connection ended: nobody waits any longer. Those to wake.
    pub(super) fn end(&self) -> Vec<Waker> {
        self.all()
            .filter_map(|cell| {
                let mut cell = lock(cell);
                match cell.state {
                    // There before the end.
                    State::Answered => None,
                    _ => {
                        cell.state = State::Ended;
                        cell.waker.take()
                    }
                }
            })
            .collect()
    }

    /// The wakers of calls that are overdue: woken, they look at the time, and leave another waker if they wait on.
    pub(super) fn overdue(&self, is_overdue: impl Fn(u32) -> bool) -> Vec<Waker> {
        self.all()
            .filter_map(|cell| {
                let mut cell = lock(cell);
                match cell.state {
                    State::Waiting if is_overdue(cell.began) => cell.waker.take(),
                    _ => None,
                }
            })
            .collect()
    }
}
