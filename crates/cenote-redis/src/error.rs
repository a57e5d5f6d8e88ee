//! What can go wrong with a Redis connection, and which of it ends the connection.
//!
//! Errors name the endpoint and never hold a password.

mod refusal;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use cenote::GetError;
use cenote::error::SettingsError;
use cenote::mux::CallError;
use cenote::net::HostsError;

pub use refusal::Refusal;

/// An error reply of the server, such as `WRONGTYPE Operation against a key...`.
///
/// The connection stays usable: the server answered, with a no. To `MOVED` and `ASK`, the answers of a Redis Cluster
/// whose other nodes have the key, its text adds that they are not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", self.hint())]
pub struct ServerError {
    message: String,
}

impl ServerError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }

    /// The first word of the message, by convention in capitals: `ERR`, `WRONGTYPE`, `NOAUTH`.
    pub fn code(&self) -> &str {
        self.message.split(' ').next().unwrap_or_default()
    }

    /// The whole message as the server sent it.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn hint(&self) -> &'static str {
        match self.code() {
            "MOVED" | "ASK" => {
                " (this server is a node of a Redis Cluster, and cenote-redis does not follow to others)"
            }
            _ => "",
        }
    }

    /// Whether the server is a replica, and will not write: what was its master's place is another's by now. Scripts
    /// and transactions wrap the words.
    pub(crate) fn is_read_only(&self) -> bool {
        self.code() == "READONLY" || self.message.contains("READONLY You can't write")
    }

    /// Whether the answer to a check says that the connection is not what it was set up as.
    fn denies_login(&self) -> bool {
        self.code() == "NOAUTH"
    }

    /// The same error without `secret`: servers quote the beginnings of the arguments of commands that they do not
    /// know, passwords included.
    pub(crate) fn without(self, secret: Option<&str>) -> Self {
        let Some(secret) = secret.filter(|secret| !secret.is_empty()) else {
            return self;
        };
        // Cut off at some length, or with other line ends, it would not be found.
        let quoted = self.message.find("with args beginning with");
        let message = &self.message[..quoted.unwrap_or(self.message.len())];
        let message = message.trim_end_matches([' ', ',']);
        Self {
            message: message.replace(secret, "***"),
        }
    }
}

/// A reply that does not have the type asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the reply is {found}, which is not {expected}")]
pub struct ConversionError {
    pub(crate) expected: &'static str,
    pub(crate) found: &'static str,
}

/// Why bytes from the peer are not a reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes break the grammar of RESP.
    #[error("malformed reply: {0}")]
    Malformed(String),
    /// A reply needs more memory than [`RedisConnector::max_reply_size`] allows.
    ///
    /// [`RedisConnector::max_reply_size`]: crate::RedisConnector::max_reply_size
    #[error("a reply is larger than max_reply_size ({limit} bytes)")]
    #[non_exhaustive]
    TooLarge {
        /// The setting, in bytes.
        limit: usize,
    },
    /// A reply nests arrays deeper than any server does.
    #[error("a reply nests more than {limit} levels deep")]
    #[non_exhaustive]
    TooDeep {
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// Bytes arrived while no command waited for a reply.
    #[error("bytes arrived that answer no command")]
    Unsolicited,
    /// The end of a transaction failed on a shared connection, and the commands of others would be queued in
    /// it.
    #[error("a pipeline may have left its transaction open")]
    TransactionLeftOpen,
}

/// An error of a Redis connection or of a command on it.
///
/// Its text says what failed and where; why, where something else is the reason, is said by its source, once.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// No TCP connection came about. The source is a [`DialError`](cenote::net::DialError) with each address and its
    /// cause, unless the one address is in the URL already.
    #[error("cannot connect to {endpoint}")]
    #[non_exhaustive]
    Connect {
        /// Where the connection was to go.
        endpoint: Arc<str>,
        /// The cause.
        source: io::Error,
    },
    /// Of several hosts none gave a connection.
    #[error("none of the hosts of {endpoint} gave a connection")]
    #[non_exhaustive]
    Hosts {
        /// The hosts.
        endpoint: Arc<str>,
        /// Each host that was tried, with its cause.
        source: HostsError<RedisError>,
    },
    /// The TLS handshake failed.
    #[error("TLS handshake with {endpoint} failed")]
    #[non_exhaustive]
    Tls {
        /// Where the connection was to go.
        endpoint: Arc<str>,
        /// The cause.
        source: io::Error,
    },
    /// The peer said nothing, and the time for the dial is as good as over. A tenth of it, or a tenth of a second, is
    /// left, so that this is told before the pool gives up by itself.
    #[error("{endpoint} did not answer within {waited:?}: {step}")]
    #[non_exhaustive]
    NoAnswer {
        /// Where the connection was to go.
        endpoint: Arc<str>,
        /// How far it got.
        step: DialStep,
        /// How long the dial had taken by then.
        waited: Duration,
    },
    /// The peer took the connection and closed it without an answer to the login.
    #[error(
        "{endpoint} closed the connection without an answer to the login: a server may be full or ending, a port for \
         TLS wants a rediss:// URL, and one of PostgreSQL closes like this, too"
    )]
    #[non_exhaustive]
    NotWelcome {
        /// Where the connection was to go.
        endpoint: Arc<str>,
        /// How it closed the connection, if not in order.
        source: Option<io::Error>,
    },
    /// The server refused a step of setting up the session: a wrong or missing password, a
    /// database number out of range.
    #[error("{endpoint} refused {step}: {reply}")]
    #[non_exhaustive]
    Handshake {
        /// The server.
        endpoint: Arc<str>,
        /// The command that was refused.
        step: &'static str,
        /// The server's answer.
        reply: ServerError,
    },
    /// The server is no master, and one [is required](crate::RedisConnector::require_master): it has been demoted, or who
    /// named it does not know yet.
    #[error("{endpoint} is {role}, not the master that is required")]
    #[non_exhaustive]
    NotMaster {
        /// The server.
        endpoint: Arc<str>,
        /// What it says it is.
        role: &'static str,
    },
    /// The server answered a command with an error. The connection stays usable.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The reply has another type than the caller asked for. The connection stays usable.
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    /// Reading or writing failed. The connection is finished.
    #[error("the connection to {endpoint} failed")]
    #[non_exhaustive]
    Io {
        /// The server.
        endpoint: Arc<str>,
        /// The cause.
        source: io::Error,
    },
    /// The server closed the connection while a reply was due. The connection is finished.
    #[error("{endpoint} closed the connection before it replied")]
    #[non_exhaustive]
    Closed {
        /// The server.
        endpoint: Arc<str>,
    },
    /// The peer does not speak RESP, or not as agreed. The connection is finished.
    #[error("{endpoint} broke the protocol")]
    #[non_exhaustive]
    Protocol {
        /// The server.
        endpoint: Arc<str>,
        /// How.
        source: FrameError,
    },
    /// The server said nothing when it must have. The connection is finished.
    #[error("{endpoint} is silent: {silence}")]
    #[non_exhaustive]
    Silent {
        /// The server.
        endpoint: Arc<str>,
        /// What did not come.
        silence: Silence,
    },
    /// A call on a [`PipelinedConnection`](crate::PipelinedConnection) has no reply: it timed out, found too
    /// many before it, or the connection ended. [`CallError::sent`] tells whether the server may have seen
    /// the command.
    #[error("no reply from {endpoint}")]
    #[non_exhaustive]
    Call {
        /// The server.
        endpoint: Arc<str>,
        /// The cause.
        source: CallError,
    },
    /// A [`RedisClient`](crate::RedisClient) could not lease a connection for the command, which was not
    /// sent.
    #[error(transparent)]
    Lease(#[from] GetError),
    /// A setting of a [`PipelinedConnector`](crate::PipelinedConnector) can't work. Found when it connects.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nothing was sent or read, for the reason given; the connection is as it was before.
    #[error("{command} refused: {reason}")]
    #[non_exhaustive]
    Refused {
        /// The command's name, or the method's.
        command: String,
        /// Why it cannot be done.
        reason: Refusal,
    },
}

/// A step on the way to a session, once there is a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialStep {
    /// The TLS handshake.
    #[error(
        "no TLS handshake came about; a server without TLS, for a redis:// URL, may say nothing to one"
    )]
    Tls,
    /// Logging in and selecting the database.
    #[error("the login has no reply")]
    Login,
}

/// What a server did not say; see [`RedisConnector::ping_after`](crate::RedisConnector::ping_after).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Silence {
    /// The connection listens, it was quiet, and a `PING` had no answer.
    #[error("no answer to PING within ping_timeout ({limit:?})")]
    Ping {
        /// The setting.
        limit: Duration,
    },
    /// A command that waits, such as `BLPOP`, has no reply although the time-out that it gave is over.
    #[error("no reply to a command that waits, {beyond:?} after its own time-out")]
    Wait {
        /// How much longer it was waited for: `ping_after` and `ping_timeout` together.
        beyond: Duration,
    },
    /// Several commands in a row were given up, and not a byte came.
    #[error("not a byte within {within:?}, while one command after the other was given up")]
    Commands {
        /// Since the second of them was sent: `ping_after` and `ping_timeout` together.
        within: Duration,
    },
}

/// What the answer to a check says. An error reply is an answer too: a server that has no time (`BUSY`, `LOADING`),
/// no master (`MASTERDOWN`) or no such right for this user (`NOPERM`) is alive, and a new connection would hear the
/// same.
pub(crate) fn proves_alive<T>(answer: Result<T, RedisError>) -> Result<(), RedisError> {
    match answer {
        Err(RedisError::Server(reply)) if !reply.denies_login() => Ok(()),
        answer => answer.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_quotes_the_password_is_not_quoted_even_in_part() {
        let secret = "correct horse battery staple";
        for message in [
            format!("ERR unknown command `AUTH`, with args beginning with: `{secret}`, "),
            "ERR unknown command 'HELLO', with args beginning with: 'AUTH' 'correct horse bat"
                .to_owned(),
            format!("ERR wrong number of arguments: {secret}"),
        ] {
            let shown = ServerError::new(message).without(Some(secret)).to_string();
            assert!(!shown.contains("correct"), "{shown}");
            assert!(shown.starts_with("ERR "), "{shown}");
        }
        let other = "ERR unknown command 'FOO', with args beginning with: 'bar'";
        assert_eq!(ServerError::new(other).without(None).message(), other);
    }
}
