//! Our errors as redis-rs's: the same text, and the kind that code over redis-rs looks for.

use std::io;

use cenote::GetError;
use cenote::error::with_causes;
use cenote::mux::CallError;
use cenote::net::HostCause;
use redis::{ErrorKind, ServerErrorKind, make_extension_error};

use super::values;
use crate::error::{RedisError, ServerError};

/// What redis-rs makes of an error.
enum Kind {
    /// The connection ended or did not come about.
    Io(io::ErrorKind),
    /// Anything else, and what it is called.
    Other(ErrorKind, &'static str),
}

impl From<RedisError> for redis::RedisError {
    fn from(error: RedisError) -> Self {
        if let RedisError::Server(reply) = &error {
            return of_reply(reply);
        }
        match kind(&error) {
            Kind::Io(kind) => io::Error::new(kind, error).into(),
            // Such an error can have no cause itself.
            Kind::Other(kind, text) => (kind, text, with_causes(&error)).into(),
        }
    }
}

fn kind(error: &RedisError) -> Kind {
    match error {
        RedisError::Connect { source, .. }
        | RedisError::Tls { source, .. }
        | RedisError::Io { source, .. } => Kind::Io(source.kind()),
        // Of the host that was tried last, which is also the one that ended the search.
        RedisError::Hosts { source, .. } => match source.failures().last() {
            Some((_, HostCause::Failed(error))) => kind(error),
            _ => Kind::Io(io::ErrorKind::TimedOut),
        },
        RedisError::NoAnswer { .. } | RedisError::Silent { .. } => {
            Kind::Io(io::ErrorKind::TimedOut)
        }
        RedisError::NotWelcome {
            source: Some(source),
            ..
        } => Kind::Io(source.kind()),
        RedisError::NotWelcome { source: None, .. } | RedisError::Closed { .. } => {
            Kind::Io(io::ErrorKind::UnexpectedEof)
        }
        RedisError::Handshake { reply, .. } => match reply.code() {
            "WRONGPASS" | "NOAUTH" | "NOPERM" => {
                Kind::Other(ErrorKind::AuthenticationFailed, "the login was refused")
            }
            _ => Kind::Other(of_reply(reply).kind(), "the session was refused"),
        },
        RedisError::NotMaster { .. } => {
            Kind::Other(ErrorKind::Server(ServerErrorKind::ReadOnly), "no master")
        }
        RedisError::Server(reply) => Kind::Other(of_reply(reply).kind(), "an error reply"),
        RedisError::Conversion(_) => {
            Kind::Other(ErrorKind::UnexpectedReturnType, "a reply of another type")
        }
        RedisError::Protocol { .. } => Kind::Other(ErrorKind::Parse, "no reply of Redis"),
        RedisError::Call { source, .. } => match source {
            CallError::TimedOut { .. } => Kind::Io(io::ErrorKind::TimedOut),
            CallError::Disconnected { .. } => Kind::Io(io::ErrorKind::ConnectionAborted),
            // QueueFull, Encode: nothing was written.
            _ => Kind::Other(ErrorKind::Client, "the command was not sent"),
        },
        RedisError::Lease(error) => of_lease(error),
        RedisError::Settings(_) => {
            Kind::Other(ErrorKind::InvalidClientConfig, "a setting cannot work")
        }
        RedisError::Refused { .. } => Kind::Other(ErrorKind::Client, "the command was not sent"),
    }
}

fn of_lease(error: &GetError) -> Kind {
    if error.is_timeout() {
        return Kind::Io(io::ErrorKind::TimedOut);
    }
    match error.connect_error() {
        Some(cause) => match cause.downcast_ref::<RedisError>() {
            Some(cause) => kind(cause),
            // Time ran out while it was opened.
            None => Kind::Io(io::ErrorKind::NotConnected),
        },
        None => Kind::Other(ErrorKind::Client, "no connection was to be had"),
    }
}

/// An error reply by itself, with the kind that redis-rs reads from its code.
pub(super) fn of_reply(reply: &ServerError) -> redis::RedisError {
    match values::of_error(&reply.to_string()) {
        redis::Value::ServerError(error) => error.into(),
        _ => make_extension_error(reply.code().to_owned(), Some(reply.to_string())),
    }
}
