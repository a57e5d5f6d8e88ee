//! What went wrong for a user, sorted by kind: where in the visit, and what it was.

use std::error::Error;
use std::io;

use cenote::net::{AddressError, DialError, HostCause};
use cenote::{ConnectError, GetError};
use cenote_postgres::ConnectCause;
use cenote_postgres::tokio_postgres;
use cenote_postgres::tokio_postgres::error::SqlState;
use cenote_redis::{RedisError, ServerError};

use crate::advice::{advice, is_out_of_files};

/// Which part of a visit failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Connect,
    Wait,
    Request,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Wait => "wait",
            Self::Request => "request",
        }
    }
}

/// A failed visit: its kind, for counting, and the whole message, for an example of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: String,
    pub message: String,
    /// At which of several servers, if that is known.
    pub endpoint: Option<String>,
}

impl Failure {
    pub fn new(stage: Stage, kind: &str, message: String) -> Self {
        Self {
            kind: format!("{}: {kind}", stage.name()),
            message,
            endpoint: None,
        }
    }

    /// The same, at this one of several servers.
    pub fn at(self, endpoint: Option<String>) -> Self {
        Self { endpoint, ..self }
    }

    pub fn of(stage: Stage, error: &(dyn Error + 'static)) -> Self {
        Self::new(stage, &kind_of(error), chain(error))
    }

    /// Why a user got no connection.
    pub fn to_get(error: &GetError) -> Self {
        match error {
            GetError::TimedOut(_) => Self::new(Stage::Wait, "timed out", chain(error)),
            GetError::QueueFull { .. } => Self::new(Stage::Wait, "queue full", chain(error)),
            GetError::Closed { .. } => Self::new(Stage::Wait, "pool closed", chain(error)),
            GetError::Connect { error, .. } => match error {
                ConnectError::TimedOut { .. } => {
                    Self::new(Stage::Connect, "timed out", chain(error))
                }
                // Its name is the driver's.
                ConnectError::Failed(error) => Self::of(Stage::Connect, &**error),
                error => Self::of(Stage::Connect, error),
            },
            error => Self::of(Stage::Connect, error),
        }
    }
}

/// The innermost cause that has a name of its own.
fn kind_of(error: &(dyn Error + 'static)) -> String {
    causes(error)
        .filter_map(name)
        .last()
        .unwrap_or_else(|| "failed".into())
}

fn name(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return Some(name_io(error).into());
    }
    if let Some(DialError::Unreachable { failures, .. }) = error.downcast_ref() {
        return name_failures(failures).map(Into::into);
    }
    if error.is::<tokio_rustls::rustls::Error>() {
        return Some("TLS failed".into());
    }
    if let Some(error) = error.downcast_ref::<RedisError>() {
        return name_redis(error);
    }
    if let Some(error) = error.downcast_ref::<cenote_postgres::Error>() {
        return name_postgres_error(error);
    }
    let error = error.downcast_ref::<tokio_postgres::Error>()?;
    if error.is_closed() {
        return Some("connection lost".into());
    }
    error.code().map(name_postgres)
}

fn name_postgres_error(error: &cenote_postgres::Error) -> Option<String> {
    let named = match error {
        cenote_postgres::Error::Connect { cause, .. } => name_cause(cause),
        cenote_postgres::Error::ConnectEach { failures, .. } => failures
            .failures()
            .iter()
            .rev()
            .find_map(|(_, cause)| match cause {
                HostCause::Failed(cause) => name_cause(cause),
                _ => Some("timed out".into()),
            }),
        cenote_postgres::Error::Closed { .. } => Some("connection lost".into()),
        _ => None,
    };
    named.or_else(|| error.code().map(name_postgres))
}

fn name_cause(cause: &ConnectCause) -> Option<String> {
    match cause {
        ConnectCause::Unreachable(error) => Some(kind_of(error)),
        ConnectCause::NotPostgres { .. } => Some("wrong answer".into()),
        ConnectCause::Interrupted(_) => Some("connection lost".into()),
        ConnectCause::TlsNotOffered | ConnectCause::NoRootCertificates | ConnectCause::Tls(_) => {
            Some("TLS failed".into())
        }
        ConnectCause::Login(error) => name(error),
        ConnectCause::TimedOut(_) | ConnectCause::Silent(_) => Some("timed out".into()),
        _ => None,
    }
}

fn name_postgres(code: &SqlState) -> String {
    match code {
        code if *code == SqlState::TOO_MANY_CONNECTIONS => "too many connections".into(),
        code if *code == SqlState::INVALID_PASSWORD => "wrong password".into(),
        code => refused(code.code()),
    }
}

/// A server can send anything as a code. What is none makes no kind of its own.
fn refused(code: &str) -> String {
    const LONGEST: usize = 20;
    let of_codes = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match code.len() <= LONGEST && code.bytes().all(of_codes) {
        true => format!("refused by the server ({code})"),
        false => "refused by the server".into(),
    }
}

fn name_redis(error: &RedisError) -> Option<String> {
    let by_reply = |reply: &ServerError| match reply.message() {
        message if message.contains("max number of clients") => "too many connections".into(),
        _ => refused(reply.code()),
    };
    match error {
        RedisError::Handshake { reply, .. } | RedisError::Server(reply) => Some(by_reply(reply)),
        RedisError::Closed { .. } | RedisError::NotWelcome { .. } => Some("connection lost".into()),
        RedisError::NoAnswer { .. } | RedisError::Silent { .. } => Some("timed out".into()),
        RedisError::Protocol { .. } | RedisError::Conversion(_) => Some("wrong answer".into()),
        _ => None,
    }
}

/// The name that what happened at each address has in common.
fn name_failures(failures: &[AddressError]) -> Option<&'static str> {
    let mut names = failures.iter().map(|failure| name_io(&failure.error));
    let first = names.next()?;
    names.all(|name| name == first).then_some(first)
}

fn name_io(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        _ if is_out_of_files(error) => "too many open files",
        Kind::ConnectionRefused => "refused",
        Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::BrokenPipe
        | Kind::UnexpectedEof => "connection lost",
        Kind::TimedOut => "timed out",
        Kind::AddrNotAvailable | Kind::AddrInUse => "no local port left",
        Kind::HostUnreachable | Kind::NetworkUnreachable => "unreachable",
        Kind::InvalidData => "wrong answer",
        _ => "failed",
    }
}

/// An error and its causes, those that an [`io::Error`] wraps included.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        cause(*error)
    })
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

/// The whole message, each cause once: many errors repeat their cause in their own words. What helps comes last.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in causes(error).skip(1) {
        // It wraps the server's message in words of its own.
        let server = cause
            .downcast_ref()
            .and_then(tokio_postgres::Error::as_db_error);
        if server.is_some_and(|server| text.contains(server.message())) {
            break;
        }
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    match advice(causes(error)) {
        Some(advice) => text + "; " + advice,
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_that_of_the_innermost_cause_with_a_name() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let wrapped = io::Error::other(refused);
        assert_eq!(
            Failure::of(Stage::Connect, &wrapped).kind,
            "connect: refused"
        );
    }

    #[test]
    fn a_message_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot connect to db")]
        struct Outer(#[source] io::Error);
        let error = Outer(io::Error::other("no route"));
        assert_eq!(chain(&error), "cannot connect to db: no route");
    }

    #[tokio::test]
    async fn what_a_pool_passes_on_keeps_its_kind() {
        struct Refused;
        impl cenote::Connect for Refused {
            type Connection = ();
            type Error = io::Error;
            async fn connect(&self, _: &cenote::Dial) -> io::Result<()> {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            fn verdict(&self, (): &mut ()) -> cenote::Verdict {
                cenote::Verdict::Close
            }
        }
        let error = cenote::any::Unpooled::new(Refused)
            .get()
            .await
            .map(drop)
            .expect_err("refused");
        assert_eq!(Failure::to_get(&error).kind, "connect: refused");
    }

    #[test]
    fn running_out_of_files_has_a_name_and_an_advice() {
        let error = io::Error::from_raw_os_error(24);
        let failure = Failure::of(Stage::Connect, &error);
        assert_eq!(failure.kind, "connect: too many open files");
        assert!(failure.message.contains("`ulimit -n`"), "{failure:?}");
    }
}
