//! Decodes replies from bytes that arrive in pieces.
//!
//! The `redis-protocol` crate knows the grammar of each single value; this file decides where values
//! begin and end, and puts the ones that hold others together. That is kept here because a peer is
//! not trusted: the crate's own aggregates recurse without a limit, start over with every piece that
//! arrives, and lose the order of maps.
//!
//! Promises: no input panics; memory stays within the limit whatever lengths the peer announces;
//! work is linear in the bytes received; after an error nothing more may be decoded.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use redis_protocol::resp3::decode::complete::decode_range;
use redis_protocol::resp3::types::RangeFrame;

use crate::error::{FrameError, ServerError};
use crate::value::Value;

/// Deepest nesting that is read. Servers nest less than ten levels, scripts hardly more.
pub(crate) const MAX_DEPTH: usize = 128;
/// Longest status, error or header line. Redis itself reads no longer lines.
const MAX_LINE: usize = 64 * 1024;
/// Shorter strings are copied: otherwise a few bytes that somebody keeps would keep a whole read buffer, and a new
/// buffer costs more than the copy.
const SHARED_FROM: usize = 8 * 1024;
/// What a value costs within another beside its bytes: its place, twice, for while the values that have come move to a
/// larger place, both are held.
const PLACE: usize = 2 * size_of::<Value>();
/// What a string costs beside its bytes: what the allocator rounds up and keeps for itself.
const ALLOCATION: usize = 32;
/// Into how many bytes one can become where text is made of bytes that are none.
const LOSSY: usize = '\u{fffd}'.len_utf8();

/// The state between two pieces of input.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    /// Values that hold others and are not complete yet, outermost first.
    open: Vec<Open>,
    /// Memory taken by the reply so far, in bytes.
    size: usize,
    limit: usize,
}

#[derive(Clone, Debug)]
struct Open {
    kind: Aggregate,
    missing: usize,
    items: Items,
}

#[derive(Clone, Debug)]
enum Items {
    Single(Vec<Value>),
    /// And the key whose value is to come.
    Pairs(Vec<(Value, Value)>, Option<Value>),
    /// Nobody reads them.
    Dropped,
}

impl Items {
    /// Of an aggregate with so many values to come.
    fn new(kind: Aggregate, missing: usize) -> Self {
        // The count is only announced: memory follows what arrives.
        match kind {
            Aggregate::Array | Aggregate::Set | Aggregate::Push => {
                Self::Single(Vec::with_capacity(missing.min(64)))
            }
            Aggregate::Map => Self::Pairs(Vec::with_capacity((missing / 2).min(32)), None),
            Aggregate::Attribute => Self::Dropped,
        }
    }

    fn push(&mut self, value: Value, missing: usize) {
        match self {
            Self::Single(items) => {
                grow(items, missing);
                items.push(value);
            }
            Self::Pairs(pairs, key) => match key.take() {
                None => *key = Some(value),
                Some(first) => {
                    grow(pairs, missing.div_ceil(2));
                    pairs.push((first, value));
                }
            },
            Self::Dropped => {}
        }
    }
}

/// Makes room for one more of the `missing`: twice as much as there is, but never more than will come.
fn grow<T>(items: &mut Vec<T>, missing: usize) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len().max(1).min(missing));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Aggregate {
    Array,
    Set,
    Map,
    Push,
    /// Notes about the next value, which nobody here reads.
    Attribute,
}

/// What the next bytes are.
enum Token {
    Value(Value),
    Open(Aggregate, usize),
}

impl Decoder {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            open: Vec::new(),
            size: 0,
            // So that no sum of lengths below can overflow.
            limit: limit.min(usize::MAX / 4),
        }
    }

    /// Whether part of a reply was taken from the input already.
    pub(crate) fn is_midway(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes one reply from the front of `input`; `None` when more bytes are needed.
    pub(crate) fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Value>, FrameError> {
        while let Some(token) = self.token(input)? {
            let complete = match token {
                Token::Value(value) => Some(value),
                Token::Open(kind, 0) => kind.close(Items::new(kind, 0)),
                Token::Open(kind, count) => {
                    self.enter(kind, count)?;
                    None
                }
            };
            if let Some(reply) = complete.and_then(|value| self.place(value)) {
                self.size = 0;
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn enter(&mut self, kind: Aggregate, count: usize) -> Result<(), FrameError> {
        if kind == Aggregate::Push && self.is_midway() {
            return Err(malformed("a push message inside a reply"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(FrameError::TooDeep { limit: MAX_DEPTH });
        }
        self.open.push(Open {
            kind,
            missing: count,
            items: Items::new(kind, count),
        });
        Ok(())
    }

    /// Puts a complete value where it belongs; returns it when it is a whole reply.
    fn place(&mut self, mut value: Value) -> Option<Value> {
        loop {
            let Some(parent) = self.open.last_mut() else {
                return Some(value);
            };
            parent.items.push(value, parent.missing);
            parent.missing -= 1;
            if parent.missing > 0 {
                return None;
            }
            let full = self.open.pop()?;
            value = full.kind.close(full.items)?;
        }
    }

    fn token(&mut self, input: &mut BytesMut) -> Result<Option<Token>, FrameError> {
        let Some(&first) = input.first() else {
            return Ok(None);
        };
        let aggregate = match first {
            b'*' => Some(Aggregate::Array),
            b'~' => Some(Aggregate::Set),
            b'%' => Some(Aggregate::Map),
            b'>' => Some(Aggregate::Push),
            b'|' => Some(Aggregate::Attribute),
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' | b'$' | b'!' | b'=' => None,
            _ => return Err(unexpected_start(input)),
        };
        let Some(line_end) = find_line_end(input)? else {
            return Ok(None);
        };
        let header = &input[1..line_end];
        let after = line_end + 2;
        match aggregate {
            // The nil of RESP2.
            None if first == b'$' && header == b"-1" => self.nil(input, after),
            Some(Aggregate::Array) if header == b"-1" => self.nil(input, after),
            Some(kind) => {
                let count = kind.values(parse_length(header)?);
                self.charge(count.saturating_mul(PLACE).saturating_add(after))?;
                input.advance(after);
                Ok(Some(Token::Open(kind, count)))
            }
            None if matches!(first, b'$' | b'!' | b'=') => {
                let length = parse_length(header)?;
                // Charged again with each attempt until all is there, hence the restoring.
                let before = self.size;
                let bytes = length.saturating_add(after);
                self.charge(match first {
                    b'!' => text_size(bytes),
                    _ => bytes.saturating_add(ALLOCATION),
                })?;
                let end = after + length + 2;
                if input.len() < end {
                    self.size = before;
                    input.reserve((end - input.len()).min(1 << 20));
                    return Ok(None);
                }
                if &input[end - 2..end] != b"\r\n" {
                    return Err(malformed("a string is longer than announced"));
                }
                if first == b'=' {
                    verbatim(input, after..end - 2).map(Some)
                } else {
                    leaf(input, end).map(Some)
                }
            }
            None => {
                self.charge(match first {
                    b'+' | b'-' | b'(' => text_size(after),
                    _ => after,
                })?;
                leaf(input, after).map(Some)
            }
        }
    }

    fn nil(&mut self, input: &mut BytesMut, length: usize) -> Result<Option<Token>, FrameError> {
        self.charge(length)?;
        input.advance(length);
        Ok(Some(Token::Value(Value::Nil)))
    }

    fn charge(&mut self, size: usize) -> Result<(), FrameError> {
        self.size = self.size.saturating_add(size);
        if self.size > self.limit {
            return Err(FrameError::TooLarge { limit: self.limit });
        }
        Ok(())
    }
}

impl Aggregate {
    /// How many values follow when the header announces `length` entries.
    fn values(self, length: usize) -> usize {
        match self {
            Self::Map | Self::Attribute => length.saturating_mul(2),
            Self::Array | Self::Set | Self::Push => length,
        }
    }

    /// The finished value; an attribute is none.
    fn close(self, items: Items) -> Option<Value> {
        match (self, items) {
            (Self::Set, Items::Single(items)) => Some(Value::Set(items)),
            (Self::Push, Items::Single(items)) => Some(Value::Push(items)),
            (_, Items::Single(items)) => Some(Value::Array(items)),
            (_, Items::Pairs(pairs, _)) => Some(Value::Map(pairs)),
            (_, Items::Dropped) => None,
        }
    }
}

/// What text takes that is made of so many bytes.
fn text_size(bytes: usize) -> usize {
    bytes.saturating_mul(LOSSY).saturating_add(ALLOCATION)
}

/// Takes the first `length` bytes, which hold one value that holds no others.
fn leaf(input: &mut BytesMut, length: usize) -> Result<Token, FrameError> {
    let frame = match decode_range(&input[..length]) {
        Ok(Some((frame, used))) if used == length => frame,
        Ok(_) => return Err(malformed("a value does not end where it says")),
        Err(error) => return Err(malformed(error.details())),
    };
    let text =
        |(start, end): (usize, usize)| String::from_utf8_lossy(&input[start..end]).into_owned();
    let value = match frame {
        RangeFrame::BlobString { data, .. } => {
            return Ok(Token::Value(Value::Bulk(take(input, length, data))));
        }
        RangeFrame::Null if length == 3 => Value::Nil,
        RangeFrame::Number { data, .. } => Value::Int(data),
        RangeFrame::Double { data, .. } => Value::Double(data),
        RangeFrame::Boolean { data, .. } => Value::Bool(data),
        RangeFrame::SimpleString { data, .. } => Value::Simple(text(data)),
        RangeFrame::BigNumber { data, .. } => Value::BigNumber(text(data)),
        RangeFrame::SimpleError { data, .. } | RangeFrame::BlobError { data, .. } => {
            Value::Error(ServerError::new(text(data)))
        }
        _ => return Err(malformed("a value of no known type")),
    };
    input.advance(length);
    Ok(Token::Value(value))
}

/// Takes a verbatim string, of which `content` are the format, a colon and the text. Formats that nobody knows
/// yet are read, too.
fn verbatim(input: &mut BytesMut, content: Range<usize>) -> Result<Token, FrameError> {
    let &[a, b, c, b':', ..] = &input[content.clone()] else {
        return Err(malformed("a verbatim string without a format"));
    };
    let text = take(input, content.end + 2, (content.start + 4, content.end));
    let format = [a, b, c];
    Ok(Token::Value(Value::Verbatim { format, text }))
}

/// The string within the first `length` bytes, which are taken.
fn take(input: &mut BytesMut, length: usize, (start, end): (usize, usize)) -> Bytes {
    if end - start < SHARED_FROM {
        let copy = Bytes::copy_from_slice(&input[start..end]);
        input.advance(length);
        copy
    } else {
        input.split_to(length).freeze().slice(start..end)
    }
}

/// Where the first line ends, without its line end; `None` when that has not arrived.
fn find_line_end(input: &[u8]) -> Result<Option<usize>, FrameError> {
    let window = &input[..input.len().min(MAX_LINE)];
    match window.windows(2).position(|pair| pair == b"\r\n") {
        Some(at) => Ok(Some(at)),
        None if window.len() == MAX_LINE => Err(malformed("a line without an end")),
        None => Ok(None),
    }
}

fn parse_length(header: &[u8]) -> Result<usize, FrameError> {
    let digits = header.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(header)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| malformed(&format!("\"{}\" is no length", excerpt(header))))
}

fn unexpected_start(input: &[u8]) -> FrameError {
    let peer = match input {
        [0x15, 0x03, ..] => return malformed("a TLS alert: the server wants a rediss:// URL"),
        [b'H', b'T', b'T', b'P', b'/', ..] | [b'<', ..] => ", as an HTTP server's answer does",
        [b'S', b'S', b'H', b'-', ..] => ", as an SSH server's greeting does",
        [
            b'2' | b'4' | b'5',
            b'0'..=b'9',
            b'0'..=b'9',
            b' ' | b'-',
            ..,
        ] => ", as a mail or FTP server's greeting does",
        // The version of its protocol, after a length and a sequence number.
        [_, _, 0, 0, 10, ..] => ", as a MySQL server's greeting does",
        [b'E' | b'R', 0, ..] => ", as a PostgreSQL server's message does",
        [b'E', b'R', b'R', b'O', b'R', b'\r', ..] => ", as a memcached server's answer does",
        _ => "",
    };
    let start = excerpt(input);
    malformed(&format!("no reply starts with \"{start}\"{peer}"))
}

/// The first bytes, printable: enough to recognise a web or SSH server.
fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(16)].escape_ascii().to_string()
}

fn malformed(what: &str) -> FrameError {
    FrameError::Malformed(what.to_owned())
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
