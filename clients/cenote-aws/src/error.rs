//! Errors of ours as SDKs know them: what they retry goes by their kind.

use std::fmt;
use std::time::Duration;

use aws_smithy_runtime_api::client::result::ConnectorError;
use cenote_http::Error;

pub(crate) fn connector_error(error: Error) -> ConnectorError {
    match &error {
        Error::NoConnection { source, .. } => match source.is_timeout() {
            true => ConnectorError::timeout(error.into()).never_connected(),
            false => ConnectorError::io(error.into()).never_connected(),
        },
        Error::TimedOut { .. } => ConnectorError::timeout(error.into()),
        Error::Exchange { .. } => ConnectorError::io(error.into()),
        Error::Request { .. } | Error::Target { .. } | Error::Upgrade { .. } => {
            ConnectorError::user(error.into())
        }
        _ => ConnectorError::other(error.into(), None),
    }
}

/// The SDK's read time-out ran out.
#[derive(Debug)]
pub(crate) struct NoReply(pub(crate) Duration);

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no reply within {:?} (read time-out)", self.0)
    }
}

impl std::error::Error for NoReply {}
