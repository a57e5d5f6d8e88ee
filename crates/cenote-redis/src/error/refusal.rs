//! Why commands are refused before they are sent.

use std::fmt;

/// Why a command was refused before it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// An earlier error finished the connection: discard the lease.
    Broken,
    /// An earlier command was cancelled while it was being written, and half a command cannot be
    /// taken back: discard the lease.
    CutShort,
    /// The connection listens, by SUBSCRIBE or MONITOR: only subscribing, unsubscribing and
    /// [`next_message`](crate::RedisConnection::next_message) work on it now, after MONITOR the last only.
    Listening,
    /// Nothing is subscribed and no key tracked: there is no message to wait for.
    NotListening,
    /// The command would make replies impossible to count (CLIENT REPLY OFF and SKIP).
    Silences,
    /// The command would turn the connection into a replication stream (SYNC, PSYNC), or is part of one and has no
    /// reply (REPLCONF).
    Replicates,
    /// The command starts or ends listening, which only [`command`](crate::RedisConnection::command) and
    /// [`subscribe`](crate::RedisConnection::subscribe) with its like can do.
    ListensInPipeline,
    /// The command starts or ends listening, and a transaction is open: what the server would answer cannot be
    /// counted.
    ListensInTransaction,
    /// The command waits for something to happen, and on a shared connection everybody's replies would wait
    /// behind its own (`BLPOP`).
    HoldsUpOthers,
    /// The command starts or ends listening, and others use the connection too.
    ListensOnShared,
    /// The command changes what later commands do (`SELECT`, `AUTH`, `WATCH`), and others use the connection
    /// too.
    ChangesSharedSession,
    /// The answer is about the connection that the command is sent on: what it wrote (`WAIT`, `WAITAOF`), or who
    /// it is (`CLIENT ID`). A client that picks a connection for each command would answer for another.
    AboutConnection,
    /// `MULTI` or `EXEC` without the other in the same pipeline: the commands of others would get into the
    /// transaction.
    OpenTransaction,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "an earlier error finished this connection",
            Self::CutShort => "an earlier command was cancelled while it was being written",
            Self::Listening => {
                "this connection listens, and only next_message, subscribing and unsubscribing work on it now"
            }
            Self::NotListening => "nothing is subscribed or tracked on this connection",
            Self::Silences => "without replies a pooled connection cannot be known to be clean",
            Self::Replicates => {
                "a pooled connection cannot become a replication stream, nor count replies that never come"
            }
            Self::ListensInPipeline => "it starts listening, which a pipeline cannot do",
            Self::ListensInTransaction => {
                "it starts or ends listening, which the transaction that is open cannot do"
            }
            Self::HoldsUpOthers => {
                "everybody's replies on this shared connection would wait for it; use an exclusive lease"
            }
            Self::ListensOnShared => {
                "others use this shared connection, which cannot listen; use an exclusive lease"
            }
            Self::ChangesSharedSession => {
                "it changes the session of a shared connection for everybody; use an exclusive lease"
            }
            Self::AboutConnection => {
                "its answer is about the connection it is sent on, and the client picks one for each command; use \
                 a lease of RedisClient::exclusive for it and for what it is about"
            }
            Self::OpenTransaction => {
                "a transaction on a shared connection begins and ends in one pipeline; complete it there, or \
                 use an exclusive lease"
            }
        })
    }
}
