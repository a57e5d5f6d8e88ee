//! What happens to a connection, to its server, or to those who share it: the rows of the table.

use std::time::Duration;

use crate::bound::Bound;

/// How long a situation lasts that has a length.
pub const LASTS: Duration = Duration::from_secs(3);

/// What happens. A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Situation {
    /// The cable is out for three seconds: no packet arrives at either side, so that nothing is acknowledged, not
    /// even a SYN. After that new connections work; the old ones never speak again.
    Silent,
    /// Something on the way, or a server that hangs, takes everything for three seconds, acknowledges it, and passes
    /// nothing on: new connections are accepted, and nothing answers. After that new connections work; an old one on
    /// which anything was sent never speaks again, and no system finds that out: pings can, and their users' time-outs.
    Swallowed,
    /// The server's processes are stopped (SIGSTOP) for three seconds and then go on: the system acknowledges what
    /// is sent and accepts connections, and nothing answers.
    Frozen,
    /// Every open connection is reset (RST). New ones work at once.
    Reset,
    /// The other end has forgotten every open connection, and neither a FIN nor an RST says so: packets for them are
    /// dropped. New connections work at once.
    HalfOpen,
    /// The server refuses writes, on connections that stay open, and another takes them: for PostgreSQL the other
    /// host of the URL (`target_session_attrs=read-write`), for Redis the one to which new connections to the
    /// address go from then on, while the old ones are to its replica.
    Demoted,
    /// The server has no connection free for three seconds (`max_connections`, `maxclients`): others have taken all
    /// but those that the pool has.
    Full,
    /// The server is killed (SIGKILL) and started again on the same port; that it serves again is the end.
    Restarted,
    /// One user takes a reply of many megabytes a little at a time, for three seconds.
    SlowReader,
    /// One user polls its call once, another its get, and then neither is polled for three seconds.
    Unpolled,
    /// For three seconds some users drop their calls in the middle, again and again.
    Cancelled,
    /// The runtime on which the connections live is blocked by a `std::thread::sleep` of three seconds. Users are on
    /// another.
    BlockedRuntime,
}

impl Situation {
    /// All, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Silent,
        Self::Swallowed,
        Self::Frozen,
        Self::Reset,
        Self::HalfOpen,
        Self::Demoted,
        Self::Full,
        Self::Restarted,
        Self::SlowReader,
        Self::Unpolled,
        Self::Cancelled,
        Self::BlockedRuntime,
    ];

    /// As the table and `--only` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Swallowed => "swallowed",
            Self::Frozen => "frozen",
            Self::Reset => "reset",
            Self::HalfOpen => "half-open",
            Self::Demoted => "demoted",
            Self::Full => "full",
            Self::Restarted => "restarted",
            Self::SlowReader => "slow-reader",
            Self::Unpolled => "unpolled-future",
            Self::Cancelled => "cancelled",
            Self::BlockedRuntime => "blocked-runtime",
        }
    }

    /// In one line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Silent => "no packet arrives for 3 s; old connections never speak again",
            Self::Swallowed => {
                "all is acknowledged for 3 s, and nothing answers; old connections never speak again"
            }
            Self::Frozen => "the server's processes are stopped for 3 s",
            Self::Reset => "every connection is reset",
            Self::HalfOpen => "the other end has forgotten every connection, without a word",
            Self::Demoted => "writes are refused on open connections; another server takes them",
            Self::Full => "the server has no connection free for 3 s",
            Self::Restarted => "the server is killed and started again",
            Self::SlowReader => "one user takes a big reply a little at a time, for 3 s",
            Self::Unpolled => "one call and one get are polled once and then not for 3 s",
            Self::Cancelled => "for 3 s users drop their calls in the middle, again and again",
            Self::BlockedRuntime => "the connections' runtime is blocked for 3 s",
        }
    }

    /// Within which time service is as before, with a pool's default settings. The reasons:
    ///
    /// * A peer that is gone without a word is found by the system after ten seconds (`TCP_USER_TIMEOUT` for what was
    ///   sent, keepalive for what was not), by pings where the protocol has them after nine, on shared connections
    ///   sooner by their watch. So it is 10 s from the beginning, however it ends.
    /// * Where all is acknowledged the system finds nothing: the pings do, the watch does, and on an exclusive
    ///   connection its holder's time-outs in a row, after nine seconds as well.
    /// * After a reset nothing has to be found out: one more dial, and the users' next call.
    /// * A frozen server or a blocked runtime goes on by itself: what waited is answered, what was given up is drained.
    /// * A killed server fails dials while it is down, and the longest that the back-off can wait after that is 2 s.
    /// * A full server the same; one second more for those whose own time-out ended meanwhile, and who ask again.
    /// * A demoted server answers the first write with a refusal, which retires the connection.
    /// * Those whom another user's slowness, silence or impatience is none of their business do not notice it.
    #[must_use]
    pub fn bound(self) -> Bound {
        let seconds = Duration::from_secs;
        match self {
            Self::Silent | Self::Swallowed | Self::HalfOpen => Bound::OfBegin(seconds(10)),
            Self::Reset | Self::Demoted => Bound::OfBegin(seconds(2)),
            Self::Frozen | Self::BlockedRuntime | Self::Restarted => Bound::OfEnd(seconds(2)),
            Self::Full => Bound::OfEnd(seconds(3)),
            Self::SlowReader | Self::Unpolled | Self::Cancelled => Bound::Interruption(seconds(1)),
        }
    }

    /// Whether users do it to each other: then nothing is wrong with the server, and nobody else's call may fail.
    #[must_use]
    pub fn is_of_users(self) -> bool {
        matches!(self, Self::SlowReader | Self::Unpolled | Self::Cancelled)
    }

    /// Whether it befalls the server itself, so that it needs one of its own.
    #[must_use]
    pub fn is_of_the_server(self) -> bool {
        matches!(
            self,
            Self::Frozen | Self::Demoted | Self::Full | Self::Restarted
        )
    }

    /// How long it lasts, where that is not over as soon as it has happened.
    #[must_use]
    pub fn lasts(self) -> Option<Duration> {
        match self {
            Self::Reset | Self::HalfOpen | Self::Demoted | Self::Restarted => None,
            _ => Some(LASTS),
        }
    }
}
