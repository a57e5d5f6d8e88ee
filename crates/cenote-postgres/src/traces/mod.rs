//! What a statement may leave behind in its session, judged by its text.
//!
//! Promises to err on the side of a reset: only the statement kinds listed in [`PLAIN`], that call no functions
//! but harmless ones and those the connector was told to trust, count as leaving nothing; and a text that the
//! server may read in more than one way counts as leaving anything. Names are judged, not what they resolve
//! to: the documentation of [`ResetMode`](crate::ResetMode) lists what no text shows.

mod calls;
mod harmless;
mod lexer;

use std::sync::Arc;

use calls::{Called, Reader};
use lexer::{Lexer, Token};

/// What a statement may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traces {
    /// Nothing: it reads or changes rows.
    None,
    /// Session state, by a statement on rows.
    State,
    /// Session state, by a statement that may commit what it does on its own.
    Anything,
    /// Session state, and a transaction opened or ended.
    Transaction,
    /// What no reset undoes, or prepared statements that others rely on gone.
    Lasting,
}

/// Statements that by themselves leave a session as it was.
const PLAIN: [&str; 9] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "SHOW",
];

/// Statements that open a transaction or end one, some of them to open the next.
const BOUNDARIES: [&str; 7] = [
    "BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "PREPARE",
];

/// Statements whose effect no reset undoes.
const LASTING: [&str; 3] = ["DISCARD", "DEALLOCATE", "LOAD"];

/// Functions whose effect no reset undoes: the seed of `random()`, connections of an extension's own, whom a session
/// replicates for, a backup that it makes, and slots that last as long as it does.
const LASTING_FUNCTIONS: [&str; 10] = [
    "setseed",
    "dblink_connect",
    "dblink_connect_u",
    "pg_replication_origin_session_setup",
    "pg_backup_start",
    "pg_start_backup",
    "pg_create_physical_replication_slot",
    "pg_create_logical_replication_slot",
    "pg_copy_physical_replication_slot",
    "pg_copy_logical_replication_slot",
];

/// The setting that `RESET ALL` passes over.
const LASTING_SETTING: &str = "seed";

/// Functions that leave nothing, but whose answer depends on what the session did before.
const RETROSPECTIVE: [&str; 5] = [
    "currval",
    "lastval",
    "pg_advisory_unlock",
    "pg_advisory_unlock_all",
    "pg_advisory_unlock_shared",
];

/// Judges statements; knows which functions to trust beside PostgreSQL's own harmless ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    trusted: Arc<[Box<str>]>,
}

impl Judge {
    /// Takes `function` (`name` or `schema.name`) for one that leaves the session as it was.
    pub(crate) fn trust(&mut self, function: &str) {
        let known = self.trusted.iter().cloned();
        self.trusted = known.chain([function.into()]).collect();
    }

    pub(crate) fn trusted(&self) -> &[Box<str>] {
        &self.trusted
    }

    /// Judges one statement, as the extended protocol takes it.
    pub(crate) fn of_statement(&self, sql: &str) -> Traces {
        match first_word(Lexer::new(sql)) {
            Some(first) if is_any(first, &PLAIN) => self.of_rows(sql),
            Some(first) if is_any(first, &LASTING) => Traces::Lasting,
            // `SET seed`, and what a block, or a statement to be explained or prepared, calls.
            Some(_) if mentions_lasting(sql) => Traces::Lasting,
            Some(first) if is_any(first, &BOUNDARIES) => Traces::Transaction,
            Some(_) => Traces::Anything,
            None if Lexer::new(sql).any(|token| token == Token::Opaque) => Traces::Transaction,
            None => Traces::None,
        }
    }

    /// Judges several statements in one text, as the simple protocol takes them.
    pub(crate) fn of_batch(&self, sql: &str) -> Traces {
        if mentions_lasting(sql) {
            return Traces::Lasting;
        }
        let mut begins = true;
        let mut worst = Traces::Anything;
        for token in Lexer::new(sql) {
            match token {
                Token::Opaque => worst = Traces::Transaction,
                Token::Word(first) if begins && is_any(first, &LASTING) => return Traces::Lasting,
                Token::Word(first) if begins && is_any(first, &BOUNDARIES) => {
                    worst = Traces::Transaction;
                }
                _ => {}
            }
            begins = token == Token::Mark(b';');
        }
        worst
    }

    /// What a statement on rows leaves all the same.
    fn of_rows(&self, sql: &str) -> Traces {
        let mut traces = Traces::None;
        for sign in Reader::new(sql) {
            match sign {
                Called::Opaque => return Traces::Transaction,
                Called::State(_) => traces = Traces::State,
                Called::Function(name) if name.is_own_any(&LASTING_FUNCTIONS) => {
                    return Traces::Lasting;
                }
                Called::Function(name)
                    if self.is_harmless(&name) || name.is_own_any(&RETROSPECTIVE) => {}
                Called::Function(_) => traces = Traces::State,
            }
        }
        match traces {
            // As `set_config` and `pg_settings` take it; a column may have the same name.
            Traces::State if has_literal(sql, LASTING_SETTING) => Traces::Lasting,
            traces => traces,
        }
    }

    /// Why a statement does not stand alone: what it does, or what it answers, depends on the session's other
    /// users, or theirs on it.
    pub(crate) fn entanglement<'a>(&self, sql: &'a str) -> Option<Entanglement<'a>> {
        let first = first_word(Lexer::new(sql)).unwrap_or_default();
        if !is_any(first, &PLAIN) {
            return Some(Entanglement::Word(first));
        }
        Reader::new(sql).find_map(|sign| match sign {
            Called::Opaque => Some(Entanglement::Opaque),
            Called::State(word) => Some(Entanglement::Word(word)),
            Called::Function(name) if self.is_harmless(&name) => None,
            Called::Function(name) => Some(Entanglement::Function(name.as_written())),
        })
    }

    /// Whether a statement that leaves something may change how names without a schema resolve.
    pub(crate) fn moves_names(&self, sql: &str) -> bool {
        const SIGNS: [&str; 5] = ["search_path", "schema", "role", "authorization", "temp"];
        let sql = sql.as_bytes();
        SIGNS.iter().any(|sign| {
            let sign = sign.as_bytes();
            sql.windows(sign.len())
                .any(|part| part.eq_ignore_ascii_case(sign))
        })
    }

    fn is_harmless(&self, name: &calls::Name<'_>) -> bool {
        name.is_harmless() || self.trusted.iter().any(|trusted| name.is(trusted))
    }
}

/// What makes a statement unfit for a session that others use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entanglement<'a> {
    /// A word that stands for it: the statement's kind, or what it names. Empty when there is none.
    Word(&'a str),
    /// A call of a function that may change the session.
    Function(&'a str),
    /// The text can be read in more than one way.
    Opaque,
}

fn first_word<'a>(tokens: Lexer<'a>) -> Option<&'a str> {
    let mut tokens = tokens.skip_while(|token| matches!(token, Token::Mark(b'(' | b';')));
    match tokens.next() {
        Some(Token::Word(word)) => Some(word),
        _ => None,
    }
}

/// Whether what no reset undoes is named anywhere in the text, in literals too.
fn mentions_lasting(sql: &str) -> bool {
    let mut words = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.any(|word| is_any(word, &LASTING_FUNCTIONS) || is_any(word, &[LASTING_SETTING]))
}

/// Whether this text stands in single quotes by itself.
fn has_literal(sql: &str, text: &str) -> bool {
    let mut parts = sql.split('\'').skip(1);
    parts.any(|part| part.eq_ignore_ascii_case(text))
}

fn is_any(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| word.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests;
