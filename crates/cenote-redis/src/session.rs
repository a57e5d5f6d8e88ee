//! What a command leaves behind on its connection.
//!
//! Commands are inspected before they are sent, and state is assumed from then on: a command that
//! was cancelled may or may not have run. Only an answer that proves the default state back (EXEC,
//! DISCARD, UNWATCH, SELECT of the home database) clears it.

use crate::cmd::Cmd;
use crate::error::Refusal;
use crate::value::Value;

/// The state of a server session, as far as it differs from a fresh one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Session {
    /// MULTI without EXEC or DISCARD.
    pub(crate) transaction: bool,
    /// WATCH without EXEC, DISCARD or UNWATCH.
    pub(crate) watching: bool,
    /// Another database than the connector's.
    pub(crate) database: bool,
    /// User, name, protocol, tracking or cluster mode: RESET and a new handshake undo it.
    pub(crate) identity: bool,
    /// SUBSCRIBE or MONITOR: frames arrive that answer no command.
    pub(crate) listening: bool,
    /// Something that no command undoes.
    pub(crate) beyond_reset: bool,
}

/// What a command does to the session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    None,
    /// Nothing, but its reply may take for ever, and it may still take an element meanwhile.
    Blocks,
    OpensTransaction,
    EndsTransaction,
    Watches,
    Unwatches,
    Selects(Option<u32>),
    ChangesIdentity,
    Listens,
    IsFinal,
    Refused(Refusal),
}

impl Session {
    /// Whether nothing is left behind.
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether frames may arrive between replies.
    pub(crate) fn may_push(&self) -> bool {
        self.listening || self.identity
    }

    /// Notes a command that is about to be sent.
    pub(crate) fn sent(&mut self, effect: Effect) {
        match effect {
            Effect::OpensTransaction => self.transaction = true,
            Effect::Watches => self.watching = true,
            Effect::Selects(_) => self.database = true,
            Effect::ChangesIdentity => self.identity = true,
            Effect::Listens => self.listening = true,
            Effect::IsFinal => self.beyond_reset = true,
            Effect::None
            | Effect::Blocks
            | Effect::EndsTransaction
            | Effect::Unwatches
            | Effect::Refused(_) => {}
        }
    }

    /// Notes the answer to a command; `home` is the connector's database.
    pub(crate) fn answered(&mut self, effect: Effect, reply: &Value, home: u32) {
        let done = match reply {
            Value::Error(error) => error.code() == "EXECABORT",
            reply => !reply.is_status("QUEUED"),
        };
        match effect {
            Effect::EndsTransaction if done => {
                self.transaction = false;
                self.watching = false;
            }
            // Nothing was open; a WATCH may still be.
            Effect::EndsTransaction if is_without_multi(reply) => self.transaction = false,
            Effect::Unwatches if reply.is_status("OK") => self.watching = false,
            Effect::Selects(Some(database)) if reply.is_status("OK") => {
                self.database = database != home;
            }
            _ => {}
        }
    }
}

/// Whether the server says that there is no transaction to end.
pub(crate) fn is_without_multi(reply: &Value) -> bool {
    matches!(reply, Value::Error(error) if error.message().contains("without MULTI"))
}

impl Effect {
    /// Judges a command by its name and, where that decides, its arguments.
    pub(crate) fn of(cmd: &Cmd) -> Self {
        let mut parts = cmd.parts();
        let name = Word::new(parts.next().unwrap_or_default());
        match name.as_bytes() {
            b"MULTI" => Self::OpensTransaction,
            b"EXEC" | b"DISCARD" => Self::EndsTransaction,
            b"WATCH" => Self::Watches,
            b"UNWATCH" => Self::Unwatches,
            b"SELECT" => Self::Selects(parts.next().and_then(parse_database)),
            b"AUTH" | b"HELLO" | b"RESET" | b"READONLY" | b"READWRITE" | b"ASKING" => {
                Self::ChangesIdentity
            }
            b"CLIENT" => Self::of_client(parts),
            b"SCRIPT" => match Word::new(parts.next().unwrap_or_default()).as_bytes() {
                b"DEBUG" => Self::IsFinal,
                _ => Self::None,
            },
            b"SUBSCRIBE" | b"PSUBSCRIBE" | b"SSUBSCRIBE" | b"UNSUBSCRIBE" | b"PUNSUBSCRIBE"
            | b"SUNSUBSCRIBE" | b"MONITOR" => Self::Listens,
            b"QUIT" | b"SHUTDOWN" => Self::IsFinal,
            b"SYNC" | b"PSYNC" => Self::Refused(Refusal::Replicates),
            b"BLPOP" | b"BRPOP" | b"BLMOVE" | b"BRPOPLPUSH" | b"BLMPOP" | b"BZPOPMIN"
            | b"BZPOPMAX" | b"BZMPOP" | b"WAIT" | b"WAITAOF" => Self::Blocks,
            b"XREAD" | b"XREADGROUP" => {
                let blocks = parts
                    .map(Word::new)
                    .take_while(|part| part.as_bytes() != b"STREAMS")
                    .any(|part| part.as_bytes() == b"BLOCK");
                if blocks { Self::Blocks } else { Self::None }
            }
            _ => Self::None,
        }
    }

    fn of_client<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> Self {
        match Word::new(parts.next().unwrap_or_default()).as_bytes() {
            b"REPLY" => match Word::new(parts.next().unwrap_or_default()).as_bytes() {
                b"ON" => Self::None,
                _ => Self::Refused(Refusal::Silences),
            },
            b"ID" | b"INFO" | b"LIST" | b"GETNAME" | b"GETREDIR" | b"TRACKINGINFO" | b"KILL"
            | b"PAUSE" | b"UNPAUSE" | b"UNBLOCK" | b"HELP" | b"SETINFO" => Self::None,
            b"SETNAME" | b"TRACKING" | b"CACHING" => Self::ChangesIdentity,
            // NO-EVICT, NO-TOUCH and what later servers add: RESET does not undo them all.
            _ => Self::IsFinal,
        }
    }
}

fn parse_database(argument: &[u8]) -> Option<u32> {
    std::str::from_utf8(argument).ok()?.parse().ok()
}

/// A command word in capitals, without an allocation. Longer words name no command known here.
struct Word {
    letters: [u8; 16],
    length: usize,
}

impl Word {
    fn new(bytes: &[u8]) -> Self {
        let mut letters = [0; 16];
        let length = if bytes.len() <= letters.len() {
            bytes.len()
        } else {
            0
        };
        letters[..length].copy_from_slice(&bytes[..length]);
        letters.make_ascii_uppercase();
        Self { letters, length }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.letters[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ServerError;

    fn after(steps: &[(&str, Value)]) -> Session {
        let mut session = Session::default();
        for (line, reply) in steps {
            let effect = effect(line);
            session.sent(effect);
            session.answered(effect, reply, 3);
        }
        session
    }

    fn effect(line: &str) -> Effect {
        let mut words = line.split(' ');
        let cmd = Cmd::new(words.next().unwrap_or_default());
        Effect::of(&words.fold(cmd, |cmd, word| cmd.arg(word)))
    }

    fn status(text: &str) -> Value {
        Value::Simple(text.to_owned())
    }

    fn error(text: &str) -> Value {
        Value::Error(ServerError::new(text))
    }

    #[test]
    fn a_transaction_ends_with_exec_or_discard() {
        let open = [("multi", status("OK")), ("SET a 1", status("QUEUED"))];
        assert!(after(&open).transaction);
        let ends = [
            ("EXEC", Value::Array(vec![])),
            ("exec", Value::Nil),
            ("DISCARD", status("OK")),
            ("EXEC", error("EXECABORT Transaction discarded")),
        ];
        for end in ends {
            let steps = [open[0].clone(), open[1].clone(), end];
            assert!(after(&steps).is_default(), "{steps:?}");
        }
    }

    #[test]
    fn a_failed_discard_leaves_the_transaction_open() {
        let session = after(&[
            ("MULTI", status("OK")),
            ("DISCARD now", error("ERR wrong number of arguments")),
        ]);
        assert!(session.transaction);
    }

    #[test]
    fn an_exec_without_a_transaction_proves_that_there_is_none_and_leaves_a_watch() {
        let session = after(&[
            ("WATCH k", status("OK")),
            ("MULTI", error("NOPERM no permission")),
            ("EXEC", error("ERR EXEC without MULTI")),
        ]);
        assert!(!session.transaction);
        assert!(session.watching);
    }

    #[test]
    fn watch_ends_with_exec_or_unwatch_but_not_with_a_queued_unwatch() {
        assert!(after(&[("WATCH k", status("OK"))]).watching);
        assert!(after(&[("WATCH k", status("OK")), ("UNWATCH", status("OK"))]).is_default());
        let queued = after(&[
            ("WATCH k", status("OK")),
            ("MULTI", status("OK")),
            ("UNWATCH", status("QUEUED")),
        ]);
        assert!(queued.watching);
    }

    #[test]
    fn select_is_state_unless_it_answers_from_the_home_database() {
        assert!(after(&[("SELECT 4", status("OK"))]).database);
        assert!(after(&[("SELECT 4", status("OK")), ("SELECT 3", status("OK"))]).is_default());
        assert!(after(&[("SELECT 3", status("QUEUED"))]).database);
        assert!(after(&[("SELECT x", error("ERR invalid DB index"))]).database);
    }

    #[test]
    fn commands_are_judged_by_what_they_leave() {
        let cases = [
            ("GET multi", Effect::None),
            ("SUBSCRIBE news", Effect::Listens),
            ("monitor", Effect::Listens),
            ("AUTH secret", Effect::ChangesIdentity),
            ("client SetName x", Effect::ChangesIdentity),
            ("CLIENT TRACKING ON", Effect::ChangesIdentity),
            ("CLIENT LIST", Effect::None),
            ("CLIENT NO-EVICT ON", Effect::IsFinal),
            ("CLIENT REPLY off", Effect::Refused(Refusal::Silences)),
            ("CLIENT REPLY SKIP", Effect::Refused(Refusal::Silences)),
            ("PSYNC ? -1", Effect::Refused(Refusal::Replicates)),
            ("BLPOP list 0", Effect::Blocks),
            ("XREAD COUNT 1 BLOCK 0 STREAMS s $", Effect::Blocks),
            ("XREAD STREAMS block 0", Effect::None),
            ("QUIT", Effect::IsFinal),
            ("AVERYLONGCOMMANDNAMEINDEED", Effect::None),
        ];
        for (line, expected) in cases {
            assert_eq!(effect(line), expected, "{line}");
        }
    }
}
