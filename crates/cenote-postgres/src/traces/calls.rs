//! What in a statement on rows may change the session: the functions it calls, and a few things by name.
//!
//! A call is a name before a parenthesis, where the grammar has no other use for one there. Where that is not
//! sure, it is a call.

use super::harmless;
use super::lexer::{Lexer, Token};
use super::{PLAIN, is_any};

/// One thing that may change the session.
#[derive(Clone, Copy, Debug)]
pub(super) enum Called<'a> {
    /// A function.
    Function(Name<'a>),
    /// What changes the session whichever functions are called, by the word that says so.
    State(&'a str),
    /// The rest can be read in more than one way.
    Opaque,
}

/// A function's name as it is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    schema: Option<Identifier<'a>>,
    function: Identifier<'a>,
}

impl<'a> Name<'a> {
    /// The function's own name, without its schema.
    pub(super) fn as_written(&self) -> &'a str {
        self.function.text
    }

    /// Whether it is one of these, which are in lower case, whatever the schema.
    pub(super) fn is_own_any(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.function.is(name))
    }

    /// Whether it is this `name` or `schema.name`.
    pub(super) fn is(&self, trusted: &str) -> bool {
        match (trusted.split_once('.'), self.schema) {
            (Some((schema, name)), Some(own)) => own.is(schema) && self.function.is(name),
            (Some(_), None) => false,
            (None, _) => self.function.is(trusted),
        }
    }

    pub(super) fn is_harmless(&self) -> bool {
        self.schema.is_none_or(|schema| schema.is("pg_catalog")) && self.function.is_harmless()
    }
}

/// A name, with the server's rule for its case.
#[derive(Clone, Copy, Debug)]
struct Identifier<'a> {
    text: &'a str,
    spelling: Spelling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    /// Without quotes: the server folds it to lower case.
    Folded,
    Quoted,
}

impl Identifier<'_> {
    fn is(&self, name: &str) -> bool {
        match self.spelling {
            Spelling::Quoted => self.text == name,
            // The server compares in lower case: a name with capitals can only be meant in quotes.
            Spelling::Folded => {
                self.text.len() == name.len()
                    && self
                        .text
                        .bytes()
                        .zip(name.bytes())
                        .all(|(written, own)| written.to_ascii_lowercase() == own)
            }
        }
    }

    fn is_harmless(&self) -> bool {
        let mut folded = [0; 64];
        let Some(folded) = folded.get_mut(..self.text.len()) else {
            return false;
        };
        folded.copy_from_slice(self.text.as_bytes());
        if self.spelling == Spelling::Folded {
            folded.make_ascii_lowercase();
        }
        str::from_utf8(folded).is_ok_and(harmless::is_harmless)
    }
}

/// Key words that no function can have for a name, unless in quotes.
const RESERVED: [&str; 51] = [
    "ALL",
    "AND",
    "ANY",
    "ARRAY",
    "AS",
    "ASC",
    "ASYMMETRIC",
    "BETWEEN",
    "BOTH",
    "CASE",
    "COLLATE",
    "DEFAULT",
    "DESC",
    "DISTINCT",
    "DO",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "FETCH",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "IN",
    "INTERSECT",
    "INTO",
    "LATERAL",
    "LEADING",
    "LIMIT",
    "NOT",
    "OFFSET",
    "ON",
    "ONLY",
    "OR",
    "ORDER",
    "PLACING",
    "RETURNING",
    "SELECT",
    "SOME",
    "SYMMETRIC",
    "THEN",
    "TO",
    "TRAILING",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Reads a statement and tells what may change the session, in the order of the text.
pub(super) struct Reader<'a> {
    tokens: Lexer<'a>,
    /// The last token.
    last: Option<Token<'a>>,
    /// The name that the last token is, or ends.
    name: Option<Name<'a>>,
    /// The token before that name.
    before: Option<Token<'a>>,
    /// Whether the statement has the word UPDATE.
    updates: bool,
    /// What each open parenthesis is for; the first is the statement itself.
    levels: Vec<Level>,
    /// A list of common table expressions goes on, with a name that may have a list of columns.
    next_of_with: bool,
}

/// What a pair of parentheses holds.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    role: Role,
    /// It began with WITH, and its main statement is still to come.
    in_with: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Other,
    /// A query of a list of common table expressions.
    QueryOfWith,
    /// What stands between an expression and the next: DISTINCT ON (...), OPERATOR (...).
    Prefix,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        let updates = |token| matches!(token, Token::Word(word) if is(word, "UPDATE"));
        Self {
            tokens: Lexer::new(sql),
            last: None,
            name: None,
            before: None,
            updates: Lexer::new(sql).any(updates),
            levels: vec![Level::default()],
            next_of_with: false,
        }
    }

    fn identifier(&mut self, identifier: Identifier<'a>) -> Option<Called<'a>> {
        let qualified = self.last == Some(Token::Mark(b'.'));
        let schema = self.name.filter(|_| qualified).map(|name| name.function);
        if schema.is_none() {
            self.before = self.last;
        }
        self.name = Some(Name {
            schema,
            function: identifier,
        });
        self.keyword(identifier);
        self.named(identifier)
    }

    /// Follows where a list of common table expressions begins and ends.
    fn keyword(&mut self, identifier: Identifier<'a>) {
        if identifier.spelling == Spelling::Quoted {
            return;
        }
        let begins = matches!(self.last, None | Some(Token::Mark(b'(')));
        if let Some(level) = self.levels.last_mut() {
            if begins && is(identifier.text, "WITH") {
                level.in_with = true;
            } else if is_any(identifier.text, &PLAIN) {
                level.in_with &= is(identifier.text, "WITH");
            }
        }
    }

    /// What changes the session by being named.
    fn named(&self, identifier: Identifier<'a>) -> Option<Called<'a>> {
        let text = identifier.text;
        let temporary = identifier.spelling == Spelling::Folded
            && is_any(text, &["TEMP", "TEMPORARY"])
            && follows(self.last, &["INTO", "LOCAL", "GLOBAL"]);
        let in_temporary = text.get(..7).is_some_and(|head| is(head, "pg_temp"));
        // A rule of this view sets what is updated in it.
        let settings = self.updates && identifier.is("pg_settings");
        (temporary || in_temporary || settings).then_some(Called::State(text))
    }

    fn opens(&mut self) -> Option<Called<'a>> {
        let in_with = self.levels.last().is_some_and(|level| level.in_with);
        let role = if in_with && follows(self.last, &["AS", "MATERIALIZED"]) {
            Role::QueryOfWith
        } else if follows(self.last, &["OPERATOR"])
            || follows(self.last, &["ON"]) && follows(self.before, &["DISTINCT"])
        {
            Role::Prefix
        } else {
            Role::Other
        };
        self.levels.push(Level {
            role,
            in_with: false,
        });
        let name = self.name.take()?;
        (!self.is_no_call(name)).then_some(Called::Function(name))
    }

    /// What the token counts as that closes the innermost parenthesis.
    fn closes(&mut self) -> Token<'a> {
        let closed = self.levels.pop().unwrap_or_default();
        match closed.role {
            Role::Other => Token::Mark(b')'),
            Role::QueryOfWith => {
                self.next_of_with = true;
                Token::Mark(b')')
            }
            // What follows it is an expression, as after a key word.
            Role::Prefix => Token::Word("ON"),
        }
    }

    /// Whether the grammar has another use for this name before a parenthesis.
    fn is_no_call(&self, name: Name<'a>) -> bool {
        if name.schema.is_none() && name.function.spelling == Spelling::Folded {
            let word = name.function.text;
            if is_any(word, &RESERVED) || self.is_syntax(word) {
                return true;
            }
        }
        match self.before {
            // The columns of a table or an alias, a type, the columns of a common table expression.
            Some(Token::Word(word)) => is_any(word, &["INTO", "AS", "WITH", "RECURSIVE"]),
            Some(Token::Cast) => true,
            Some(Token::Mark(b',')) => self.next_of_with,
            // An alias without AS.
            before => ends_operand(before),
        }
    }

    /// Whether this word, which a function may be called as well, is one of the grammar's in this place.
    fn is_syntax(&self, word: &str) -> bool {
        let after = |words: &[&str]| follows(self.before, words);
        match SYNTAX.iter().find(|known| is(word, known)) {
            Some(&("OVER" | "FILTER")) => self.before == Some(Token::Mark(b')')),
            Some(&"BY") => after(&["GROUP", "ORDER", "PARTITION"]),
            Some(&"SETS") => after(&["GROUPING"]),
            Some(&"CONFLICT") => after(&["ON"]),
            Some(&"MATERIALIZED") => after(&["AS", "NOT"]),
            Some(&"INSERT") => after(&["THEN"]),
            Some(&"ZONE") => after(&["TIME"]),
            Some(_) => match self.before {
                Some(Token::Word(word)) => !is_any(word, &RESERVED),
                before => ends_operand(before),
            },
            None => false,
        }
    }
}

/// Key words that stand before a parenthesis, and that functions may have for names.
const SYNTAX: [&str; 10] = [
    "OVER",
    "FILTER",
    "BY",
    "SETS",
    "CONFLICT",
    "MATERIALIZED",
    "INSERT",
    "ZONE",
    "SET",
    "JOIN",
];

fn follows(token: Option<Token<'_>>, words: &[&str]) -> bool {
    matches!(token, Some(Token::Word(word)) if is_any(word, words))
}

/// Whether a value ends here, other than with a word.
fn ends_operand(token: Option<Token<'_>>) -> bool {
    matches!(
        token,
        Some(Token::Quoted(_) | Token::Value | Token::Mark(b')' | b']'))
    )
}

fn is(word: &str, known: &str) -> bool {
    word.eq_ignore_ascii_case(known)
}

impl<'a> Iterator for Reader<'a> {
    type Item = Called<'a>;

    fn next(&mut self) -> Option<Called<'a>> {
        loop {
            let token = self.tokens.next()?;
            let mut counts_as = token;
            let found = match token {
                Token::Word(text) => self.identifier(Identifier {
                    text,
                    spelling: Spelling::Folded,
                }),
                Token::Quoted(text) => self.identifier(Identifier {
                    text,
                    spelling: Spelling::Quoted,
                }),
                Token::Mark(b'(') => self.opens(),
                Token::Mark(b')') => {
                    self.name = None;
                    counts_as = self.closes();
                    None
                }
                Token::Mark(b'.') => None,
                Token::Opaque => Some(Called::Opaque),
                _ => {
                    self.name = None;
                    None
                }
            };
            // The name that follows the comma of such a list, and the comma itself.
            let in_list = matches!(token, Token::Mark(b')' | b',' | b'.'))
                || matches!(token, Token::Word(_) | Token::Quoted(_))
                    && self.before == Some(Token::Mark(b','));
            self.next_of_with &= in_list;
            self.last = Some(counts_as);
            if found.is_some() {
                return found;
            }
        }
    }
}
