//! What others say (servers, drivers, the system), made fit to be shown: on a terminal, in a file or on a
//! page. All of it passes here once, on its way into the results or into an error.

use std::fmt::Write;

/// Characters of a message that are shown. What follows seldom says more, and a server can send a lot.
const LONGEST: usize = 300;

/// Shorter ones are found in texts that have nothing to do with them.
const SHORTEST_SECRET: usize = 4;

/// Shows texts of one target: without its password, without characters that act on a terminal instead of
/// being seen, and not without end.
#[derive(Clone, Default)]
pub struct Shown {
    secret: Option<String>,
}

impl Shown {
    /// For a target with this password, if it has one.
    pub fn without(secret: Option<String>) -> Self {
        Self {
            secret: secret.filter(|secret| secret.chars().count() >= SHORTEST_SECRET),
        }
    }

    /// `text` as it may be shown.
    pub fn of(&self, text: &str) -> String {
        match &self.secret {
            Some(secret) => cut(&visible(&text.replace(secret.as_str(), "***"))),
            None => cut(&visible(text)),
        }
    }
}

/// A line end is a space; other characters that are not seen are written out.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for letter in text.trim_end().chars() {
        match letter {
            '\r' | '\n' | '\t' => visible.push(' '),
            letter if is_unseen(letter) => {
                let _ = write!(visible, "\\u{{{:x}}}", u32::from(letter));
            }
            letter => visible.push(letter),
        }
    }
    visible
}

/// Control characters, and those that change the order in which others are read.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => {
            let left = text[end..].chars().count();
            format!("{}... ({left} characters more)", text[..end].trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Shown::default().of(text)
    }

    #[test]
    fn what_would_act_on_a_terminal_is_written_out() {
        assert_eq!(shown("\x1b[31mred\x07"), "\\u{1b}[31mred\\u{7}");
        assert_eq!(shown("\u{9b}2J\u{202e}evil"), "\\u{9b}2J\\u{202e}evil");
        assert_eq!(shown("ERR one\r\nERR two\r\n"), "ERR one  ERR two");
        assert_eq!(shown("le café du coin, 東京"), "le café du coin, 東京");
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let said = shown(&"é".repeat(60_000));
        assert!(said.ends_with("é... (59700 characters more)"), "{said}");
        assert!(said.chars().count() < LONGEST + 40);
    }

    #[test]
    fn a_password_that_a_server_sends_back_is_not_shown_not_even_where_the_text_is_cut() {
        let shown = Shown::without(Some("hunter2secret".into()));
        assert_eq!(shown.of("no hunter2secret here"), "no *** here");
        let text = "x".repeat(LONGEST - 6) + "hunter2secret";
        assert!(!shown.of(&text).contains("hunt"), "{}", shown.of(&text));
    }
}
