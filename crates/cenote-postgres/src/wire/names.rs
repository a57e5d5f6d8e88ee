//! The requests: each statement's name replaced, wherever the driver's writes cut the messages.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;

use super::Status;
use super::preparations::{Preparations, TAG_LENGTH};

/// What becomes of the driver's names for statements.
#[derive(Clone, Debug)]
pub(crate) enum Naming {
    /// Each gets this in front.
    Prefixed(Box<[u8]>),
    /// No statement has a name: it is parsed anew where it is run.
    Nameless,
}

impl Naming {
    /// Names that no other connection of any process uses.
    pub(crate) fn unique() -> Self {
        // Keyed by the system's random numbers, and never twice by the same in one process.
        let number = RandomState::new().build_hasher().finish();
        Self::Prefixed(format!("c{number:016x}_").into_bytes().into())
    }
}

/// What the server will say, as far as the replies must be told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Awaited {
    /// That a statement was parsed, which the driver asked for.
    Parsed,
    /// As [`Parsed`](Self::Parsed), of one that the driver calls so, with the closing zero.
    ParsedAs(Box<[u8]>),
    /// That a statement was parsed, which the driver knows nothing of.
    ParsedUnasked,
    /// That it is ready, after a Sync.
    ReadyAfterSync,
    /// That it is ready, after a query of the simple protocol.
    ReadyAfterQuery,
}

/// The bytes on their way to the server.
#[derive(Debug)]
pub(super) struct Requests {
    naming: Naming,
    status: Status,
    /// The first message of a session has no type.
    begun: bool,
    /// How much of a message is still to come and passes as it is.
    left: usize,
    /// The beginning of a message, too short yet to tell its name.
    partial: Vec<u8>,
    /// Without names: what follows the name when it was parsed, by the driver's name.
    parsed: HashMap<Box<[u8]>, Box<[u8]>>,
    /// Without names only.
    pub(super) awaited: VecDeque<Awaited>,
    /// Requests, begun ones as well, after which the server has not said yet that it is ready. Too many, never too few:
    /// one that the server takes for the end of a copy stays.
    pub(super) unanswered: usize,
    /// The last of them is to be followed by a Sync.
    is_open: bool,
}

const LENGTH: usize = 4;
const HEAD: usize = 1 + LENGTH;

impl Requests {
    pub(super) fn new(naming: Naming, status: Status) -> Self {
        Self {
            naming,
            status,
            begun: false,
            left: 0,
            partial: Vec::new(),
            parsed: HashMap::new(),
            awaited: VecDeque::new(),
            unanswered: 0,
            is_open: false,
        }
    }

    /// Takes what the driver writes, and appends what the server is to read.
    pub(super) fn pass(&mut self, written: &[u8], out: &mut Vec<u8>) {
        if self.partial.is_empty() {
            let passed = self.pass_whole(written, out);
            self.partial.extend_from_slice(&written[passed..]);
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(written);
            let passed = self.pass_whole(&joined, out);
            if passed < joined.len() {
                joined.drain(..passed);
                self.partial = joined;
            }
        }
    }

    /// Passes what can be passed, and returns how much that was.
    fn pass_whole(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> usize {
        let mut rest = bytes;
        while !rest.is_empty() {
            let first = !self.begun;
            let passed = if self.left > 0 {
                let passed = self.left.min(rest.len());
                out.extend_from_slice(&rest[..passed]);
                self.left -= passed;
                passed
            } else if let Some(passed) = self.begin(rest, out) {
                if !first {
                    self.count(rest[0]);
                }
                passed
            } else {
                break;
            };
            rest = &rest[passed..];
        }
        bytes.len() - rest.len()
    }

    /// Counts the request that a message of this kind begins.
    fn count(&mut self, kind: u8) {
        // Answers of the login and the goodbye ask for nothing.
        if matches!(kind, b'p' | b'X') {
            return;
        }
        if !self.is_open {
            self.unanswered += 1;
        }
        self.is_open = !matches!(kind, b'S' | b'Q' | b'F');
    }

    /// Passes the beginning of a message, with its name, and returns how long that was; `None`: more is needed.
    fn begin(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        if !self.begun {
            let length = length(bytes)?;
            self.begun = true;
            return Some(self.pass_on(bytes, LENGTH, length, out));
        }
        let (&kind, after) = bytes.split_first()?;
        let whole = 1 + length(after)?;
        let mut awaits = Awaited::Parsed;
        let name = match kind {
            b'P' => Some(HEAD),
            // Portals come before statements.
            b'B' => Some(after_text(bytes, HEAD)?),
            b'D' | b'C' => (*bytes.get(HEAD)? == b'S').then_some(HEAD + 1),
            _ => None,
        };
        let passed = match name {
            Some(at) if *bytes.get(at)? != 0 => match &self.naming {
                Naming::Prefixed(prefix) => {
                    let (tag, number) = match kind {
                        b'P' => tag(bytes, whole, after_text(bytes, at)?)?,
                        _ => (at..at, None),
                    };
                    push_head(kind, whole + prefix.len() - tag.len(), out);
                    out.extend_from_slice(&bytes[HEAD..at]);
                    out.extend_from_slice(prefix);
                    out.extend_from_slice(&bytes[at..tag.start]);
                    if let Some(number) = number {
                        let name = [prefix, &bytes[at..tag.start - 1]].concat();
                        let name = String::from_utf8_lossy(&name).into_owned();
                        self.status.preparations().named(number, name);
                    }
                    self.left = whole - tag.end;
                    return Some(tag.end);
                }
                Naming::Nameless => {
                    let passed = self.unname(bytes, kind, whole, at, out)?;
                    if kind == b'P' {
                        awaits = Awaited::ParsedAs(bytes[at..passed].into());
                    }
                    passed
                }
            },
            _ => self.pass_on(bytes, HEAD, whole, out),
        };
        if matches!(self.naming, Naming::Nameless) {
            self.awaited.extend(match kind {
                b'P' => Some(awaits),
                b'S' => Some(Awaited::ReadyAfterSync),
                b'Q' | b'F' => Some(Awaited::ReadyAfterQuery),
                _ => None,
            });
        }
        Some(passed)
    }

    /// The server skips what it was sent until it is ready: the statements among it were not parsed, and the driver
    /// will never close them.
    pub(super) fn skip(&mut self) {
        while let Some(awaited) = self.awaited.pop_front() {
            match awaited {
                Awaited::Parsed | Awaited::ParsedUnasked => {}
                Awaited::ParsedAs(name) => {
                    self.parsed.remove(&name);
                }
                Awaited::ReadyAfterSync | Awaited::ReadyAfterQuery => return,
            }
        }
    }

    /// Passes the first `head` bytes of a message of `whole` bytes as they are, and lets the rest follow.
    fn pass_on(&mut self, bytes: &[u8], head: usize, whole: usize, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&bytes[..head]);
        self.left = whole.saturating_sub(head);
        head
    }

    /// Passes a message without the name that begins at `at`.
    fn unname(
        &mut self,
        bytes: &[u8],
        kind: u8,
        whole: usize,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let end = after_text(bytes, at)?;
        let name = &bytes[at..end];
        match kind {
            b'P' => {
                let parsed = bytes.get(end..whole)?;
                self.parsed.insert(name.into(), parsed.into());
            }
            b'C' => {
                self.parsed.remove(name);
            }
            b'B' => match self.parsed.get(name) {
                Some(parsed) => {
                    push_head(b'P', HEAD + 1 + parsed.len(), out);
                    out.push(0);
                    out.extend_from_slice(parsed);
                    self.awaited.push_back(Awaited::ParsedUnasked);
                }
                // Of another connection: the server will say that it knows none of that name.
                None => return Some(self.pass_on(bytes, HEAD, whole, out)),
            },
            _ => {}
        }
        push_head(kind, whole - (end - at) + 1, out);
        out.extend_from_slice(&bytes[HEAD..at]);
        out.push(0);
        self.left = whole - end;
        Some(end)
    }
}

fn push_head(kind: u8, whole: usize, out: &mut Vec<u8>) {
    out.push(kind);
    // The driver's own messages are below 2 GiB, and a name is some bytes; a longer one the server refuses.
    let length = u32::try_from(whole - 1).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
}

/// The length that a message says it has, without its type.
fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk::<LENGTH>()?;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

/// The place and the number of the tag of a text that begins at `at`; an empty place where there is none.
fn tag(bytes: &[u8], whole: usize, at: usize) -> Option<(Range<usize>, Option<u64>)> {
    let end = at + TAG_LENGTH;
    let number = match end <= whole {
        true => Preparations::number(bytes.get(at..end)?),
        false => None,
    };
    let end = number.map_or(at, |_| end);
    Some((at..end, number))
}

/// Where the text that begins at `at` has ended, with its closing zero.
fn after_text(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..)?.iter().position(|&byte| byte == 0)?;
    Some(at + length + 1)
}
