//! A database's URL as typed: what may hold a password, which part of it is one, and how a password that
//! comes from elsewhere is put in. It shows nothing of itself.

use std::fmt;

/// A URL with a scheme that a driver knows. It has at most one `@`, which ends the user and the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// From where to where the user and the password go, without the `@`.
    credentials: Option<(usize, usize)>,
}

/// Names that drivers' messages may have in quotes. They are no passwords.
const SETTINGS: [&str; 28] = [
    "application_name",
    "channel_binding",
    "client_name",
    "connect_timeout",
    "database",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "protocol",
    "require",
    "ssl",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
    "verify-full",
];

/// The user and the password have characters that may as well mean something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unencoded;

impl Url {
    /// Reads `scheme://rest`.
    pub fn new(scheme: &str, rest: &str) -> Result<Self, Unencoded> {
        let text = format!("{}://{rest}", scheme.to_ascii_lowercase());
        let begin = text.len() - rest.len();
        let credentials = match rest.split_once('@') {
            None => None,
            // Which `@` ends the password? Taking the wrong one shows a part of it as the host.
            Some((_, after)) if after.contains('@') => return Err(Unencoded),
            Some((before, _)) if could_be_places(before) => return Err(Unencoded),
            Some((before, _)) => Some((begin, begin + before.len())),
        };
        Ok(Self { text, credentials })
    }

    /// With the password.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Whether it begins with `scheme://`, which is in lower case.
    pub fn is_of(&self, scheme: &str) -> bool {
        self.text
            .strip_prefix(scheme)
            .is_some_and(|rest| rest.starts_with("://"))
    }

    /// The password in it, decoded.
    pub fn password(&self) -> Option<String> {
        let beside_the_user = self.credentials().split_once(':');
        let encoded = match beside_the_user.map(|(_, password)| password) {
            Some("") | None => self.option("password").or(self.option("pass"))?,
            Some(password) => password,
        };
        Some(decoded(encoded)).filter(|password| !password.is_empty())
    }

    /// The value of an option, as written.
    pub fn option(&self, name: &str) -> Option<&str> {
        let (_, options) = self.after_credentials().split_once('?')?;
        let pairs = options.split('&').filter_map(|pair| pair.split_once('='));
        let mut named = pairs.filter(|(key, _)| decoded(key) == name);
        named.next_back().map(|(_, value)| value)
    }

    /// The same URL with a password beside its user.
    pub fn with_password(&self, password: &str) -> Self {
        let (begin, end) = self
            .credentials
            .unwrap_or_else(|| (self.begin(), self.begin()));
        let user = self.credentials().split(':').next().unwrap_or_default();
        let credentials = format!("{user}:{}", encoded(password));
        let after = match self.credentials {
            Some(_) => &self.text[end..],
            None => &format!("@{}", &self.text[end..]),
        };
        Self {
            text: format!("{}{credentials}{after}", &self.text[..begin]),
            credentials: Some((begin, begin + credentials.len())),
        }
    }

    /// The same URL with one more option.
    pub fn with_option(&self, name: &str, value: &str) -> Self {
        let separator = match self.after_credentials().split_once('?') {
            None => "?",
            Some((_, "")) => "",
            Some(_) => "&",
        };
        Self {
            text: format!("{}{separator}{}={}", self.text, name, encoded(value)),
            credentials: self.credentials,
        }
    }

    /// `message`, of a driver that cannot read this URL, without what it repeats of it: what it puts in quotes
    /// and the URL has too, unless that is the name of a setting.
    pub fn hidden_in(&self, message: &str) -> String {
        const QUOTES: [char; 2] = ['`', '"'];
        let typed = decoded(&self.text);
        let is_typed = |text: &str| self.text.contains(text) || typed.contains(text);
        let (mut shown, mut rest) = (String::new(), message);
        while let Some((before, quoted)) = rest.split_once(QUOTES) {
            let quote = &rest[before.len()..rest.len() - quoted.len()];
            let Some((text, after)) = quoted.split_once(quote) else {
                break;
            };
            if is_typed(text) && !SETTINGS.contains(&text) {
                // What was typed may have quotes in it: the last one ends it.
                let (_, after) = quoted.rsplit_once(quote).unwrap_or((text, after));
                return format!("{shown}{before}{quote}...{quote}{after}");
            }
            shown += &rest[..rest.len() - after.len()];
            rest = after;
        }
        shown + rest
    }

    fn begin(&self) -> usize {
        self.text.find("://").map_or(0, |scheme| scheme + 3)
    }

    fn credentials(&self) -> &str {
        self.credentials
            .map_or("", |(begin, end)| &self.text[begin..end])
    }

    fn after_credentials(&self) -> &str {
        let begin = self.credentials.map_or(self.begin(), |(_, end)| end);
        &self.text[begin..]
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Url(..)")
    }
}

/// Whether what stands before the `@` may be hosts and ports with a path or options behind them, so that the
/// `@` would be in the middle of an option's value.
fn could_be_places(before: &str) -> bool {
    let Some(end) = before.find(['/', '?', '#']) else {
        return false;
    };
    before[..end].split(',').all(|place| {
        let port = match place.rsplit_once(']') {
            Some((_, after)) => after.strip_prefix(':').unwrap_or(after),
            None => place.split_once(':').map_or("", |(_, port)| port),
        };
        port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// A `%` that encodes nothing stands for itself.
fn decoded(text: &str) -> String {
    let hex = |digit: Option<&u8>| char::from(*digit?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        (rest, _) = match (first, hex(after.first()), hex(after.get(1))) {
            (b'%', Some(high), Some(low)) => (&after[2..], bytes.push((high * 16 + low) as u8)),
            _ => (after, bytes.push(*first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        let (scheme, rest) = text.split_once("://").expect("a scheme");
        Url::new(scheme, rest).expect(text)
    }

    #[test]
    fn the_password_is_found_wherever_a_driver_finds_it() {
        for (text, password) in [
            ("postgres://app:s3:cret@db/orders", Some("s3:cret")),
            ("postgres://app:hunter?2secret@db", Some("hunter?2secret")),
            ("postgres://app:hun%74er@db", Some("hunter")),
            ("postgres://app@db?sslmode=disable&password=x", Some("x")),
            ("postgres://app@db?p%61ssword=x", Some("x")),
            ("redis://:secret@[::1]:6379/0", Some("secret")),
            ("unix:///run/redis.sock?pass=x", Some("x")),
            ("redis://:@h", None),
            ("postgres://app@db/orders", None),
            ("redis://h", None),
        ] {
            assert_eq!(url(text).password().as_deref(), password, "{text}");
        }
    }

    #[test]
    fn a_password_from_elsewhere_goes_beside_the_user() {
        let with = |text: &str| url(text).with_password("p@s:s/?").expose().to_owned();
        assert_eq!(with("redis://h:1/2"), "redis://:p%40s%3As%2F%3F@h:1/2");
        assert_eq!(
            with("postgres://app@db/orders"),
            "postgres://app:p%40s%3As%2F%3F@db/orders"
        );
        assert_eq!(with("redis://:@h"), "redis://:p%40s%3As%2F%3F@h");
        let url = url("postgres://app@db").with_password("hunter2");
        assert_eq!(url.password().as_deref(), Some("hunter2"));
    }

    #[test]
    fn an_option_goes_behind_the_others() {
        let with = |text: &str| url(text).with_option("a", "b c").expose().to_owned();
        assert_eq!(with("postgres://db"), "postgres://db?a=b%20c");
        assert_eq!(with("postgres://db/x?y=z"), "postgres://db/x?y=z&a=b%20c");
        assert_eq!(with("postgres://a:b?@db"), "postgres://a:b?@db?a=b%20c");
    }

    #[test]
    fn what_a_driver_repeats_of_a_url_is_hidden_and_names_of_settings_are_not() {
        let url = url("postgres://a:b@db:port/x?hun`ter%32=1&sslmode=on");
        for (message, shown) in [
            ("bad value for `port`", "bad value for `port`"),
            ("unknown option `hun`ter2`", "unknown option `...`"),
            ("path \"x\", not `0`", "path \"...\", not `0`"),
            ("write `%40` in `sslmode`", "write `%40` in `sslmode`"),
            ("a lone ` stays", "a lone ` stays"),
        ] {
            assert_eq!(url.hidden_in(message), shown);
        }
    }

    #[test]
    fn where_the_password_may_end_elsewhere_it_must_be_encoded() {
        for text in [
            "a:p@ss@db",
            "db/x?password=p@ss",
            "db:5432/x?password=p@ss",
            "[::1]:5432/x?password=p@ss",
            "a:1,b:2?password=p@ss",
            "app/hunter2@db",
        ] {
            assert_eq!(Url::new("postgres", text), Err(Unencoded), "{text}");
        }
    }
}
