//! The replies: what the driver did not ask for taken out, and the server's word on its transaction noted.

use std::collections::VecDeque;

use super::Status;
use super::names::Awaited;

/// The bytes on their way to the driver.
#[derive(Debug)]
pub(super) struct Replies {
    status: Status,
    head: [u8; 5],
    /// How much of the head of the message is there.
    begun: usize,
    /// How much of its body is still to come.
    left: usize,
    /// Whether it is kept from the driver.
    dropped: bool,
}

impl Replies {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            head: [0; 5],
            begun: 0,
            left: 0,
            dropped: false,
        }
    }

    /// Takes what the server wrote, moves what the driver is to read to the front, and returns how much that is.
    pub(super) fn pass(&mut self, read: &mut [u8], awaited: &mut VecDeque<Awaited>) -> usize {
        let mut kept = 0;
        let mut at = 0;
        while at < read.len() {
            let length = if self.begun == self.head.len() {
                let length = self.left.min(read.len() - at);
                if self.head[0] == b'Z' {
                    self.status.set(read[at]);
                }
                self.left -= length;
                length
            } else {
                if self.begun == 0 {
                    self.dropped = is_dropped(read[at], awaited);
                }
                let length = (self.head.len() - self.begun).min(read.len() - at);
                self.head[self.begun..self.begun + length].copy_from_slice(&read[at..at + length]);
                self.begun += length;
                if self.begun == self.head.len() {
                    let [_, a, b, c, d] = self.head;
                    let whole =
                        usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
                    // A length below its own four bytes: the driver will say so.
                    self.left = whole.saturating_sub(4);
                }
                length
            };
            if !self.dropped {
                if kept != at {
                    read.copy_within(at..at + length, kept);
                }
                kept += length;
            }
            at += length;
            if self.begun == self.head.len() && self.left == 0 {
                self.begun = 0;
            }
        }
        kept
    }
}

/// Whether a reply of this kind is to something that the driver did not ask for. After an error the server skips
/// what is awaited until it is ready again.
fn is_dropped(kind: u8, awaited: &mut VecDeque<Awaited>) -> bool {
    match kind {
        b'1' => match awaited.front() {
            Some(&parsed @ (Awaited::Parsed | Awaited::ParsedUnasked)) => {
                awaited.pop_front();
                parsed == Awaited::ParsedUnasked
            }
            _ => false,
        },
        b'Z' => {
            while let Some(Awaited::Parsed | Awaited::ParsedUnasked) = awaited.pop_front() {}
            false
        }
        // The server takes a copy now, and no notice of the Sync that came with the statement.
        b'G' => {
            let of_query = |awaited: &Awaited| *awaited == Awaited::ReadyAfterQuery;
            if !awaited.front().is_some_and(of_query) {
                while let Some(Awaited::Parsed | Awaited::ParsedUnasked) = awaited.pop_front() {}
            }
            false
        }
        _ => false,
    }
}
