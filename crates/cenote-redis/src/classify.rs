//! What a failed connect says about the next attempt.

use std::io;

use cenote::FailureKind;
use cenote::net::DialError;

use crate::error::{RedisError, ServerError};

impl RedisError {
    /// As [`Connect::classify`](cenote::Connect::classify) wants it.
    pub(crate) fn failure_kind(&self) -> FailureKind {
        match self {
            Self::Connect { source, .. } => of_dial(source),
            Self::Hosts { source, .. } => source.classify(Self::failure_kind),
            // What rustls says of the peer or of its certificate; an end of the stream is another matter.
            Self::Tls { source, .. } => match source.kind() {
                io::ErrorKind::InvalidData
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::NotFound
                | io::ErrorKind::Other => FailureKind::Final,
                _ => FailureKind::Transient,
            },
            Self::Handshake { reply, .. } => of_reply(reply),
            // It speaks another protocol, or cannot be asked with these settings.
            Self::Protocol { .. } | Self::Settings(_) => FailureKind::Final,
            Self::NotMaster { .. } => FailureKind::Unsuitable,
            _ => FailureKind::Transient,
        }
    }
}

fn of_reply(reply: &ServerError) -> FailureKind {
    let message = reply.message().to_ascii_lowercase();
    match reply.code() {
        "WRONGPASS" | "NOAUTH" => FailureKind::Credentials,
        "NOPERM" | "NOPROTO" | "DENIED" => FailureKind::Final,
        "ERR" if message.contains("max number of clients") => FailureKind::Full,
        // Servers before Redis 6.
        "ERR" if message.contains("invalid password") || message.contains("no password is set") => {
            FailureKind::Credentials
        }
        "ERR" if message.contains("without any password configured") => FailureKind::Credentials,
        "ERR" if message.contains("db index") || message.contains("unknown command") => {
            FailureKind::Final
        }
        _ => FailureKind::Transient,
    }
}

/// What the dialer says of it, where there is more than the system's error.
fn of_dial(error: &io::Error) -> FailureKind {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    cause.map_or(FailureKind::Transient, DialError::classify)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_login_is_judged_by_what_would_help() {
        let cases = [
            (
                "WRONGPASS invalid username-password pair",
                FailureKind::Credentials,
            ),
            (
                "NOAUTH HELLO must be called with the client already authenticated",
                FailureKind::Credentials,
            ),
            ("ERR invalid password", FailureKind::Credentials),
            (
                "ERR Client sent AUTH, but no password is set",
                FailureKind::Credentials,
            ),
            ("ERR max number of clients reached", FailureKind::Full),
            ("ERR DB index is out of range", FailureKind::Final),
            (
                "NOPERM this user has no permissions to run the 'select' command",
                FailureKind::Final,
            ),
            (
                "DENIED Redis is running in protected mode",
                FailureKind::Final,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                FailureKind::Transient,
            ),
            (
                "BUSY Redis is busy running a script",
                FailureKind::Transient,
            ),
        ];
        for (reply, kind) in cases {
            assert_eq!(of_reply(&ServerError::new(reply)), kind, "{reply}");
        }
    }
}
