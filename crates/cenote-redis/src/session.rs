//! What a command leaves behind on its connection.
//!
//! Commands are inspected before they are sent, and state is assumed from then on: a command that
//! was cancelled may or may not have run. Only an answer that proves the default state back (EXEC,
//! DISCARD, UNWATCH, SELECT of the home database) clears it.

use std::time::Duration;

use crate::cmd::Cmd;
use crate::command_table::{self, Kind, Limit};
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
    /// Nothing, but its reply is about the connection itself.
    AboutConnection,
    /// Nothing, but its reply comes when something has happened, at the latest after this long if a time is given,
    /// and it may still take an element meanwhile.
    Blocks(Option<Duration>),
    /// The same, and it is about what this connection wrote.
    AwaitsReplicas(Option<Duration>),
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
            | Effect::AboutConnection
            | Effect::Blocks(_)
            | Effect::AwaitsReplicas(_)
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
    /// Judges a command by its name and, where that decides, its arguments. One that no server known here has is
    /// taken to be ordinary.
    pub(crate) fn of(cmd: &Cmd) -> Self {
        let mut parts = cmd.parts();
        let name = Word::new(parts.next().unwrap_or_default());
        match command_table::kind_of(name.as_bytes()) {
            Some(Kind::Client) => {
                let word = Word::new(parts.next().unwrap_or_default());
                // What later servers add: nobody knows whether RESET undoes it.
                let kind = command_table::client(word.as_bytes()).unwrap_or(Kind::IsFinal);
                Self::of_kind(kind, parts)
            }
            Some(Kind::Script) => {
                let word = Word::new(parts.next().unwrap_or_default());
                let kind = command_table::script(word.as_bytes()).unwrap_or(Kind::Ordinary);
                Self::of_kind(kind, parts)
            }
            kind => Self::of_kind(kind.unwrap_or(Kind::Ordinary), parts),
        }
    }

    fn of_kind<'a>(kind: Kind, mut arguments: impl Iterator<Item = &'a [u8]>) -> Self {
        match kind {
            Kind::Ordinary | Kind::Client | Kind::Script => Self::None,
            Kind::AboutConnection => Self::AboutConnection,
            Kind::Blocks(Limit::First) => Self::Blocks(arguments.next().and_then(seconds)),
            Kind::Blocks(Limit::Last) => Self::Blocks(arguments.last().and_then(seconds)),
            Kind::Blocks(Limit::Block) => match block_option(arguments) {
                Some(limit) => Self::Blocks(milliseconds(limit)),
                None => Self::None,
            },
            Kind::AwaitsReplicas => Self::AwaitsReplicas(arguments.last().and_then(milliseconds)),
            Kind::OpensTransaction => Self::OpensTransaction,
            Kind::EndsTransaction => Self::EndsTransaction,
            Kind::Watches => Self::Watches,
            Kind::Unwatches => Self::Unwatches,
            Kind::Selects => Self::Selects(arguments.next().and_then(parse_database)),
            Kind::ChangesIdentity => Self::ChangesIdentity,
            Kind::IsFinal => Self::IsFinal,
            Kind::Listens => Self::Listens,
            Kind::Replicates => Self::Refused(Refusal::Replicates),
            Kind::Silences => match arguments.next() {
                Some(word) if word.eq_ignore_ascii_case(b"ON") => Self::None,
                _ => Self::Refused(Refusal::Silences),
            },
        }
    }

    /// Whether an error in its place proves that the session is as it was before. `HELLO` may have logged in before it
    /// failed, and the end of a transaction judges its errors itself.
    pub(crate) fn is_undone_by_an_error(self) -> bool {
        match self {
            Self::OpensTransaction
            | Self::Watches
            | Self::Selects(_)
            | Self::Listens
            | Self::IsFinal => true,
            Self::None
            | Self::AboutConnection
            | Self::Blocks(_)
            | Self::AwaitsReplicas(_)
            | Self::EndsTransaction
            | Self::Unwatches
            | Self::ChangesIdentity
            | Self::Refused(_) => false,
        }
    }

    /// How long the server may take to answer a command that waits, if it says.
    pub(crate) fn longest_wait(self) -> Option<Duration> {
        match self {
            Self::Blocks(limit) | Self::AwaitsReplicas(limit) => limit,
            _ => None,
        }
    }

    /// Whether the reply comes only when something has happened.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Blocks(_) | Self::AwaitsReplicas(_))
    }
}

/// What `BLOCK` says among the options of `XREAD` or `XREADGROUP`, read as the server reads them: a group may be
/// called `STREAMS`.
fn block_option<'a>(mut options: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    while let Some(option) = options.next() {
        match Word::new(option).as_bytes() {
            b"BLOCK" => return Some(options.next().unwrap_or_default()),
            b"COUNT" | b"CLAIM" => _ = options.next(),
            b"GROUP" => _ = options.nth(1),
            b"STREAMS" => return None,
            _ => {}
        }
    }
    None
}

/// A time-out in seconds; none for 0, which is without end, and for what the server will not take either.
fn seconds(argument: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(argument).ok()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|limit| !limit.is_zero())
}

/// The same in milliseconds.
fn milliseconds(argument: &[u8]) -> Option<Duration> {
    let milliseconds: u64 = std::str::from_utf8(argument).ok()?.parse().ok()?;
    (milliseconds > 0).then(|| Duration::from_millis(milliseconds))
}

fn parse_database(argument: &[u8]) -> Option<u32> {
    std::str::from_utf8(argument).ok()?.parse().ok()
}

/// The length of the longest command name that is known here.
const LONGEST_NAME: usize = 20;

/// A command word in capitals, without an allocation. Longer words name no command known here.
struct Word {
    letters: [u8; LONGEST_NAME],
    length: usize,
}

impl Word {
    fn new(bytes: &[u8]) -> Self {
        let mut letters = [0; LONGEST_NAME];
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

    fn blocks(milliseconds: u64) -> Effect {
        Effect::Blocks(Some(Duration::from_millis(milliseconds)))
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
            ("client id", Effect::AboutConnection),
            ("CLIENT SETINFO LIB-NAME x", Effect::IsFinal),
            ("CLIENT REPLY ON", Effect::None),
            ("CLIENT FROM-THE-FUTURE", Effect::IsFinal),
            ("CLIENT NO-EVICT ON", Effect::IsFinal),
            ("CLIENT REPLY off", Effect::Refused(Refusal::Silences)),
            ("CLIENT REPLY SKIP", Effect::Refused(Refusal::Silences)),
            ("PSYNC ? -1", Effect::Refused(Refusal::Replicates)),
            ("REPLCONF GETACK *", Effect::Refused(Refusal::Replicates)),
            ("BLPOP list 0", Effect::Blocks(None)),
            ("BLPOP list nonsense", Effect::Blocks(None)),
            ("BLPOP list -1", Effect::Blocks(None)),
            ("BLPOP list 1e300", Effect::Blocks(None)),
            ("BRPOP a b 0.5", blocks(500)),
            ("BLMPOP 2 1 list LEFT", blocks(2_000)),
            ("XREAD COUNT 1 BLOCK 0 STREAMS s $", Effect::Blocks(None)),
            ("XREAD block 700 STREAMS s $", blocks(700)),
            (
                "XREADGROUP GROUP streams block COUNT 1 BLOCK 7 STREAMS s >",
                blocks(7),
            ),
            ("XREADGROUP GROUP block block STREAMS s >", Effect::None),
            ("WAIT 1 0", Effect::AwaitsReplicas(None)),
            (
                "WAITAOF 1 1 250",
                Effect::AwaitsReplicas(Some(Duration::from_millis(250))),
            ),
            ("XREAD STREAMS block 0", Effect::None),
            ("QUIT", Effect::IsFinal),
            ("AVERYLONGCOMMANDNAMEINDEED", Effect::None),
        ];
        for (line, expected) in cases {
            assert_eq!(effect(line), expected, "{line}");
        }
    }
}
