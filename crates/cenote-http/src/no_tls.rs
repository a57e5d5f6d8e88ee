//! What takes the place of TLS without the feature `rustls`: nothing that can be made.

use std::io;

use crate::error::Error;
use crate::version::HttpVersion;
use crate::wire::Transport;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TlsProfile {}

impl TlsProfile {
    pub(crate) fn none() -> Result<Self, Error> {
        Err(Error::target(
            "https needs the feature `rustls` of cenote-http",
        ))
    }
}

pub(crate) struct Encrypted {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) is_http2: bool,
}

pub(crate) async fn handshake(
    _: impl Transport,
    _: &str,
    profile: &TlsProfile,
    _: HttpVersion,
) -> io::Result<Encrypted> {
    match *profile {}
}

pub(crate) fn is_final(_: &io::Error) -> bool {
    true
}

pub(crate) fn is_without_protocol(_: &io::Error) -> bool {
    false
}
