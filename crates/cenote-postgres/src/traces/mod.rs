//! What a statement may leave behind in its session, judged by its text.
//!
//! Promises to err on the side of a reset: only the statement kinds listed in [`PLAIN`], without the
//! words that are known to leave something, count as leaving nothing. Cannot see what the body of a
//! function does; [`ResetMode::Full`](crate::ResetMode::Full) is for sessions that call such functions.

/// What a statement may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traces {
    /// Nothing: it reads or changes rows.
    None,
    /// Session state, though it can neither open nor end a transaction.
    State,
    /// Anything, an open transaction included.
    Anything,
    /// Prepared statements that others rely on may be gone.
    Deallocated,
}

/// Statements that by themselves leave a session as it was.
const PLAIN: [&str; 9] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "SHOW",
];

/// Judges one statement, as the extended protocol takes it.
pub(crate) fn of_statement(sql: &str) -> Traces {
    let first = first_word(sql);
    if deallocates(first) {
        Traces::Deallocated
    } else if !is_any(first, &PLAIN) {
        Traces::Anything
    } else if leaving_word(sql).is_some() {
        Traces::State
    } else {
        Traces::None
    }
}

/// Judges several statements in one text, as the simple protocol takes them.
pub(crate) fn of_batch(sql: &str) -> Traces {
    if sql
        .split(';')
        .any(|statement| deallocates(first_word(statement)))
    {
        Traces::Deallocated
    } else {
        Traces::Anything
    }
}

fn deallocates(first: &str) -> bool {
    is_any(first, &["DISCARD", "DEALLOCATE"])
}

/// The word by which a statement on rows leaves something all the same.
fn leaving_word(sql: &str) -> Option<&str> {
    // A comment may stand between two words that belong together.
    let commented = sql.contains("--") || sql.contains("/*");
    let mut before = "";
    words(sql).find(|word| {
        // SELECT ... INTO TEMP makes a table that lasts as long as the session; a column may have the name.
        let temporary = is_any(word, &["TEMP", "TEMPORARY"])
            && (commented || is_any(before, &["INTO", "LOCAL", "GLOBAL"]));
        before = word;
        temporary
            || is_any(word, &["pg_temp", "set_config"])
            || starts_with(word, "pg_advisory_lock")
            || starts_with(word, "pg_try_advisory_lock")
    })
}

/// The word because of which a statement does not stand alone: what it does, or what it answers, depends on
/// the session's other users, or theirs on it.
pub(crate) fn entangling_word(sql: &str) -> Option<&str> {
    let first = first_word(sql);
    if !is_any(first, &PLAIN) {
        return Some(first);
    }
    leaving_word(sql).or_else(|| {
        words(sql).find(|word| {
            is_any(word, &["currval", "lastval", "setseed"])
                || starts_with(word, "pg_advisory_unlock")
        })
    })
}

fn is_any(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| word.eq_ignore_ascii_case(known))
}

fn starts_with(word: &str, prefix: &str) -> bool {
    word.get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// The first word after any comments.
fn first_word(sql: &str) -> &str {
    let mut rest = sql;
    loop {
        rest = rest.trim_start_matches(|c: char| !is_word(c) && c != '-' && c != '/');
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find('\n').map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_block_comment(comment);
        } else if rest.starts_with(['-', '/']) {
            rest = &rest[1..];
        } else {
            return words(rest).next().unwrap_or_default();
        }
    }
}

/// All words, those in comments and string literals included: telling them apart takes a full lexer, and
/// a mistake would hide the very words that matter.
fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|c: char| !is_word(c))
        .filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What follows a block comment whose opening was already taken; such comments nest.
fn after_block_comment(text: &str) -> &str {
    let mut depth = 1;
    let mut rest = text;
    while let Some(at) = rest.find(['*', '/']) {
        let here = &rest[at..];
        if let Some(closed) = here.strip_prefix("*/") {
            depth -= 1;
            rest = closed;
            if depth == 0 {
                return rest;
            }
        } else if let Some(opened) = here.strip_prefix("/*") {
            depth += 1;
            rest = opened;
        } else {
            rest = &here[1..];
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_on_rows_leave_nothing() {
        for sql in [
            "SELECT 1",
            "  select * from orders where id = $1 for update",
            "insert into orders (id) values ($1) returning id",
            "UPDATE orders SET paid = true",
            "DELETE FROM orders",
            "WITH due AS (SELECT 1) SELECT * FROM due",
            "-- the answer\n/* of /* all */ */ SELECT 42",
            "(SELECT 1) UNION (SELECT 2)",
            "VALUES (1)",
            "SELECT temperature, template FROM attempts",
            "SELECT pg_advisory_xact_lock(1)",
            "SELECT 10 / 2 - 3",
            "SELECT temp FROM readings",
            "INSERT INTO readings (temp) VALUES ($1)",
        ] {
            assert_eq!(of_statement(sql), Traces::None, "{sql}");
        }
    }

    #[test]
    fn functions_and_tables_known_to_outlive_the_statement_leave_state() {
        for sql in [
            "SELECT set_config('search_path', 'other', false)",
            "select pg_catalog.SET_CONFIG('a.b', 'c', false)",
            "SELECT pg_advisory_lock(42)",
            "SELECT pg_try_advisory_lock_shared(42)",
            "SELECT 1 AS a INTO TEMP kept",
            "SELECT 1 AS a INTO TEMPORARY TABLE kept",
            "SELECT 1 AS a INTO LOCAL TEMP kept",
            "SELECT 1 AS a INTO /* a */ TEMP kept",
            "INSERT INTO pg_temp.kept VALUES (1)",
            "SELECT '--', pg_advisory_lock(42)",
        ] {
            assert_eq!(of_statement(sql), Traces::State, "{sql}");
        }
    }

    #[test]
    fn every_other_statement_may_leave_anything() {
        for sql in [
            "BEGIN",
            "start transaction",
            "SET search_path = other",
            "LISTEN news",
            "CREATE TEMP TABLE t (a int)",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "PREPARE mine AS SELECT 1",
            "DO $$ BEGIN END $$",
            "CALL procedure()",
            "COPY t FROM STDIN",
            "EXPLAIN ANALYZE SELECT 1",
            "/* SELECT */ LOCK TABLE t",
            "/* SELECT",
            "--",
            "é",
            "",
        ] {
            assert_eq!(of_statement(sql), Traces::Anything, "{sql}");
        }
    }

    #[test]
    fn statements_that_drop_prepared_statements_are_told_apart() {
        assert_eq!(of_statement("DISCARD ALL"), Traces::Deallocated);
        assert_eq!(of_statement("deallocate s1"), Traces::Deallocated);
        assert_eq!(of_batch("SELECT 1; DEALLOCATE ALL"), Traces::Deallocated);
        assert_eq!(
            of_batch("SELECT 1 /* ; */; DISCARD ALL"),
            Traces::Deallocated
        );
    }

    #[test]
    fn statements_that_read_or_change_what_a_session_keeps_do_not_stand_alone() {
        for (sql, word) in [
            ("BEGIN", "BEGIN"),
            ("-- mine\nset search_path = other", "set"),
            ("SELECT set_config('a.b', 'c', false)", "set_config"),
            ("SELECT pg_advisory_unlock_all()", "pg_advisory_unlock_all"),
            ("SELECT lastval()", "lastval"),
            ("SELECT pg_catalog.currval('ids')", "currval"),
            ("SELECT setseed(0.5)", "setseed"),
            ("", ""),
        ] {
            assert_eq!(entangling_word(sql), Some(word), "{sql}");
        }
        assert_eq!(entangling_word("SELECT nextval('ids')"), None);
    }

    #[test]
    fn batches_may_leave_anything() {
        assert_eq!(of_batch("SELECT 1; SELECT 2"), Traces::Anything);
    }
}
