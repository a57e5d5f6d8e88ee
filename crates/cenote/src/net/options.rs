//! The options of a TCP socket by which the system notices that a peer has vanished, and their defaults.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// When the system asks an idle peer for a sign of life, and when it gives up: TCP keepalive. The application of the
/// peer has no part in it: a server that is only slow, or stopped, passes.
///
/// By default a peer that has vanished is noticed 9 s after it was last heard of: the first question after 5 s, then
/// one each second, and the end when four have had no answer.
///
/// Linux ends the connection by [`tcp_user_timeout`](super::Dialer::tcp_user_timeout) instead of by `retries` where
/// that is set.
///
/// ```
/// use cenote::net::{Dialer, Keepalive};
/// use std::time::Duration;
///
/// // Less traffic, for a server that is far away and hardly used.
/// let relaxed = Keepalive::new().idle(Duration::from_secs(60)).interval(Duration::from_secs(10));
/// let dialer = Dialer::new().keepalive(relaxed).tcp_user_timeout(Duration::from_secs(90));
/// # let _ = dialer;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    idle: Duration,
    interval: Duration,
    retries: u32,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5),
            interval: Duration::from_secs(1),
            retries: 4,
        }
    }
}

impl Keepalive {
    /// The defaults: 5 s, 1 s, 4.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long nothing must have come before the peer is asked: 5 s by default. Whole seconds, rounded up.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = idle;
        self
    }

    /// How long an answer is awaited before the peer is asked again: 1 s by default. Whole seconds, rounded up.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many questions may stay unanswered, 1 to 127: 4 by default.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }
}

/// What every socket is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) keepalive: Option<Keepalive>,
    pub(super) user_timeout: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            keepalive: Some(Keepalive::default()),
            user_timeout: Some(Duration::from_secs(9)),
        }
    }
}

impl Options {
    pub(super) fn apply(&self, socket: SockRef<'_>) -> io::Result<()> {
        // Requests are written whole: waiting to fill packets only costs time.
        named("TCP_NODELAY", socket.set_tcp_nodelay(true))?;
        match &self.keepalive {
            Some(keepalive) => named(
                "TCP keepalive",
                socket.set_tcp_keepalive(&probes(keepalive)),
            )?,
            None => named("SO_KEEPALIVE", socket.set_keepalive(false))?,
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        named(
            "TCP_USER_TIMEOUT",
            // Zero would mean the system's own limit, which is the meaning of none.
            socket.set_tcp_user_timeout(
                self.user_timeout
                    .map(|limit| limit.clamp(Duration::from_millis(1), MOST_MILLIS)),
            ),
        )?;
        Ok(())
    }
}

/// The largest number of seconds, and of questions, that Linux takes.
const MOST_SECONDS: u64 = 32_767;
const MOST_RETRIES: u32 = 127;

/// The longest `TCP_USER_TIMEOUT` that Linux takes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MOST_MILLIS: Duration = Duration::from_millis(i32::MAX as u64);

fn probes(keepalive: &Keepalive) -> TcpKeepalive {
    let probes = TcpKeepalive::new().with_time(whole_seconds(keepalive.idle));
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let probes = probes
        .with_interval(whole_seconds(keepalive.interval))
        .with_retries(keepalive.retries.clamp(1, MOST_RETRIES));
    probes
}

fn whole_seconds(time: Duration) -> Duration {
    let up = u64::from(time.subsec_nanos() > 0);
    Duration::from_secs(time.as_secs().saturating_add(up).clamp(1, MOST_SECONDS))
}

/// An error that says which option it is about.
fn named(option: &'static str, set: io::Result<()>) -> io::Result<()> {
    set.map_err(|error| io::Error::new(error.kind(), format!("cannot set {option}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up_and_kept_within_what_systems_take() {
        let cases = [
            (0, 1),
            (1, 1),
            (999, 1),
            (1_000, 1),
            (1_001, 2),
            (u64::MAX, MOST_SECONDS),
        ];
        for (millis, seconds) in cases {
            let rounded = whole_seconds(Duration::from_millis(millis));
            assert_eq!(rounded, Duration::from_secs(seconds), "{millis} ms");
        }
    }
}
