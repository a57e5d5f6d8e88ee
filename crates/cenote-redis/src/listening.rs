//! What a connection listens to: its subscriptions, what the server has still to confirm of them, and the messages that
//! came while something else was waited for.
//!
//! Promises: each confirmation is counted for the command that it answers, whatever was cancelled, so that it is known
//! when nothing is subscribed any more; no message of a channel is lost; invalidations that nobody takes stay within a
//! bound, beyond which they become one that says that every key may have changed.

use std::collections::{HashSet, VecDeque};

use bytes::Bytes;

use crate::cmd::Cmd;
use crate::error::FrameError;
use crate::value::Value;

/// Memory that invalidations which nobody took may take, in bytes.
const KEPT_INVALIDATIONS: usize = 1024 * 1024;
/// What one key costs beside its bytes.
const KEY_SIZE: usize = size_of::<Value>();

#[derive(Debug, Default)]
pub(crate) struct Listening {
    channels: HashSet<Bytes>,
    patterns: HashSet<Bytes>,
    shard_channels: HashSet<Bytes>,
    monitors: bool,
    /// `CLIENT TRACKING ON` was sent.
    tracks: bool,
    /// Commands whose confirmations did not all come, in the order they were sent.
    awaited: VecDeque<Awaited>,
    messages: VecDeque<Value>,
    invalidations: Invalidations,
}

/// The kinds of subscription, each with a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    ShardChannel,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    Subscribe(Kind),
    Unsubscribe(Kind),
    Monitor,
}

#[derive(Debug)]
struct Awaited {
    request: Request,
    left: Left,
}

/// How many confirmations of a request are to come.
#[derive(Clone, Copy, Debug)]
enum Left {
    Count(usize),
    /// One for each that is subscribed when the server gets to it, or one if none is.
    All,
}

/// The invalidations among the messages.
#[derive(Clone, Copy, Debug)]
enum Invalidations {
    /// As they came, taking so much memory.
    Single(usize),
    /// One for all keys.
    All,
}

impl Default for Invalidations {
    fn default() -> Self {
        Self::Single(0)
    }
}

/// What became of a frame.
pub(crate) enum Placed {
    /// It waits among the messages, or is one confirmation of several.
    Kept,
    /// It was the last answer to a command.
    Answer(Value),
}

impl Kind {
    fn of_word(word: &[u8]) -> Option<Self> {
        match word {
            b"" => Some(Self::Channel),
            b"P" | b"p" => Some(Self::Pattern),
            b"S" | b"s" => Some(Self::ShardChannel),
            _ => None,
        }
    }

    pub(crate) fn subscribe(self) -> &'static str {
        match self {
            Self::Channel => "SUBSCRIBE",
            Self::Pattern => "PSUBSCRIBE",
            Self::ShardChannel => "SSUBSCRIBE",
        }
    }

    pub(crate) fn unsubscribe(self) -> &'static str {
        match self {
            Self::Channel => "UNSUBSCRIBE",
            Self::Pattern => "PUNSUBSCRIBE",
            Self::ShardChannel => "SUNSUBSCRIBE",
        }
    }
}

impl Request {
    /// The request that a command is, or that a message confirms: both go by the same words.
    fn of_word(word: &[u8]) -> Option<Self> {
        let ends_in = |suffix: &[u8]| {
            let prefix = word.len().checked_sub(suffix.len())?;
            word[prefix..]
                .eq_ignore_ascii_case(suffix)
                .then(|| &word[..prefix])
        };
        if word.eq_ignore_ascii_case(b"MONITOR") {
            Some(Self::Monitor)
        } else if let Some(prefix) = ends_in(b"UNSUBSCRIBE") {
            Kind::of_word(prefix).map(Self::Unsubscribe)
        } else {
            Kind::of_word(ends_in(b"SUBSCRIBE")?).map(Self::Subscribe)
        }
    }
}

impl Listening {
    /// Notes a command that listens and is about to be sent.
    pub(crate) fn sent(&mut self, cmd: &Cmd) {
        let mut parts = cmd.parts();
        let Some(request) = parts.next().and_then(Request::of_word) else {
            return;
        };
        let left = match (request, parts.count()) {
            (Request::Unsubscribe(_), 0) => Left::All,
            // A status, or the error that is the answer to a SUBSCRIBE without channels.
            (Request::Monitor, _) | (_, 0) => Left::Count(1),
            (_, names) => Left::Count(names),
        };
        self.monitors |= request == Request::Monitor;
        self.awaited.push_back(Awaited { request, left });
    }

    /// Notes `CLIENT TRACKING` or `RESET`, which ends it, among the commands that change who the session is.
    pub(crate) fn note_tracking(&mut self, cmd: &Cmd) {
        let mut parts = cmd.parts();
        match parts.next().unwrap_or_default() {
            word if word.eq_ignore_ascii_case(b"RESET") => self.tracks = false,
            word if word.eq_ignore_ascii_case(b"CLIENT") => {
                let mut next_is = |word: &[u8]| {
                    parts
                        .next()
                        .is_some_and(|part| part.eq_ignore_ascii_case(word))
                };
                if next_is(b"TRACKING") {
                    self.tracks = next_is(b"ON");
                }
            }
            _ => {}
        }
    }

    /// Notes whether keys are tracked.
    pub(crate) fn set_tracks(&mut self, tracks: bool) {
        self.tracks = tracks;
    }

    /// How many commands were not answered to the end.
    pub(crate) fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Whether confirmations are to come.
    pub(crate) fn is_settling(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Whether no message will come, all confirmations being counted.
    pub(crate) fn is_over(&self) -> bool {
        let subscribed = self.all().iter().any(|(_, names)| !names.is_empty());
        !subscribed && !self.monitors && self.awaited.is_empty()
    }

    pub(crate) fn monitors(&self) -> bool {
        self.monitors
    }

    pub(crate) fn tracks(&self) -> bool {
        self.tracks
    }

    /// The kinds of which something is subscribed.
    pub(crate) fn subscribed(&self) -> impl Iterator<Item = Kind> + use<> {
        let kinds = self.all().map(|(kind, names)| (kind, names.is_empty()));
        kinds
            .into_iter()
            .filter(|(_, empty)| !empty)
            .map(|(kind, _)| kind)
    }

    fn all(&self) -> [(Kind, &HashSet<Bytes>); 3] {
        [
            (Kind::Channel, &self.channels),
            (Kind::Pattern, &self.patterns),
            (Kind::ShardChannel, &self.shard_channels),
        ]
    }

    fn names(&mut self, kind: Kind) -> &mut HashSet<Bytes> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::ShardChannel => &mut self.shard_channels,
        }
    }

    /// The next message that came already.
    pub(crate) fn next_message(&mut self) -> Option<Value> {
        let message = self.messages.pop_front()?;
        if let Some(size) = invalidation_size(&message) {
            self.invalidations = match self.invalidations {
                Invalidations::Single(kept) => Invalidations::Single(kept.saturating_sub(size)),
                Invalidations::All => Invalidations::Single(0),
            };
        }
        Some(message)
    }

    /// Keeps a push message that came between replies, if somebody may want it.
    pub(crate) fn keep(&mut self, message: Value) {
        match invalidation_size(&message) {
            Some(size) if self.tracks => self.keep_invalidation(message, size),
            Some(_) => {}
            None if self.is_over() => {}
            None => self.messages.push_back(message),
        }
    }

    fn keep_invalidation(&mut self, message: Value, size: usize) {
        let Invalidations::Single(kept) = self.invalidations else {
            return;
        };
        let kept = kept.saturating_add(size);
        if kept <= KEPT_INVALIDATIONS {
            self.invalidations = Invalidations::Single(kept);
            self.messages.push_back(message);
            return;
        }
        self.invalidations = Invalidations::All;
        self.messages
            .retain(|message| invalidation_size(message).is_none());
        let kind = Value::Bulk(Bytes::from_static(b"invalidate"));
        self.messages.push_back(Value::Push(vec![kind, Value::Nil]));
    }

    /// Takes a frame that answers no command but one that listens.
    pub(crate) fn place(&mut self, frame: Value) -> Result<Placed, FrameError> {
        let head = self.awaited.front().map(|awaited| awaited.request);
        let (request, name) = match &frame {
            // One error for all that the command asked for.
            Value::Error(_) if head.is_some() => {
                self.awaited.pop_front();
                // None is sent behind it, so that it was the only one.
                self.monitors &= head != Some(Request::Monitor);
                return Ok(Placed::Answer(frame));
            }
            Value::Simple(_) if head == Some(Request::Monitor) => (Request::Monitor, None),
            Value::Array(items) | Value::Push(items) => match confirmation(items) {
                Some(confirmed) => confirmed,
                None if self.is_over() && !self.tracks => return Err(FrameError::Unsolicited),
                None => {
                    self.keep(frame);
                    return Ok(Placed::Kept);
                }
            },
            Value::Simple(_) if self.monitors => {
                self.messages.push_back(frame);
                return Ok(Placed::Kept);
            }
            _ => return Err(FrameError::Unsolicited),
        };
        let answers = head == Some(request);
        if answers {
            self.resolve(request);
        }
        match (request, name) {
            (Request::Subscribe(kind), Some(name)) => _ = self.names(kind).insert(name),
            (Request::Unsubscribe(kind), Some(name)) => _ = self.names(kind).remove(&name),
            _ => {}
        }
        if !answers {
            // The server ended a subscription by itself, as it does when a shard's slot moves.
            self.messages.push_back(frame);
            return Ok(Placed::Kept);
        }
        Ok(self.count(frame))
    }

    /// The server has got to the first command that is awaited: it confirms as many as are subscribed now.
    fn resolve(&mut self, request: Request) {
        let Request::Unsubscribe(kind) = request else {
            return;
        };
        let subscribed = self.names(kind).len().max(1);
        if let Some(awaited) = self.awaited.front_mut()
            && matches!(awaited.left, Left::All)
        {
            awaited.left = Left::Count(subscribed);
        }
    }

    /// One confirmation of the first that is awaited.
    fn count(&mut self, frame: Value) -> Placed {
        match self.awaited.front_mut() {
            Some(Awaited {
                left: Left::Count(left),
                ..
            }) if *left > 1 => {
                *left -= 1;
                Placed::Kept
            }
            _ => {
                self.awaited.pop_front();
                Placed::Answer(frame)
            }
        }
    }
}

/// The request that a message confirms, and the channel or pattern.
fn confirmation(items: &[Value]) -> Option<(Request, Option<Bytes>)> {
    let [Value::Bulk(word), name, Value::Int(_)] = items else {
        return None;
    };
    let name = match name {
        Value::Bulk(name) => Some(name.clone()),
        _ => None,
    };
    Request::of_word(word).map(|request| (request, name))
}

/// The memory of an invalidation; `None` for other messages.
fn invalidation_size(message: &Value) -> Option<usize> {
    let (Value::Push(items) | Value::Array(items)) = message else {
        return None;
    };
    match &items[..] {
        [Value::Bulk(word), keys] if &word[..] == b"invalidate" => Some(match keys {
            Value::Array(keys) => keys.iter().map(key_size).sum(),
            _ => 0,
        }),
        _ => None,
    }
}

fn key_size(key: &Value) -> usize {
    match key {
        Value::Bulk(bytes) => KEY_SIZE + bytes.len(),
        _ => KEY_SIZE,
    }
}
