//! What a connection is doing when something happens: the columns of the table.
//!
//! "Without a time-out" has one exception: on an exclusive connection under
//! [`Swallowed`](crate::Situation::Swallowed), which nothing else can find out, a call is given up after a second and
//! made again on the same connection, until there is an answer or an error.

/// The state of a connection as a situation begins. A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// In the pool, and unused for longer than `check_after_idle`. Users come as the situation begins.
    Idle,
    /// Held by a user who has left traces in the session, where it is his alone, and asks nothing until the
    /// situation has begun; then without a time-out. Others come then, too.
    Leased,
    /// Users with time-outs of a second and one without are asking one question after the other.
    InService,
    /// Its user waits for what the server sends unasked: `LISTEN`, `SUBSCRIBE`. Others come as it begins.
    Listening,
    /// Its user has written in a transaction and goes on with it when the situation has begun. Others come then, too.
    InTransaction,
    /// There is none yet: the first is half opened as the situation begins, and users wait for it.
    BeingDialled,
}

impl State {
    /// All, in the order of the table.
    pub const ALL: [Self; 6] = [
        Self::Idle,
        Self::Leased,
        Self::InService,
        Self::Listening,
        Self::InTransaction,
        Self::BeingDialled,
    ];

    /// As the table and `--only` have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Leased => "leased",
            Self::InService => "in-service",
            Self::Listening => "listening",
            Self::InTransaction => "in-transaction",
            Self::BeingDialled => "being-dialled",
        }
    }
}
