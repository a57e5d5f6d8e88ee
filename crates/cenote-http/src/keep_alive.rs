//! For how long a server keeps a connection, by what the head of its last reply says.

use std::time::Duration;

use http::header::{CONNECTION, HeaderMap, HeaderName};
use http::{HeaderValue, StatusCode, Version};

/// How long the server keeps the connection idle after its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// It does not say.
    Unlimited,
    /// So long.
    For(Duration),
    /// Not at all.
    Closed,
}

/// A request that leaves so shortly before the server's time is up may cross its end; of short times half.
const MARGIN: Duration = Duration::from_secs(1);

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

impl KeepAlive {
    /// What a reply says.
    pub(crate) fn of_reply(status: StatusCode, version: Version, fields: &HeaderMap) -> Self {
        match status {
            // It speaks something else from now on.
            StatusCode::SWITCHING_PROTOCOLS => Self::Closed,
            _ => Self::of(version, fields),
        }
    }

    fn of(version: Version, fields: &HeaderMap) -> Self {
        let says = |token| has_token(fields, &CONNECTION, token);
        if says("close") || (version < Version::HTTP_11 && !says("keep-alive")) {
            return Self::Closed;
        }
        match timeout_of(fields) {
            None => Self::Unlimited,
            Some(Duration::ZERO) => Self::Closed,
            Some(timeout) => Self::For(timeout),
        }
    }

    /// Whether the server still keeps a connection that has been idle for so long, for long enough to reach it.
    pub(crate) fn is_kept(self, idle: Duration) -> bool {
        match self {
            Self::Unlimited => true,
            Self::For(timeout) => idle < timeout - MARGIN.min(timeout / 2),
            Self::Closed => false,
        }
    }
}

/// `Keep-Alive: timeout=5, max=100`
fn timeout_of(fields: &HeaderMap) -> Option<Duration> {
    let seconds = tokens(fields, &KEEP_ALIVE).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_timeout = name.trim().eq_ignore_ascii_case("timeout");
        is_timeout.then(|| value.trim().trim_matches('"').parse().ok())?
    });
    seconds.map(Duration::from_secs)
}

/// The members of a field whose value is a list with commas, of all its lines.
pub(crate) fn tokens<'a>(
    fields: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = fields.get_all(name).iter();
    let texts = lines.filter_map(|line: &HeaderValue| line.to_str().ok());
    texts.flat_map(|line| line.split(',').map(str::trim))
}

/// Whether the list has this member.
pub(crate) fn has_token(fields: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(fields, name).any(|member| member.eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: Version, lines: &[(&'static str, &'static str)]) -> KeepAlive {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        KeepAlive::of(version, &fields)
    }

    #[test]
    fn a_reply_says_for_how_long_its_connection_is_kept() {
        let seconds = |seconds| KeepAlive::For(Duration::from_secs(seconds));
        let cases = [
            (Version::HTTP_11, &[][..], KeepAlive::Unlimited),
            (Version::HTTP_10, &[], KeepAlive::Closed),
            (
                Version::HTTP_10,
                &[("connection", "Keep-Alive")],
                KeepAlive::Unlimited,
            ),
            (
                Version::HTTP_11,
                &[("connection", "foo, Close")],
                KeepAlive::Closed,
            ),
            (
                Version::HTTP_11,
                &[("connection", "keep-alive"), ("connection", "close")],
                KeepAlive::Closed,
            ),
            (
                Version::HTTP_11,
                &[("keep-alive", "timeout=5, max=100")],
                seconds(5),
            ),
            (
                Version::HTTP_11,
                &[("keep-alive", "max=100, Timeout = 7")],
                seconds(7),
            ),
            (
                Version::HTTP_11,
                &[("keep-alive", "timeout=0")],
                KeepAlive::Closed,
            ),
            (
                Version::HTTP_11,
                &[("keep-alive", "timeout=soon")],
                KeepAlive::Unlimited,
            ),
        ];
        for (version, lines, expected) in cases {
            assert_eq!(of(version, lines), expected, "{version:?} {lines:?}");
        }
    }

    /// undici keeps a second of distance, pingora none.
    #[test]
    fn a_connection_is_left_alone_shortly_before_the_server_closes_it() {
        let kept = |timeout, idle| {
            KeepAlive::For(Duration::from_millis(timeout)).is_kept(Duration::from_millis(idle))
        };
        assert!(kept(5_000, 3_999));
        assert!(!kept(5_000, 4_000));
        assert!(kept(1_000, 499));
        assert!(!kept(1_000, 500));
    }
}
