//! What is to be written: requests are appended, encoded, to one buffer under the desk's lock; whoever
//! writes takes the whole buffer away.
//!
//! Who writes: a caller that is alone writes its own request at once. Otherwise the first to append asks
//! the driver, which lets all callers that can run append first and then writes for all of them.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::BytesMut;

use crate::error::BoxError;
use crate::rt::calling;

/// Encodes a request with its tag; in order, tags are not encoded.
pub(super) type Encode<Req> =
    Box<dyn FnMut(Option<u32>, Req, &mut BytesMut) -> Result<(), BoxError> + Send>;

pub(super) struct Outbox<Req> {
    encode: Encode<Req>,
    buffer: BytesMut,
    /// For replies in order: the cells of the requests, in the order of their frames.
    order: Option<VecDeque<u32>>,
    /// The driver was asked to write what is in the buffer.
    asked: bool,
    driver: Option<Waker>,
}

/// Why a message was not appended.
pub(super) enum Unencoded {
    Refused(BoxError),
    Panicked,
}

impl<Req> Outbox<Req> {
    pub(super) fn new(encode: Encode<Req>, order: Option<VecDeque<u32>>) -> Self {
        Self {
            encode,
            buffer: BytesMut::new(),
            order,
            asked: false,
            driver: None,
        }
    }

    /// Appends a message; with the cell of its reply, if it is to have one.
    pub(super) fn append(
        &mut self,
        tag: Option<u32>,
        cell: Option<u32>,
        request: Req,
    ) -> Result<(), Unencoded> {
        let from = self.buffer.len();
        let encoded = calling(|| (self.encode)(tag, request, &mut self.buffer));
        if !matches!(encoded, Ok(Ok(()))) {
            // No half frame is ever sent.
            self.buffer.truncate(from);
        }
        encoded
            .map_err(|_| Unencoded::Panicked)?
            .map_err(Unencoded::Refused)?;
        if let (Some(order), Some(cell)) = (&mut self.order, cell) {
            order.push_back(cell);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether the driver was asked and has not taken the buffer since, which may be empty by now.
    pub(super) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Asks the driver to write: it is to be woken, unless it was asked already.
    #[must_use]
    pub(super) fn ask(&mut self) -> Option<Waker> {
        if self.asked {
            return None;
        }
        self.asked = true;
        self.driver.clone()
    }

    /// The driver's, for whatever reason.
    #[must_use]
    pub(super) fn driver(&self) -> Option<Waker> {
        self.driver.clone()
    }

    pub(super) fn set_driver(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Takes all away, leaving `empty`.
    pub(super) fn swap(&mut self, empty: &mut BytesMut) {
        debug_assert!(empty.is_empty());
        std::mem::swap(&mut self.buffer, empty);
        self.asked = false;
    }

    /// Puts the cells of the next `replies` replies, in order, into `next`; fewer if fewer were asked for.
    pub(super) fn next_in_order(&mut self, replies: usize, next: &mut Vec<u32>) {
        if let Some(order) = &mut self.order {
            let replies = replies.min(order.len());
            next.extend(order.drain(..replies));
        }
    }
}
