//! The options of a connection string that the driver does not know, taken out before it reads the text:
//! `sslrootcert`, and the values of `sslmode` that ask for what is done anyway.

use std::borrow::Cow;
use std::path::PathBuf;

use crate::error::ConfigError;

/// What a connection string says of TLS beyond what the driver knows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TlsOptions {
    /// The file with the certificates to trust.
    pub(crate) root_certificates: Option<PathBuf>,
}

/// The text for the driver, and the options that were in it. A text that cannot be read is left to the driver, which
/// says what is wrong.
pub(crate) fn split(text: &str) -> Result<(Cow<'_, str>, TlsOptions), ConfigError> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let pairs = if is_url {
        of_url(text)
    } else {
        of_keywords(text).unwrap_or_default()
    };
    let mut options = TlsOptions::default();
    let mut kept = String::new();
    let mut copied = 0;
    for Pair {
        start,
        end,
        key,
        value,
    } in pairs
    {
        let replacement = match (&*key, &*value) {
            ("sslrootcert", "") => {
                return Err(ConfigError::setting("sslrootcert", "is empty: name a file"));
            }
            ("sslrootcert", file) => {
                options.root_certificates = Some(file.into());
                ""
            }
            // A certificate is verified in any case, and the host with it.
            ("sslmode", "verify-full" | "verify-ca") => "sslmode=require",
            _ => continue,
        };
        kept.push_str(&text[copied..start]);
        kept.push_str(replacement);
        copied = end;
    }
    if copied == 0 {
        return Ok((text.into(), options));
    }
    kept.push_str(&text[copied..]);
    Ok((kept.into(), options))
}

/// One option: where it stands, and what it says.
struct Pair {
    start: usize,
    end: usize,
    key: String,
    value: String,
}

/// The options of a URL, behind the question mark. Credentials may hold one that is not encoded.
fn of_url(text: &str) -> Vec<Pair> {
    let host = text.find('@').unwrap_or(0);
    let Some(query) = text[host..].find('?') else {
        return Vec::new();
    };
    let mut start = host + query + 1;
    let mut pairs = Vec::new();
    for option in text[start..].split('&') {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        pairs.push(Pair {
            start,
            end: start + option.len(),
            key: decoded(key),
            value: decoded(value),
        });
        start += option.len() + 1;
    }
    pairs
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (first, after) {
            (b'%', [high, low, behind @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let byte = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                bytes.push(u8::try_from(byte).unwrap_or(b'?'));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The options of the form `key=value`, a value in single quotes or not; none if the text is not of that form.
fn of_keywords(text: &str) -> Option<Vec<Pair>> {
    let mut pairs = Vec::new();
    let mut at = 0;
    loop {
        at += blanks(&text[at..]);
        let start = at;
        if at == text.len() {
            return Some(pairs);
        }
        at += text[at..].find(|c: char| c == '=' || c.is_whitespace())?;
        let key = text[start..at].to_owned();
        at += blanks(&text[at..]);
        at += text[at..].strip_prefix('=').map(|_| 1)?;
        at += blanks(&text[at..]);
        let quoted = text[at..].starts_with('\'');
        at += usize::from(quoted);
        let mut value = String::new();
        let mut chars = text[at..].char_indices();
        let length = loop {
            match chars.next() {
                Some((_, '\\')) => value.extend(chars.next().map(|(_, c)| c)),
                Some((i, '\'')) if quoted => break i + 1,
                Some((i, c)) if !quoted && c.is_whitespace() => break i,
                Some((_, c)) => value.push(c),
                None if quoted => return None,
                None => break text.len() - at,
            }
        };
        at += length;
        pairs.push(Pair {
            start,
            end: at,
            key,
            value,
        });
    }
}

fn blanks(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parted(text: &str) -> (String, Option<String>) {
        let (rest, options) = split(text).expect("valid");
        let file = options.root_certificates;
        (
            rest.into_owned(),
            file.map(|file| file.display().to_string()),
        )
    }

    #[test]
    fn options_that_the_driver_does_not_know_are_taken_out() {
        for (text, rest, file) in [
            (
                "postgres://me@db/orders?sslmode=verify-full&sslrootcert=/etc/ca%20one.pem&keepalives=1",
                "postgres://me@db/orders?sslmode=require&&keepalives=1",
                Some("/etc/ca one.pem"),
            ),
            (
                "postgres://me:a?sslrootcert=b@db/orders",
                "postgres://me:a?sslrootcert=b@db/orders",
                None,
            ),
            (
                "host=db  sslrootcert = '/etc/it''s' sslmode=verify-ca",
                "host=db  sslrootcert = '/etc/it''s' sslmode=verify-ca",
                None,
            ),
            (
                "host=db sslrootcert = '/etc/it\\'s.pem' sslmode=verify-ca user=me",
                "host=db  sslmode=require user=me",
                Some("/etc/it's.pem"),
            ),
            ("host=db user=me", "host=db user=me", None),
        ] {
            assert_eq!(parted(text), (rest.to_owned(), file.map(str::to_owned)));
        }
    }
}
