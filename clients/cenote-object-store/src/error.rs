//! Errors of ours as object_store knows them: what it retries goes by their kind.

use std::error::Error;
use std::time::Duration;

use cenote_http::Error as ClientError;
use object_store::client::{HttpError, HttpErrorKind};

pub(crate) fn http_error(error: ClientError) -> HttpError {
    let kind = match &error {
        // Nothing was sent, whether connecting failed or took too long.
        ClientError::NoConnection { .. } => HttpErrorKind::Connect,
        ClientError::TimedOut { .. } => HttpErrorKind::Timeout,
        ClientError::Exchange { .. } => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}

/// The time of a request that ran out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimedOut {
    Request(Duration),
    Read(Duration),
}

impl From<TimedOut> for HttpError {
    fn from(error: TimedOut) -> Self {
        Self::new(HttpErrorKind::Timeout, error)
    }
}

impl std::fmt::Display for TimedOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(limit) => write!(f, "no whole reply within {limit:?} (timeout)"),
            Self::Read(limit) => write!(f, "nothing came for {limit:?} (read_timeout)"),
        }
    }
}

impl Error for TimedOut {}

/// A request that is not sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refused {
    NotEncrypted,
}

impl From<Refused> for HttpError {
    fn from(error: Refused) -> Self {
        Self::new(HttpErrorKind::Unknown, error)
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotEncrypted => f.write_str("the URL is not of https, and allow_http is not set"),
        }
    }
}

impl Error for Refused {}

/// An option that cannot be followed.
pub(crate) fn not_supported(
    option: impl AsRef<str>,
    problem: impl std::fmt::Display,
) -> object_store::Error {
    object_store::Error::NotSupported {
        source: format!("{}: {problem}", option.as_ref()).into(),
    }
}
