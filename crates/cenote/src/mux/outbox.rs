//! What is to be written: requests are appended, encoded, to one buffer under the desk's lock; whoever
//! writes takes the whole buffer away.
//!
//! Who writes: a caller that is alone writes its own request at once. Otherwise the first to append asks
//! the driver, which lets all callers that can run append first and then writes for all of them.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::BytesMut;

use crate::error::BoxError;

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

/// Takes back what a codec wrote before it failed or panicked, so that no half frame is ever sent.
struct Frame<'a> {
    buffer: &'a mut BytesMut,
    from: usize,
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        self.buffer.truncate(self.from);
    }
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
    ) -> Result<(), BoxError> {
        let frame = Frame {
            from: self.buffer.len(),
            buffer: &mut self.buffer,
        };
        (self.encode)(tag, request, frame.buffer)?;
        std::mem::forget(frame);
        if let (Some(order), Some(cell)) = (&mut self.order, cell) {
            order.push_back(cell);
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether what is in the buffer is waiting for the driver.
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

    /// The cells of the next `replies` replies, in order; fewer if fewer were asked for.
    pub(super) fn next_in_order(&mut self, replies: usize) -> Option<impl Iterator<Item = u32>> {
        let order = self.order.as_mut()?;
        let replies = replies.min(order.len());
        Some(order.drain(..replies))
    }
}
