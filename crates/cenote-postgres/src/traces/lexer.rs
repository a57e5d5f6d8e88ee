//! SQL text in tokens, as PostgreSQL's own lexer cuts it, as far as judging a statement needs that.
//!
//! Promises never to take for a comment or a literal what the server would read as SQL. Where that depends on
//! a setting of the session (`standard_conforming_strings`), or a name is spelled in escapes, or the text ends
//! too early, the text is [`Token::Opaque`]: nobody can judge it. Comments nest; they and white space are skipped.

/// A piece of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A key word, or a name without quotes, as written.
    Word(&'a str),
    /// What stands between the double quotes of a name; doubled ones are still doubled.
    Quoted(&'a str),
    /// A literal or a parameter: no name, no operator.
    Value,
    /// The two colons between a value and its type.
    Cast,
    /// Any other character, one byte of an operator as well.
    Mark(u8),
    /// Text that the server may read in more than one way; nothing after it is told.
    Opaque,
}

/// The tokens of a text.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    /// Takes `length` bytes, which end at a character's end.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn opaque(&mut self) -> Token<'a> {
        self.rest = "";
        Token::Opaque
    }

    fn skip_blanks(&mut self) -> Result<(), Unended> {
        loop {
            self.rest = self.rest.trim_start_matches(is_blank);
            if let Some(comment) = self.rest.strip_prefix("--") {
                let end = comment.find(['\n', '\r']).unwrap_or(comment.len());
                self.rest = &comment[end..];
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = after_block_comment(comment)?;
            } else {
                return Ok(());
            }
        }
    }

    fn word(&mut self) -> Token<'a> {
        let length = self.rest.find(|c| !continues_word(c));
        let word = self.take(length.unwrap_or(self.rest.len()));
        let next = self.rest.as_bytes();
        match (word, next) {
            ("e" | "E", [b'\'', ..]) => self.literal(Escapes::Backslash),
            ("b" | "B" | "x" | "X" | "n" | "N", [b'\'', ..]) => self.literal(Escapes::BySetting),
            // A name spelled in escapes; and a literal that only some settings of the session allow.
            ("u" | "U", [b'&', b'"' | b'\'', ..]) => self.opaque(),
            _ => Token::Word(word),
        }
    }

    fn quoted(&mut self) -> Token<'a> {
        let inside = &self.rest[1..];
        match closing(inside, b'"') {
            Some(end) => {
                self.take(end + 2);
                Token::Quoted(&inside[..end])
            }
            None => self.opaque(),
        }
    }

    /// A literal in single quotes, whose opening one comes next.
    fn literal(&mut self, escapes: Escapes) -> Token<'a> {
        let inside = &self.rest[1..];
        let end = match escapes {
            Escapes::BySetting => closing(inside, b'\''),
            Escapes::Backslash => closing_with_backslashes(inside),
        };
        match end {
            None => self.opaque(),
            // With `standard_conforming_strings` off, such a quote would not end the literal.
            Some(end) if escapes == Escapes::BySetting && inside[..=end].contains("\\'") => {
                self.opaque()
            }
            Some(end) => {
                self.take(end + 2);
                Token::Value
            }
        }
    }

    /// `$1`, `$tag$...$tag$`, or a dollar sign by itself.
    fn dollar(&mut self) -> Token<'a> {
        let after = &self.rest[1..];
        if after.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = after.find(|c: char| !c.is_ascii_digit());
            self.take(1 + digits.unwrap_or(after.len()));
            return Token::Value;
        }
        let tag = after.find(|c| c == '$' || !continues_word(c));
        let Some(tag) = tag.filter(|&end| after[end..].starts_with('$')) else {
            self.take(1);
            return Token::Mark(b'$');
        };
        let delimiter = &self.rest[..tag + 2];
        let body = &self.rest[delimiter.len()..];
        match body.find(delimiter) {
            Some(end) => {
                self.take(end + 2 * delimiter.len());
                Token::Value
            }
            None => self.opaque(),
        }
    }
}

impl<'a> Iterator for Lexer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if self.skip_blanks().is_err() {
            return Some(self.opaque());
        }
        let first = self.rest.chars().next()?;
        Some(match first {
            '"' => self.quoted(),
            '\'' => self.literal(Escapes::BySetting),
            '$' => self.dollar(),
            ':' if self.rest.starts_with("::") => {
                self.take(2);
                Token::Cast
            }
            _ if first.is_ascii_digit() => {
                let digits = self.rest.find(|c: char| !c.is_ascii_digit());
                self.take(digits.unwrap_or(self.rest.len()));
                Token::Value
            }
            _ if continues_word(first) => self.word(),
            _ => {
                // Every character beyond ASCII continues a word.
                Token::Mark(self.take(1).as_bytes()[0])
            }
        })
    }
}

/// What a backslash means in a literal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// It takes the next character with it.
    Backslash,
    /// That, or nothing.
    BySetting,
}

/// A comment without an end.
struct Unended;

/// The server's own notion, which is ASCII's.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

fn continues_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// Where the quote is that ends what it quotes; doubled, it does not.
fn closing(inside: &str, quote: u8) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        at += bytes[at..].iter().position(|&byte| byte == quote)?;
        if bytes.get(at + 1) != Some(&quote) {
            return Some(at);
        }
        at += 2;
    }
}

fn closing_with_backslashes(inside: &str) -> Option<usize> {
    let bytes = inside.as_bytes();
    let mut at = 0;
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'\\', _) | (b'\'', Some(b'\'')) => at += 2,
            (b'\'', _) => return Some(at),
            _ => at += 1,
        }
    }
}

/// What follows a block comment whose opening was already taken; such comments nest.
fn after_block_comment(text: &str) -> Result<&str, Unended> {
    let mut depth = 1;
    let mut rest = text;
    loop {
        rest = &rest[rest.find(['*', '/']).ok_or(Unended)?..];
        if let Some(closed) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = closed;
            if depth == 0 {
                return Ok(rest);
            }
        } else if let Some(opened) = rest.strip_prefix("/*") {
            depth += 1;
            rest = opened;
        } else {
            rest = &rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token::{Cast, Mark, Opaque, Quoted, Value, Word};
    use super::*;

    fn tokens(sql: &str) -> Vec<Token<'_>> {
        Lexer::new(sql).collect()
    }

    #[test]
    fn words_are_told_from_what_stands_between_them() {
        let expected = [
            Word("SELECT"),
            Word("a$b"),
            Mark(b'.'),
            Quoted("C \"\" d"),
            Mark(b','),
            Value,
            Word("é_1"),
            Cast,
            Word("int4"),
            Mark(b':'),
        ];
        assert_eq!(tokens("SELECT a$b.\"C \"\" d\",$12 é_1::int4:"), expected);
    }

    #[test]
    fn comments_are_skipped_and_nest() {
        assert_eq!(
            tokens("/* a /* b */ ' */ SELECT -- '\n 1 /**/"),
            [Word("SELECT"), Value]
        );
    }

    #[test]
    fn a_comment_begins_inside_an_operator_as_well() {
        assert_eq!(
            tokens("+--x\n*/* y */-"),
            [Mark(b'+'), Mark(b'*'), Mark(b'-')]
        );
    }

    #[test]
    fn literals_of_every_spelling_are_one_value() {
        for literal in [
            "'it''s -- no comment'",
            "'back\\slash'",
            "E'it\\'s'",
            "e'a\\\\'",
            "B'01'",
            "x'ff'",
            "n'a'",
            "$$ ' $ $$",
            "$tag$ $$ $other$ $tag$",
            "''",
        ] {
            assert_eq!(
                tokens(&format!("{literal}x")),
                [Value, Word("x")],
                "{literal}"
            );
        }
    }

    #[test]
    fn a_letter_that_ends_a_word_makes_no_literal_of_another_kind() {
        assert_eq!(tokens("like'a\\b'"), [Word("like"), Value]);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_opaque() {
        for sql in [
            "'\\' OR f() --'",
            "U&\"set\\005fconfig\"()",
            "u&'\\0061'",
            "'no end",
            "\"no end",
            "/* no /* end */",
            "$$ no end",
            "$a$ no end $A$",
            "E'no end\\'",
        ] {
            assert_eq!(tokens(sql), [Opaque], "{sql}");
        }
    }

    #[test]
    fn a_string_goes_on_in_the_next_line_with_its_own_escapes_in_doubt() {
        assert_eq!(tokens("E'a'\n'b\\' f() '"), [Value, Opaque]);
    }

    /// Whatever the text, the lexer ends and never cuts a character in two.
    #[test]
    fn any_text_is_cut_without_a_panic() {
        let parts = [
            "'", "\"", "$", "$a$", "--", "/*", "*/", "\\", "E'", "U&\"", "é", "\n", "(", "1", "a",
            " ", "€",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let length = random.usize(0..12);
            let sql: String = (0..length)
                .map(|_| parts[random.usize(0..parts.len())])
                .collect();
            assert!(tokens(&sql).len() <= sql.len(), "{sql}");
        }
    }

    /// A name beside literals and comments of any kind is found, and found there only.
    #[test]
    fn a_word_is_found_behind_any_literals_and_comments() {
        let hidden = [
            "'f()'",
            "'it''s f()'",
            "E'\\' f()'",
            "$$f()$$",
            "$q$ ' f() $q$",
            "-- f()\n",
            "/* f() /* f() */ */",
            "\"f()\"",
            "x'f'",
        ];
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..5_000 {
            let mut hide = || -> String {
                let count = random.usize(0..4);
                (0..count)
                    .map(|_| format!(" {} ", hidden[random.usize(0..hidden.len())]))
                    .collect()
            };
            let sql = format!("{}g{}", hide(), hide());
            let words: Vec<_> = Lexer::new(&sql)
                .filter(|token| matches!(token, Word(_)))
                .collect();
            assert_eq!(words, [Word("g")], "{sql}");
        }
    }
}
