//! Passwords in URLs.

use std::fmt::Write;

/// `text` as the user part of a URL may contain it: all but letters, digits and `-._~` encoded.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn what_has_a_meaning_in_a_url_is_encoded() {
        assert_eq!(percent_encoded("p@ss:w/rd-1_2"), "p%40ss%3Aw%2Frd-1_2");
    }
}
