//! The replies: what the driver did not ask for taken out, the server's word on its transaction and on the end of
//! the session noted, and messages refused that no server sends so long, or parameters that none reports so many of.

use std::io;

use super::Status;
use super::farewell::Farewell;
use super::names::{Awaited, Requests};
use super::parameters::Parameters;

/// The longest message that is not a reply's data: errors quote statements, which may be long.
const LONGEST: usize = 16 * 1024 * 1024;

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
    error: Farewell,
    parameters: Parameters,
}

impl Replies {
    pub(super) fn new(status: Status) -> Self {
        Self {
            status,
            head: [0; 5],
            begun: 0,
            left: 0,
            dropped: false,
            error: Farewell::default(),
            parameters: Parameters::default(),
        }
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }

    /// Whether all that was asked is answered, after the login.
    pub(super) fn is_idle(&self, requests: &Requests) -> bool {
        requests.unanswered == 0 && self.status.in_transaction().is_some()
    }

    /// Whether what was read begins with an error, and all of it is here, that ends the session.
    pub(super) fn begins_with_farewell(&self, read: &[u8]) -> bool {
        read.first() == Some(&b'E') && self.begun == 0 && self.status.end_reason().is_some()
    }

    /// Takes what the server wrote, moves what the driver is to read to the front, and returns how much that is.
    ///
    /// # Errors
    ///
    /// A message that no server sends so long, or parameters that none reports so many of.
    pub(super) fn pass(&mut self, read: &mut [u8], requests: &mut Requests) -> io::Result<usize> {
        let mut kept = 0;
        let mut at = 0;
        while at < read.len() {
            let length = if self.begun == self.head.len() {
                let length = self.left.min(read.len() - at);
                match self.head[0] {
                    b'Z' if length > 0 => {
                        self.status.set(read[at]);
                        requests.unanswered = requests.unanswered.saturating_sub(1);
                    }
                    b'E' => self.error.add(&read[at..at + length]),
                    b'S' => self.parameters.add(&read[at..at + length]),
                    _ => {}
                }
                self.left -= length;
                length
            } else {
                if self.begun == 0 {
                    self.dropped = is_dropped(read[at], requests);
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
                    match self.head[0] {
                        b'E' => self.error.begin(),
                        b'S' => self.parameters.begin(self.left)?,
                        _ => {}
                    }
                    refuse_overlong(self.head[0], self.left)?;
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
                match self.head[0] {
                    b'E' => {
                        let asked = !self.is_idle(requests);
                        self.error.end(asked, &self.status);
                    }
                    b'S' => self.parameters.end(&self.status)?,
                    _ => {}
                }
            }
        }
        Ok(kept)
    }
}

/// What a server says of itself is read whole before anything comes of it: an error, a notice, a notification, a
/// question of the login.
fn refuse_overlong(kind: u8, length: usize) -> io::Result<()> {
    if length <= LONGEST || !matches!(kind, b'A' | b'E' | b'K' | b'N' | b'R' | b'Z' | b'v') {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!(
            "the server sent a message `{}` of {length} bytes, which is more than any has",
            char::from(kind)
        ),
    ))
}

/// Whether a reply of this kind is to something that the driver did not ask for. After an error the server skips
/// what is awaited until it is ready again.
fn is_dropped(kind: u8, requests: &mut Requests) -> bool {
    match kind {
        b'1' => match requests.awaited.front() {
            Some(Awaited::ReadyAfterSync | Awaited::ReadyAfterQuery) | None => false,
            Some(_) => requests.awaited.pop_front() == Some(Awaited::ParsedUnasked),
        },
        b'Z' => {
            requests.skip();
            false
        }
        // The server takes a copy now, and no notice of the Sync that came with the statement.
        b'G' => {
            if requests.awaited.front() != Some(&Awaited::ReadyAfterQuery) {
                requests.skip();
            }
            false
        }
        _ => false,
    }
}
